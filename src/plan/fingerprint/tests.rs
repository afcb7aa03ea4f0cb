use std::{
    ffi::OsStr,
    fs::{File, FileTimes, Permissions},
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode};

use super::{place::Stamp, *};
use crate::sys::git::testing::git;

struct Folder {
    dir: tempfile::TempDir,
}

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Self { dir };
        for (path, text) in files {
            folder.write(path, text);
        }
        folder
    }

    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Sets the modification time into the past. The change time stays now.
    fn age(&self, path: &str) {
        let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
        File::options()
            .write(true)
            .open(self.root().join(path))
            .unwrap()
            .set_times(times)
            .unwrap();
    }

    fn cache(&self) -> FileCache {
        FileCache::load(self.root(), &self.root().join(".devenv/cache/files"))
    }

    fn names(&self, globs: &[&str]) -> String {
        self.inputs(globs)
            .into_iter()
            .map(|(field, input)| match input {
                Input::Absent => format!("{field} (absent)"),
                Input::Text(_) | Input::Content(_) => field,
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn inputs(&self, globs: &[&str]) -> BTreeMap<String, Input> {
        let globs: Vec<_> = globs.iter().map(|glob| (*glob).to_owned()).collect();
        fingerprint(self.root(), &globs, &self.cache()).unwrap()
    }
}

fn stamp(path: &Path) -> Stamp {
    Place::at(path).stamp().unwrap().expect("a file")
}

fn remember(cache: &FileCache, name: &str, stamp: Stamp, digest: &str, now: SystemTime) {
    let digest = Digest::of(digest);
    let learned = Entry { stamp, digest };
    cache.remember([(name, &learned)].into_iter(), now);
}

fn sample() -> Folder {
    Folder::with(&[
        (".gitignore", "/target\n*.log\n"),
        (".devenv/state", ""),
        (".git/HEAD", ""),
        (".env.example", ""),
        ("Cargo.toml", ""),
        ("src/main.rs", ""),
        ("src/a/b.rs", ""),
        ("src/a/notes.log", ""),
        ("target/out/gen.rs", ""),
    ])
}

#[test]
fn no_globs_name_all_that_git_does_not_ignore() {
    let folder = sample();
    expect_test::expect![[r"
        file..env.example
        file..gitignore
        file.Cargo.toml
        file.src/a/b.rs
        file.src/main.rs"]]
    .assert_eq(&folder.names(&[]));
}

#[test]
fn globs_stop_at_folders_and_exclusions_take_away() {
    let folder = sample();
    assert_eq!(folder.names(&["src/*.rs"]), "file.src/main.rs");
    assert_eq!(folder.names(&["**/*.rs", "!src/a"]), "file.src/main.rs");
    assert_eq!(folder.names(&["src", "!**/main.rs"]), "file.src/a/b.rs");
    assert_eq!(folder.names(&["./src//a/"]), "file.src/a/b.rs");
    assert_eq!(folder.names(&["nothing/**"]), "");
}

#[test]
fn ignored_files_are_had_by_naming_them() {
    let folder = sample();
    assert_eq!(folder.names(&["**/*.log"]), "");
    assert_eq!(folder.names(&["src/a/notes.log"]), "file.src/a/notes.log");
    assert_eq!(folder.names(&["target/out/*.rs"]), "file.target/out/gen.rs");
}

#[test]
fn a_named_file_that_is_missing_is_absent() {
    let folder = sample();
    assert_eq!(
        folder.names(&["Cargo.lock", "Cargo.toml/no"]),
        "file.Cargo.lock (absent)\nfile.Cargo.toml/no (absent)"
    );
}

#[test]
fn globs_out_of_the_project_are_refused() {
    let folder = sample();
    for glob in ["../x", "/etc/*", "a/../../b", "!../x"] {
        let error = fingerprint(folder.root(), &[glob.into()], &folder.cache()).unwrap_err();
        assert!(matches!(error, FingerprintError::Outside { .. }), "{glob}");
    }
    let error = fingerprint(folder.root(), &["a[".into()], &folder.cache()).unwrap_err();
    assert_eq!(error.to_string(), "`a[` is not a valid glob");
}

#[test]
fn mode_and_link_target_count() {
    let folder = Folder::with(&[("x", "y"), ("y", "y")]);
    let plain = folder.inputs(&["x"]);
    fs::set_permissions(folder.root().join("x"), Permissions::from_mode(0o755)).unwrap();
    let executable = folder.inputs(&["x"]);
    assert_ne!(plain, executable);
    fs::set_permissions(folder.root().join("x"), Permissions::from_mode(0o600)).unwrap();
    assert_eq!(
        plain,
        folder.inputs(&["x"]),
        "only the executable bit counts"
    );

    fs::remove_file(folder.root().join("x")).unwrap();
    symlink("y", folder.root().join("x")).unwrap();
    let link = folder.inputs(&["x"]);
    assert_ne!(plain, link);
    fs::remove_file(folder.root().join("x")).unwrap();
    symlink("z", folder.root().join("x")).unwrap();
    assert_ne!(
        link,
        folder.inputs(&["x"]),
        "a broken link has a digest too"
    );
}

#[test]
fn what_a_link_leads_to_counts() {
    let folder = Folder::with(&[("project/x", ""), ("outside/y", "1"), ("outside/z", "1")]);
    let root = folder.root().join("project");
    let cache = FileCache::load(&root, &root.join(".devenv/cache/files"));
    let inputs = |to: &str| {
        fs::remove_file(root.join("x")).unwrap();
        symlink(to, root.join("x")).unwrap();
        fingerprint(&root, &["*".into()], &cache).unwrap()
    };
    let first = inputs("../outside/y");
    assert_eq!(first, inputs("../outside/y"));
    assert_ne!(
        first,
        inputs("../outside/z"),
        "another place of the same content"
    );
    folder.write("outside/y", "2");
    assert_ne!(first, inputs("../outside/y"));
    folder.write("outside/y", "1");
    assert_eq!(first, inputs("../outside/y"));
    let folder_link = inputs("../outside");
    folder.write("outside/more", "");
    assert_eq!(
        folder_link,
        inputs("../outside"),
        "of a folder, where it leads"
    );
}

/// Names of all lengths, each found again and no other.
#[test]
fn many_remembered_files_are_found_by_their_names() {
    let folder = Folder::with(&[("x", "one")]);
    let stamp = stamp(&folder.root().join("x"));
    let later = SystemTime::now() + std::time::Duration::from_secs(5);
    let names: Vec<_> = (0..2000)
        .map(|n| format!("{}{n}", "é/".repeat(n % 20)))
        .collect();
    for name in &names {
        folder.write(name, "");
    }
    for part in names.chunks(700) {
        let cache = folder.cache();
        for name in part {
            remember(&cache, name, stamp, name, later);
        }
        cache.save().unwrap();
    }
    let cache = folder.cache();
    for name in &names {
        let digest = Digest::of(name);
        assert_eq!(cache.get(name), Some(Entry { stamp, digest }), "{name}");
        assert_eq!(cache.get(&format!("{name}x")), None);
    }
}

#[test]
fn a_file_too_young_to_be_told_apart_is_not_remembered() {
    let folder = Folder::with(&[("x", "one")]);
    let cache = folder.cache();
    let globs = ["x".to_owned()];
    let one = fingerprint(folder.root(), &globs, &cache).unwrap();
    // Same size, same inode, perhaps the same tick of the clock.
    folder.write("x", "two");
    assert_ne!(one, fingerprint(folder.root(), &globs, &cache).unwrap());
}

#[test]
fn a_settled_file_is_not_read_again() {
    let folder = Folder::with(&[("x", "one")]);
    let stamp = stamp(&folder.root().join("x"));
    let later = SystemTime::now() + std::time::Duration::from_secs(5);
    let cache = folder.cache();
    remember(&cache, "x", stamp, "remembered", later);
    remember(&cache, "gone", stamp, "gone", later);
    cache.save().unwrap();
    let cache = folder.cache();
    remember(&cache, "x", stamp, "remembered", later);
    cache.save().unwrap();

    let cache = folder.cache();
    let inputs = fingerprint(folder.root(), &["x".into()], &cache).unwrap();
    assert_eq!(inputs["file.x"], Input::Content(Digest::of("remembered")));
    assert!(cache.get("gone").is_none(), "gone files are forgotten");

    // Same size, and the modification time set back: the change time still tells.
    folder.write("x", "two");
    folder.age("x");
    let inputs = fingerprint(folder.root(), &["x".into()], &cache).unwrap();
    assert_ne!(inputs["file.x"], Input::Content(Digest::of("remembered")));
}

#[test]
fn a_damaged_cache_is_an_empty_one() {
    let folder = Folder::with(&[("x", "one")]);
    let stamp = stamp(&folder.root().join("x"));
    let later = SystemTime::now() + std::time::Duration::from_secs(5);
    let cache = folder.cache();
    remember(&cache, "x", stamp, "remembered", later);
    cache.save().unwrap();
    let path = folder.root().join(".devenv/cache/files");
    let good = fs::read(&path).unwrap();
    assert!(folder.cache().get("x").is_some());
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        assert!(folder.cache().get("x").is_none(), "{length}");
        let mut flipped = good.clone();
        flipped[length] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert!(folder.cache().get("x").is_none(), "{length}");
    }
}

#[test]
fn the_digest_is_of_kind_and_content_whatever_the_size() {
    let piece = 256 << 10;
    for size in [
        0,
        1,
        2043,
        piece - 6,
        piece - 5,
        piece - 4,
        piece,
        2 * piece - 5,
        700_000,
    ] {
        let text: String = ('a'..='z').cycle().take(size).collect();
        let folder = Folder::with(&[("x", &text)]);
        let mut hasher = content_hasher(0o644);
        hasher.update(text.as_bytes());
        let expected = Digest::from(hasher.finalize());
        assert_eq!(
            folder.inputs(&["x"])["file.x"],
            Input::Content(expected),
            "{size}"
        );
    }
}

#[test]
fn many_files_are_read_on_all_cores() {
    let folder = Folder::with(&[]);
    for i in 0..500 {
        folder.write(&format!("f{i}"), &i.to_string());
    }
    let inputs = folder.inputs(&[]);
    assert_eq!(inputs.len(), 500);
    let digests: std::collections::HashSet<_> =
        inputs.values().map(|input| format!("{input:?}")).collect();
    assert_eq!(digests.len(), 500);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// One cache lives through all the changes, as in real use.
    #[test]
    fn content_decides_and_times_do_not(texts in prop::collection::vec("[ab]{0,2}", 2..8)) {
        let folder = Folder::with(&[("x", "")]);
        let cache = folder.cache();
        let globs = ["x".to_owned()];
        let mut seen = BTreeMap::new();
        for text in texts {
            folder.write("x", &text);
            let now = fingerprint(folder.root(), &globs, &cache).unwrap();
            folder.age("x");
            prop_assert_eq!(&now, &fingerprint(folder.root(), &globs, &cache).unwrap());
            for (other, inputs) in &seen {
                prop_assert_eq!(other == &text, inputs == &now);
            }
            seen.insert(text, now);
        }
    }
}

#[test]
fn named_files_are_no_globs_and_may_lie_outside() {
    let folder = Folder::with(&[("project/a[1]", "1"), ("project/a1", "2"), ("shared", "3")]);
    let root = folder.root().join("project");
    let files = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let cache = FileCache::load(&root, &root.join(".devenv/cache/files"));
        fingerprint_files(&root, &names, &cache).unwrap()
    };
    let found = files(&["a[1]", "../shared", "!gone"]);
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        ["file.!gone", "file.../shared", "file.a[1]"]
    );
    assert_eq!(found["file.!gone"], Input::Absent);
    assert_ne!(found["file.a[1]"], files(&["a1"])["file.a1"]);
    // As a list of globs, this would be the whole project.
    assert!(files(&[]).is_empty());
}

#[test]
fn what_git_tracks_is_not_ignored() {
    let folder = Folder::with(&[
        ("main/.gitignore", "*.gen\nout/\n"),
        ("main/a.gen", ""),
        ("main/b.gen", ""),
        ("main/out/kept/x", ""),
        ("main/out/kept/y", ""),
        ("main/out/z", ""),
    ]);
    let root = folder.root().join("main");
    let names = |root: &Path| {
        let found = fingerprint(root, &["**".into()], &folder.cache()).unwrap();
        found.into_keys().collect::<Vec<_>>().join(" ")
    };
    git(&root, &["init", "--quiet"]);
    assert_eq!(names(&root), "file..gitignore");
    git(&root, &["add", "-f", "a.gen", "out/kept/x"]);
    let all = "file..gitignore file.a.gen file.out/kept/x";
    assert_eq!(names(&root), all);
    // Of the worktree, not of the repository.
    git(&root, &["commit", "--quiet", "-m", "x"]);
    git(&root, &["worktree", "add", "--quiet", "../second"]);
    git(&root, &["rm", "--quiet", "--cached", "a.gen"]);
    fs::write(folder.root().join("second/.git-not"), "").unwrap();
    assert_eq!(names(&root), "file..gitignore file.out/kept/x");
    assert_eq!(
        names(&folder.root().join("second")),
        "file..git-not file.a.gen file.out/kept/x"
    );
}

#[test]
fn what_a_clone_excludes_is_left_out_in_all_of_its_worktrees() {
    let folder = Folder::with(&[
        ("main/.git/HEAD", "ref: refs/heads/main\n"),
        ("main/.git/info/exclude", "*.local\n"),
        ("main/.git/worktrees/w/commondir", "../..\n"),
        ("main/.git/worktrees/w/HEAD", "ref: refs/heads/w\n"),
        ("w/.git", "gitdir: ../main/.git/worktrees/w\n"),
    ]);
    for worktree in ["main", "w"] {
        folder.write(&format!("{worktree}/a.local"), "");
        folder.write(&format!("{worktree}/a.txt"), "");
        let root = folder.root().join(worktree);
        let cache = FileCache::load(&root, &root.join("cache"));
        let found = fingerprint(&root, &["*".to_owned()], &cache).expect("readable");
        let names: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["file.a.txt"], "{worktree}");
    }
}

#[test]
fn files_come_in_the_order_of_their_names() {
    let mut names = [
        "b/2", "a/b/2", "a.b", "a/b-2", "a-b/1", "a0", "c", "a/c", "b/1",
    ];
    let folder = Folder::with(&names.map(|name| (name, name)));
    let each = |name: &str, _: Place<'_>, _: Kind| Ok(Some(name.to_owned()));
    let found = walk::walk(folder.root(), "", &|_: &str| true, &each).unwrap();
    names.sort_unstable();
    let in_folders = ["a-b/1", "a.b", "a0", "c"];
    let at = |name: &str| found.iter().position(|found| found == name);
    assert_eq!(found.len(), names.len());
    assert!(in_folders.is_sorted_by_key(|name| at(name)), "{found:?}");
    let inputs = folder.inputs(&[]);
    let fields = inputs.keys().map(|field| &field["file.".len()..]);
    assert_eq!(fields.collect::<Vec<_>>(), names);
}

#[test]
fn what_is_no_file_is_not_opened() {
    let folder = Folder::with(&[("x", "text")]);
    let raw = OsStr::from_bytes(b"raw\xff");
    fs::write(folder.root().join(raw), "raw").unwrap();
    let pipe = folder.root().join("pipe");
    rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
    symlink("pipe", folder.root().join("to-pipe")).unwrap();
    symlink("circle", folder.root().join("circle")).unwrap();
    assert_eq!(
        folder.names(&[]),
        "file.circle\nfile.raw\\xff\nfile.to-pipe\nfile.x"
    );
    let (globs, cache) = (["pipe".to_owned()], folder.cache());
    let named = fingerprint(folder.root(), &globs, &cache).unwrap();
    assert_eq!(named["file.pipe"], Input::Absent);
}
