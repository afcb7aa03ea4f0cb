//! Results on real files.

use std::time::{Duration, SystemTime};

use super::*;
use crate::plan::{FileCache, Output};

struct World {
    dir: tempfile::TempDir,
    results: Results,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let results = Results {
            dir: dir.path().join("cache"),
            limit: 10_000,
        };
        Self { dir, results }
    }

    fn tree(&self, path: &str) -> BTreeMap<String, Tree> {
        let cache = FileCache::load(self.dir.path(), &self.dir.path().join("files"));
        let tree = Tree::read(self.dir.path(), path, &cache).expect("readable");
        tree.map(|tree| tree.leaves(path))
            .into_iter()
            .flatten()
            .collect()
    }

    fn write(&self, content: &str) {
        let out = self.dir.path().join("out");
        fs::create_dir_all(&out).expect("made");
        fs::write(out.join("file"), content).expect("written");
    }

    /// Keeps what is there now, as if it had been so long ago.
    fn keep(&self, key: &str, hours: u64) -> TaskResult {
        let result = TaskResult {
            lines: vec![key.to_owned()],
            outputs: self.tree("out"),
            output: Output::default(),
            ..TaskResult::default()
        };
        let root = self.dir.path();
        let kept = self.results.save(&Digest::of(key), &result, root);
        kept.expect("kept");
        self.age(&self.results.entry(&Digest::of(key)), hours);
        for (_, digest) in result.objects() {
            self.age(&self.results.object(digest), hours);
        }
        result
    }

    fn age(&self, path: &Path, hours: u64) {
        let then = SystemTime::now() - Duration::from_hours(hours);
        let Ok(file) = fs::File::open(path) else {
            return;
        };
        file.set_modified(then).expect("set");
    }

    fn has(&self, key: &str) -> bool {
        self.results.find(&Digest::of(key)).is_some()
    }

    fn objects(&self) -> usize {
        let folders = fs::read_dir(self.results.dir.join("objects")).expect("a folder");
        let counts = folders.flatten().map(|folder| {
            let files = fs::read_dir(folder.path()).expect("a folder");
            files.count()
        });
        counts.sum()
    }
}

#[test]
fn what_was_not_used_for_the_longest_time_makes_room() {
    let world = World::new();
    for (key, hours) in [("a", 40), ("b", 30), ("c", 20)] {
        world.write(&key.repeat(2500));
        world.keep(key, hours);
    }
    // A result of the same content uses the same object.
    world.write(&"b".repeat(2500));
    world.keep("b too", 10);
    assert_eq!(world.objects(), 3);
    world.results.touch(&Digest::of("a"));
    world.write(&"d".repeat(2500));
    world.keep("d", 0);
    let there = ["a", "b", "b too", "c", "d"].map(|key| world.has(key));
    assert_eq!(there, [true, false, true, false, true]);
    assert_eq!(world.objects(), 3);
}

#[test]
fn what_a_killed_one_left_goes_when_it_is_old() {
    let world = World::new();
    let objects = world.results.dir.join("objects/aa");
    fs::create_dir_all(&objects).expect("made");
    for (name, hours) in [("old", 2), (".devenv-old", 2), ("fresh", 0)] {
        fs::write(objects.join(name), vec![b'x'; 4000]).expect("written");
        world.age(&objects.join(name), hours);
    }
    world.write("1");
    world.keep("a", 0);
    assert!(world.has("a"));
    let left: Vec<_> = fs::read_dir(&objects).expect("there").flatten().collect();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].file_name(), "fresh");
}

#[test]
fn what_is_too_large_or_odd_or_changes_is_not_kept() {
    let world = World::new();
    let save = |outputs| {
        let result = TaskResult {
            outputs,
            ..TaskResult::default()
        };
        let root = world.dir.path();
        world.results.save(&Digest::of("a"), &result, root)
    };
    world.write(&"x".repeat(6000));
    let error = save(world.tree("out")).expect_err("too large");
    assert!(matches!(error, ResultsError::TooLarge), "{error}");

    world.write("1");
    let seen = world.tree("out");
    world.write("2");
    let error = save(seen).expect_err("changed");
    assert!(matches!(error, ResultsError::Changed { .. }), "{error}");

    let socket = world.dir.path().join("out/socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let error = save(world.tree("out")).expect_err("odd");
    assert!(matches!(error, ResultsError::Odd { .. }), "{error}");
    assert!(!world.has("a"));
}

#[test]
fn an_entry_is_of_its_key_alone() {
    let world = World::new();
    world.write("1");
    let result = world.keep("a", 0);
    let (key, other) = (Digest::of("a"), Digest::of("b"));
    assert_eq!(world.results.find(&key), Some(result));
    fs::copy(world.results.entry(&key), world.results.entry(&other)).expect("copied");
    assert_eq!(world.results.find(&other), None);
    assert!(!world.results.entry(&other).exists());
}

#[test]
fn many_at_once_find_whole_results_or_none() {
    let world = World::new();
    let key = Digest::of("a");
    world.write(&"x".repeat(4000));
    world.keep("a", 0);
    let wanted = world.results.find(&key).expect("kept");
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (world, wanted, key) = (&world, &wanted, &key);
            scope.spawn(move || {
                let root = world.dir.path().join(format!("root{number}"));
                for _ in 0..50 {
                    let Some(result) = world.results.find(key) else {
                        // Pruned by another: as if it had run again.
                        world
                            .results
                            .save(key, wanted, world.dir.path())
                            .expect("kept");
                        continue;
                    };
                    let nothing = BTreeMap::new();
                    match world.results.restore(key, &result, &root, &nothing, &[]) {
                        Ok(_) => {
                            let text = fs::read_to_string(root.join("out/file"));
                            assert_eq!(text.expect("restored").len(), 4000);
                        }
                        Err(ResultsError::Damaged { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                    let extra = TaskResult {
                        lines: vec!["x".repeat(3000)],
                        ..TaskResult::default()
                    };
                    let name = Digest::of(format!("{number}"));
                    let kept = world.results.save(&name, &extra, world.dir.path());
                    kept.expect("kept");
                }
            });
        }
    });
    world.keep("a", 0);
    assert_eq!(world.results.find(&key), Some(wanted));
}
