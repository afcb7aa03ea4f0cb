use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt};

use super::{
    cache::{FILES, KEEP, split},
    *,
};

/// The archive of a folder with these files; a name that ends in a slash is a folder's.
fn archive(names: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for name in names {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o700);
        let (kind, content) = match name.ends_with('/') {
            true => (tar::EntryType::Directory, ""),
            false => (tar::EntryType::Regular, *name),
        };
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        builder
            .append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

fn names(part: &Part) -> Vec<String> {
    let bytes = zstd::decode_all(&part.packed[..]).unwrap();
    assert_eq!(bytes.len() as u64, part.size);
    let mut archive = tar::Archive::new(&bytes[..]);
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        entry.path().unwrap().display().to_string()
    });
    entries.collect()
}

#[test]
fn folders_come_first_and_files_in_parts() {
    let all = [
        "./", "data/", "data/1/", "data/1/a", "data/1/b", "data/c", "data/d", "data/e",
    ];
    let parts = split(&archive(&all)).unwrap();
    let found: Vec<_> = parts.iter().map(|part| names(part).join(" ")).collect();
    assert_eq!(
        found,
        [
            "./ data/ data/1/",
            "data/1/a data/1/b",
            "data/c",
            "data/d",
            "data/e"
        ]
    );
    assert_eq!(split(&archive(&[])).unwrap().len(), FILES + 1);
}

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
    let put = cache.put(&key, &archive(&["x"]), "secret").unwrap();
    let prepared = cache.get(&key).unwrap();
    assert_eq!(prepared, put);
    assert_eq!(
        prepared.parts.iter().flat_map(names).collect::<Vec<_>>(),
        ["x"]
    );
    assert_eq!(prepared.bootstrap_password, "secret");
    assert_eq!(format!("{prepared:?}"), "Prepared(5 parts)");
    let mode = fs::metadata(cache.path(&key)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_damaged_entry_is_dropped() {
    let (_dir, cache) = cache();
    let key = key("sha256:1", "15", &[]);
    cache.put(&key, &archive(&["x"]), "secret").unwrap();
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
        cache.put(key, &archive(&["x"]), "secret").unwrap();
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
