//! Project files on their way into an image: the build context, extra files, their digests.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

use super::{
    ImageError,
    archive::{Entries, add_file},
    glob::Ignore,
};
use crate::{config::Dockerfile, plan::Digest};

/// Where a Dockerfile outside its context is put in the archive.
const FOREIGN_DOCKERFILE: &str = ".devenv.Dockerfile";

/// Changes with each commit and fetch, and few builds read it: left out, unless a later pattern takes it back.
const GIT: &str = "**/.git";

/// A build context: what is sent to the engine.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// Path in the context → what is there, in the order it is sent.
    pub entries: BTreeMap<String, Sent>,
    /// The Dockerfile's path in the context.
    pub dockerfile: String,
    /// What it says on disk.
    pub text: String,
}

#[derive(Debug, Clone)]
pub(super) enum Sent {
    Folder,
    File {
        from: PathBuf,
        mode: u32,
    },
    /// A file that is not on disk.
    Text(String),
    Link {
        target: PathBuf,
    },
}

impl Context {
    pub(super) fn read(root: &Path, dockerfile: &Dockerfile) -> Result<Self, ImageError> {
        // Unlike the files, the context may be above the project: a part of a larger repository.
        let folder = root.join(&dockerfile.context);
        let folder = folder
            .canonicalize()
            .map_err(ImageError::read(&dockerfile.context))?;
        let root = &root.canonicalize().map_err(ImageError::read(root))?;
        let on_disk = inside(root, &dockerfile.path)?;
        if !on_disk.is_file() {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            return Err(ImageError::read(&dockerfile.path)(missing));
        }
        let text = fs::read(&on_disk).map_err(ImageError::read(&dockerfile.path))?;
        let ignore = ignore_of(&folder, &on_disk)?;
        let mut entries = BTreeMap::new();
        let walk = Walk {
            ignore: &ignore,
            state: root.join(".devenv"),
        };
        walk.folder(&folder, "", &mut entries)?;
        let name = match on_disk.strip_prefix(&folder) {
            Ok(path) => path.to_string_lossy().into_owned(),
            Err(_) => FOREIGN_DOCKERFILE.to_owned(),
        };
        // The engine needs both, also when they are left out of the image.
        for (name, from) in [
            (name.as_str(), on_disk.clone()),
            (".dockerignore", folder.join(".dockerignore")),
        ] {
            if from.is_file() {
                entries.insert(name.to_owned(), sent_file(from)?);
            }
        }
        Ok(Self {
            entries,
            dockerfile: name,
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }

    /// Sends this instead of what the Dockerfile on disk says.
    pub(super) fn replace_dockerfile(&mut self, text: String) {
        let sent = Sent::Text(text);
        self.entries.insert(self.dockerfile.clone(), sent);
    }

    /// What the engine gets as Dockerfile.
    pub(super) fn sent_dockerfile(&self) -> &str {
        match self.entries.get(&self.dockerfile) {
            Some(Sent::Text(text)) => text,
            _ => &self.text,
        }
    }

    /// Writes a tar that depends on nothing but paths, contents and modes.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(out);
        for (path, sent) in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_mode(0o755);
            header.set_size(0);
            match sent {
                Sent::Folder => {
                    header.set_entry_type(tar::EntryType::Directory);
                    tar.append_data(&mut header, format!("{path}/"), io::empty())?;
                }
                Sent::Link { target } => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_mode(0o777);
                    tar.append_link(&mut header, path, target)?;
                }
                Sent::Text(text) => {
                    header.set_entry_type(tar::EntryType::Regular);
                    header.set_mode(0o644);
                    header.set_size(text.len() as u64);
                    tar.append_data(&mut header, path, text.as_bytes())?;
                }
                Sent::File { from, mode } => {
                    let file = File::open(from)?;
                    header.set_entry_type(tar::EntryType::Regular);
                    header.set_mode(*mode);
                    header.set_size(file.metadata()?.len());
                    tar.append_data(&mut header, path, file)?;
                }
            }
        }
        tar.into_inner()?.flush()
    }
}

/// As BuildKit: `<Dockerfile>.dockerignore` goes before the context's own.
fn ignore_of(folder: &Path, dockerfile: &Path) -> Result<Ignore, ImageError> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), folder.join(".dockerignore")] {
        match fs::read_to_string(&path) {
            Ok(text) => {
                let text = text.trim_start_matches('\u{feff}');
                return Ok(Ignore::parse(&format!("{GIT}\n{text}")));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(ImageError::read(path)(error)),
        }
    }
    Ok(Ignore::parse(GIT))
}

struct Walk<'a> {
    ignore: &'a Ignore,
    /// devenv's own state changes with every run: never a part of a build.
    state: PathBuf,
}

impl Walk<'_> {
    /// `.devenv` of the project, and what devenv keeps in the folder of git.
    fn is_state(&self, path: &Path) -> bool {
        path == self.state || path.ends_with(".git/devenv")
    }

    fn folder(
        &self,
        dir: &Path,
        prefix: &str,
        entries: &mut BTreeMap<String, Sent>,
    ) -> Result<(), ImageError> {
        for entry in fs::read_dir(dir).map_err(ImageError::read(dir))? {
            let entry = entry.map_err(ImageError::read(dir))?;
            let from = entry.path();
            if self.is_state(&from) {
                continue;
            }
            let name = entry.file_name();
            let path = format!("{prefix}{}", name.to_string_lossy());
            let kind = entry.file_type().map_err(ImageError::read(&from))?;
            let out = self.ignore.excludes(&path);
            if kind.is_dir() {
                if !out {
                    entries.insert(path.clone(), Sent::Folder);
                }
                if !out || self.ignore.may_keep_below(&path) {
                    self.folder(&from, &format!("{path}/"), entries)?;
                }
            } else if out {
            } else if kind.is_symlink() {
                let target = fs::read_link(&from).map_err(ImageError::read(&from))?;
                entries.insert(path, Sent::Link { target });
            } else if kind.is_file() {
                entries.insert(path, sent_file(from)?);
            }
        }
        Ok(())
    }
}

fn sent_file(from: PathBuf) -> Result<Sent, ImageError> {
    let mode = mode_of(&from)?;
    Ok(Sent::File { from, mode })
}

/// 0755 for what its owner may execute, else 0644: the umask of a checkout is no difference.
fn mode_of(path: &Path) -> Result<u32, ImageError> {
    let metadata = fs::metadata(path).map_err(ImageError::read(path))?;
    let executable = metadata.permissions().mode() & 0o100 != 0;
    Ok(if executable { 0o755 } else { 0o644 })
}

/// The path in the project, refused when it leaves it.
pub(super) fn inside(root: &Path, path: &str) -> Result<PathBuf, ImageError> {
    let mut depth = 0;
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => {
                depth += 1;
                clean.push(name);
            }
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => {
                depth -= 1;
                clean.pop();
            }
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(ImageError::Outside { path: path.into() });
            }
        }
    }
    Ok(if depth == 0 {
        root.to_owned()
    } else {
        root.join(clean)
    })
}

/// Extra files: path in the image without a leading slash → file on disk. A folder stands for all files below it.
pub(super) fn lay_all(
    root: &Path,
    files: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, PathBuf>, ImageError> {
    let mut all = BTreeMap::new();
    for (to, from) in files {
        let from = inside(root, from)?;
        expand(to.trim_matches('/'), from, &mut all)?;
    }
    Ok(all)
}

fn expand(to: &str, from: PathBuf, all: &mut BTreeMap<String, PathBuf>) -> Result<(), ImageError> {
    if !from.is_dir() {
        all.insert(to.to_owned(), from);
        return Ok(());
    }
    for entry in fs::read_dir(&from).map_err(ImageError::read(&from))? {
        let entry = entry.map_err(ImageError::read(&from))?;
        let to = format!("{to}/{}", entry.file_name().to_string_lossy());
        expand(&to, entry.path(), all)?;
    }
    Ok(())
}

/// Adds extra files to a layer.
pub(super) fn lay(
    root: &Path,
    files: &BTreeMap<String, String>,
    entries: &mut Entries,
) -> Result<(), ImageError> {
    for (to, from) in lay_all(root, files)? {
        let mode = mode_of(&from)?;
        add_file(entries, &to, from, mode);
    }
    Ok(())
}

/// Digest of a file's mode and content, read in pieces.
pub(super) fn hash_file(path: &Path) -> Result<Digest, ImageError> {
    let mode = mode_of(path)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(&mode.to_le_bytes());
    let file = File::open(path).map_err(ImageError::read(path))?;
    hasher.update_reader(file).map_err(ImageError::read(path))?;
    Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn dockerfile(path: &str, context: &str) -> Dockerfile {
        Dockerfile {
            path: path.into(),
            context: context.into(),
            target: None,
            args: BTreeMap::new(),
        }
    }

    fn names(context: &Context) -> Vec<&str> {
        context.entries.keys().map(String::as_str).collect()
    }

    #[test]
    fn what_is_ignored_is_not_sent_but_the_dockerfile_is() {
        let dir = project(&[
            ("Dockerfile", "FROM x"),
            (".dockerignore", "*\n!src/**\n**/*.log"),
            ("src/a.rs", ""),
            ("src/a.log", ""),
            ("target/x", ""),
            (".devenv/lock", ""),
        ]);
        let context = Context::read(dir.path(), &dockerfile("Dockerfile", ".")).unwrap();
        assert_eq!(names(&context), [".dockerignore", "Dockerfile", "src/a.rs"]);
    }

    #[test]
    fn a_dockerfile_elsewhere_and_its_own_ignore_file() {
        let dir = project(&[
            ("docker/app", "FROM x"),
            ("docker/app.dockerignore", "b"),
            ("ctx/.dockerignore", "a"),
            ("ctx/a", ""),
            ("ctx/b", ""),
        ]);
        let context = Context::read(dir.path(), &dockerfile("docker/app", "./ctx/")).unwrap();
        assert_eq!(
            names(&context),
            [".devenv.Dockerfile", ".dockerignore", "a"]
        );
        assert_eq!(context.dockerfile, ".devenv.Dockerfile");
    }

    #[test]
    fn gits_folder_is_sent_where_it_is_asked_for() {
        let sent = |ignore: &str| {
            let dir = project(&[
                ("Dockerfile", "FROM x"),
                (".dockerignore", ignore),
                (".git/HEAD", ""),
                (".git/devenv/results/1", ""),
                ("vendored/.git", ""),
                ("vendored/a", ""),
            ]);
            let context = Context::read(dir.path(), &dockerfile("Dockerfile", ".")).unwrap();
            let mut sent = names(&context);
            sent.retain(|name| !["Dockerfile", ".dockerignore"].contains(name));
            sent.join(" ")
        };
        assert_eq!(sent(""), "vendored vendored/a");
        assert_eq!(sent("\u{feff}vendored"), "");
        assert_eq!(sent("!.git"), ".git .git/HEAD vendored vendored/a");
        assert_eq!(sent("*\n!.git/HEAD"), ".git/HEAD");
    }

    #[test]
    fn a_dockerfile_is_inside_the_project() {
        let dir = project(&[("Dockerfile", "FROM x")]);
        for path in ["../Dockerfile", "a/../../b", "/etc/passwd"] {
            let error = Context::read(dir.path(), &dockerfile(path, ".")).unwrap_err();
            assert!(matches!(error, ImageError::Outside { .. }), "{error}");
        }
    }

    #[test]
    fn the_same_files_give_the_same_archive() {
        let files = [("Dockerfile", "FROM x"), ("b", "2"), ("a/c", "1")];
        let archive = || {
            let dir = project(&files);
            let mut bytes = Vec::new();
            let context = Context::read(dir.path(), &dockerfile("Dockerfile", ".")).unwrap();
            context.write(&mut bytes).unwrap();
            bytes
        };
        assert_eq!(archive(), archive());
    }
}
