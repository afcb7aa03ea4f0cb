use std::os::unix::fs::PermissionsExt;

use super::*;

fn cache() -> (tempfile::TempDir, Cache) {
    let dir = tempfile::tempdir().unwrap();
    let cache = Cache::new(dir.path().join("pgdata"));
    (dir, cache)
}

#[test]
fn what_was_put_is_got_and_is_private() {
    let (_dir, cache) = cache();
    let key = key("sha256:1", "15", &[]);
    assert_eq!(cache.get(&key), None);
    let put = cache.put(&key, b"tar", "secret").unwrap();
    let prepared = cache.get(&key).unwrap();
    assert_eq!(prepared, put);
    assert_eq!(zstd::decode_all(&prepared.archive[..]).unwrap(), b"tar");
    assert_eq!(prepared.bootstrap_password, "secret");
    assert_eq!(format!("{prepared:?}"), "Prepared(12 bytes)");
    let mode = fs::metadata(cache.path(&key)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_damaged_entry_is_dropped() {
    let (_dir, cache) = cache();
    let key = key("sha256:1", "15", &[]);
    cache.put(&key, b"tar", "secret").unwrap();
    let path = cache.path(&key);
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [&flipped[..], &whole[..whole.len() - 1], &whole[..9], b""] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(cache.get(&key), None);
        assert!(!path.exists());
    }
    fs::write(&path, &whole).unwrap();
    assert!(cache.get(&key).is_some());
}

#[test]
fn anything_that_decides_the_content_is_in_the_key() {
    let base = key("sha256:1", "15", &[]);
    assert_ne!(base, key("sha256:2", "15", &[]));
    assert_ne!(base, key("sha256:1", "16", &[]));
    assert_ne!(base, key("sha256:1", "15", &["--locale=C".into()]));
    assert_eq!(base, key("sha256:1", "15", &[]));
}

#[test]
fn old_entries_go() {
    let (_dir, cache) = cache();
    let keys: Vec<_> = (0..KEEP + 3)
        .map(|n| key(&n.to_string(), "15", &[]))
        .collect();
    for key in &keys {
        cache.put(key, b"tar", "secret").unwrap();
    }
    let left = keys.iter().filter(|key| cache.contains(key)).count();
    assert_eq!(left, KEEP);
    assert!(cache.contains(keys.last().unwrap()));
}

#[test]
fn bootstrap_passwords_differ() {
    let (a, b) = (bootstrap_password().unwrap(), bootstrap_password().unwrap());
    assert_eq!(a.len(), 64);
    assert_ne!(a, b);
}

#[test]
fn settings_reach_the_server_whole() {
    let settings = BTreeMap::from([("log_line_prefix".to_owned(), "%m 'x' ".to_owned())]);
    let argv = server_command("15", &settings);
    assert_eq!(argv[..2], ["/bin/sh", "-c"]);
    assert_eq!(
        argv[3..],
        [
            "postgres",
            "-D",
            PGDATA,
            "-c",
            "listen_addresses=*",
            "-c",
            "log_line_prefix=%m 'x' ",
            "-c",
            "unix_socket_directories=/run/postgresql"
        ]
    );
}
