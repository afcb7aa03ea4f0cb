//! What is at a path, all of it: for outputs, which git may well ignore.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    Digest, FileCache, FingerprintError, is_gone,
    look::{FILES_PER_THREAD, look},
    place::{Kind, Place},
    select,
};

/// A file, or a folder with all below it: path below it → what is there, with the path itself as an empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    #[serde(rename = "n")]
    pub nodes: BTreeMap<String, Node>,
    /// What cannot be made again from this: pipes, sockets, names that are no text, or that a link stands in the way to it.
    #[serde(skip)]
    pub odd: Option<String>,
}

/// One thing of a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Node {
    Folder,
    /// Permission bits, size in bytes, and the digest that [`super::fingerprint`] gives.
    File(u32, u64, Digest),
    /// Where it leads.
    Link(String),
}

impl Tree {
    /// What is there now; `None` when nothing is.
    ///
    /// # Errors
    /// What is there and cannot be read.
    pub fn read(
        root: &Path,
        path: &str,
        cache: &FileCache,
    ) -> Result<Option<Self>, FingerprintError> {
        let started = SystemTime::now();
        let mut walk = Walk {
            top: root.join(path),
            tree: Self::default(),
            files: Vec::new(),
        };
        walk.tree.odd = link_on_the_way(root, path);
        if !walk.add(String::new())? {
            return Ok(None);
        }
        let Walk {
            mut tree, files, ..
        } = walk;
        let name = path.trim_end_matches('/');
        let files: Vec<_> = files
            .into_iter()
            .map(|(below, path)| (joined(name, &below), below, path))
            .collect();
        let look =
            |(name, _, path): &(String, _, PathBuf)| look(name, Place::at(path), Kind::File, cache);
        let looks = files.par_iter().with_min_len(FILES_PER_THREAD).map(look);
        let looks: Vec<_> = looks.collect::<Result<_, _>>()?;
        let found = files.into_iter().zip(looks);
        let found: Vec<_> = found
            .filter_map(|(file, look)| Some((file, look?)))
            .collect();
        let learned = found.iter();
        let learned =
            learned.filter_map(|((name, ..), look)| Some((&**name, &**look.learned.as_ref()?)));
        cache.remember(learned, started);
        for ((_, below, _), look) in found {
            if let Some(stamp) = look.stamp {
                let node = Node::File(stamp.mode & 0o777, stamp.size, look.digest);
                tree.nodes.insert(below, node);
            }
        }
        Ok(Some(tree))
    }

    /// One for all of it.
    pub fn digest(&self) -> Digest {
        Digest::of(serde_json::to_vec(self).expect("a map of strings serialises"))
    }

    /// Whether it is one folder, whatever is in it.
    pub fn is_folder(&self) -> bool {
        self.nodes.get("") == Some(&Node::Folder)
    }

    /// Each file, link and folder as a tree of its own, by its path; a folder without what is in it.
    pub fn leaves(self, path: &str) -> Vec<(String, Self)> {
        let path = path.trim_end_matches('/');
        let leaf = |(below, node): (String, Node)| {
            let nodes = [(String::new(), node)].into();
            let odd = self.odd.clone();
            (joined(path, &below), Self { nodes, odd })
        };
        self.nodes.into_iter().map(leaf).collect()
    }
}

/// `folder/below`; the folder itself when nothing is below.
pub fn joined(folder: &str, below: &str) -> String {
    match below {
        "" => folder.to_owned(),
        below => format!("{}/{below}", folder.trim_end_matches('/')),
    }
}

struct Walk {
    top: PathBuf,
    tree: Tree,
    /// Path below it, and whole.
    files: Vec<(String, PathBuf)>,
}

impl Walk {
    /// False when nothing is there.
    fn add(&mut self, below: String) -> Result<bool, FingerprintError> {
        let path = match below.as_str() {
            "" => self.top.clone(),
            below => self.top.join(below),
        };
        // The path itself may be a link to where it is kept; links below it are what they are.
        let found = match below.as_str() {
            "" => fs::metadata(&path).or_else(|_| fs::symlink_metadata(&path)),
            _ => fs::symlink_metadata(&path),
        };
        let metadata = match found {
            Ok(metadata) => metadata,
            Err(error) if is_gone(&error) => return Ok(false),
            Err(source) => return Err(FingerprintError::Read { path, source }),
        };
        if metadata.is_dir() {
            self.tree.nodes.insert(below.clone(), Node::Folder);
            self.folder(&path, &below)?;
        } else if metadata.is_symlink() {
            let read = |source| FingerprintError::Read {
                path: path.clone(),
                source,
            };
            let target = fs::read_link(&path).map_err(read)?;
            if target.to_str().is_none() {
                self.odd(&path);
            }
            let target = select::name(&target);
            self.tree.nodes.insert(below, Node::Link(target));
        } else if metadata.is_file() {
            self.files.push((below, path));
        } else {
            self.odd(&path);
        }
        Ok(true)
    }

    fn folder(&mut self, path: &Path, below: &str) -> Result<(), FingerprintError> {
        let read = |source| FingerprintError::Read {
            path: path.to_owned(),
            source,
        };
        for entry in fs::read_dir(path).map_err(read)? {
            let entry = entry.map_err(read)?;
            match entry.file_name().to_str() {
                Some(name) if below.is_empty() => self.add(name.to_owned())?,
                Some(name) => self.add(format!("{below}/{name}"))?,
                None => {
                    self.odd(&entry.path());
                    continue;
                }
            };
        }
        Ok(())
    }

    fn odd(&mut self, path: &Path) {
        self.tree.odd.get_or_insert(path.display().to_string());
    }
}

/// The first link among the folders of the path, or the path itself when it is one.
pub fn link_on_the_way(root: &Path, path: &str) -> Option<String> {
    let mut at = root.to_owned();
    for part in Path::new(path).components() {
        if let Component::Normal(part) = part {
            at.push(part);
            if at.is_symlink() {
                return Some(at.display().to_string());
            }
        }
    }
    None
}
