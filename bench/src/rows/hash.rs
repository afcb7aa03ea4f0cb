//! 100,000 input files: the first fingerprint beside a plain parallel blake3 over the same files, the second beside a bare walk.

use std::{
    collections::BTreeMap,
    fs,
    hint::black_box,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use devenv::plan::{FileCache, Inputs, fingerprint};
use rayon::prelude::*;

use super::{DEVENV, Tools, ms, progress};
use crate::{
    Error,
    measure::{Measurement, Side, Unit, turns},
};

const FILES: usize = 100_000;
const FOLDERS: usize = 1_000;
const BLAKE3: &str = "parallel blake3";
const WALK: &str = "walk and lstat";

/// Cold, then warm.
pub fn measure(tools: &Tools) -> Result<Vec<Measurement>, Error> {
    let scene = Files::make()?;
    let mut cold = [Side::new(DEVENV), Side::new(BLAKE3)];
    let mut warm = [Side::new(DEVENV), Side::new(WALK)];
    // Once without counting: the pages are in the cache then.
    scene.blake3()?;
    scene.fingerprint()?;
    for (round, side) in turns(tools.rounds, 2) {
        let taken = match side {
            0 => {
                scene.forget()?;
                scene.fingerprint()?
            }
            _ => scene.blake3()?,
        };
        progress("hash cold", round, cold[side].name, ms(taken));
        cold[side].samples.push(ms(taken));
    }
    for (round, side) in turns(tools.rounds, 2) {
        let taken = match side {
            0 => scene.fingerprint()?,
            _ => scene.walk()?,
        };
        progress("hash warm", round, warm[side].name, ms(taken));
        warm[side].samples.push(ms(taken));
    }
    let measurement = |row, what, sides: [Side; 2]| Measurement {
        row,
        what,
        unit: Unit::Ms,
        sides: sides.into(),
        steps: BTreeMap::new(),
    };
    Ok(vec![
        measurement(
            "hash cold",
            "the key of 100,000 files that were never seen, all in the page cache",
            cold,
        ),
        measurement(
            "hash warm",
            "the key of the same files when they are known, with the cache read",
            warm,
        ),
    ])
}

struct Files {
    dir: tempfile::TempDir,
    all: Vec<PathBuf>,
}

impl Files {
    /// As a source tree has them: most files of a few kilobytes, some of a hundred.
    fn make() -> Result<Self, Error> {
        let dir = tempfile::tempdir()?;
        let root = dir.path().join("src");
        let mut all = Vec::with_capacity(FILES);
        for folder in 0..FOLDERS {
            let folder_path = root.join(format!("module{}/part{folder}", folder % 30));
            fs::create_dir_all(&folder_path)?;
            for file in 0..FILES / FOLDERS {
                let path = folder_path.join(format!("some_source_file_{file}.rs"));
                let size = match file {
                    0 => 100_000,
                    file => 500 + (file * 7919 + folder * 104_729) % 8_000,
                };
                let line = format!("// line of {}\n", path.display());
                let mut out = fs::File::create(&path)?;
                out.write_all(&line.repeat(size / line.len() + 1).as_bytes()[..size])?;
                all.push(path);
            }
        }
        // Files that are as young as the cache are not remembered.
        let old = SystemTime::now() - Duration::from_secs(60);
        all.par_iter()
            .try_for_each(|path| fs::File::open(path)?.set_modified(old))?;
        std::thread::sleep(Duration::from_secs(3));
        Ok(Self { dir, all })
    }

    fn cache(&self) -> PathBuf {
        self.dir.path().join("cache")
    }

    fn forget(&self) -> Result<(), Error> {
        Ok(fs::remove_file(self.cache())?)
    }

    /// All that a step's decision does with its input files.
    fn fingerprint(&self) -> Result<Duration, Error> {
        let started = Instant::now();
        let root = self.dir.path();
        let cache = FileCache::load(root, &self.cache());
        let inputs = Inputs(fingerprint(root, &["src/**".to_owned()], &cache)?);
        black_box(inputs.key());
        let taken = started.elapsed();
        // A run writes it when its steps are done.
        cache.save()?;
        match inputs.0.len() {
            FILES => Ok(taken),
            found => Err(format!("{found} files").into()),
        }
    }

    /// The same content through the same hash, with nothing around it.
    fn blake3(&self) -> Result<Duration, Error> {
        let started = Instant::now();
        let digests: Result<Vec<_>, std::io::Error> = self
            .all
            .par_iter()
            .map(|path| Ok(blake3::hash(&fs::read(path)?)))
            .collect();
        black_box(digests?);
        Ok(started.elapsed())
    }

    /// What any warm fingerprint has to do at least: list the folders and look at each file.
    fn walk(&self) -> Result<Duration, Error> {
        let started = Instant::now();
        let found = walk(&self.dir.path().join("src"))?;
        match found {
            FILES => Ok(started.elapsed()),
            found => Err(format!("{found} files").into()),
        }
    }
}

fn walk(dir: &Path) -> Result<usize, std::io::Error> {
    let (mut folders, mut files) = (Vec::new(), 0);
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        } else {
            black_box(entry.metadata()?);
            files += 1;
        }
    }
    let below: Result<Vec<_>, _> = folders.par_iter().map(|dir| walk(dir)).collect();
    Ok(files + below?.iter().sum::<usize>())
}
