//! Unpacks what was downloaded: tar (plain, gz, xz, zst), zip, or one bare executable, told apart by content, not by name.
//!
//! Nothing is written outside the target folder: absolute names, `..`, links that leave it and device nodes are refused.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Cursor, Read, Seek},
    os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink},
    path::{Component, Path, PathBuf},
};

use tar::EntryType;

use super::format::{self, Broken, HEAD, Packing, Promise};

/// What a bare executable is called once it is unpacked; the link to it bears the tool's name.
pub const BARE: &str = "tool";

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("entry `{entry}` of the archive is refused: {why}")]
    Refused { entry: String, why: &'static str },
    #[error(transparent)]
    Other(#[from] Broken),
    #[error("the archive cannot be read")]
    Read {
        #[source]
        source: io::Error,
    },
    #[error("cannot write `{}`", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Unpacks `archive` into `target`, a folder that is empty or absent.
pub fn unpack(archive: &Path, promise: Promise, target: &Path) -> Result<(), ArchiveError> {
    let tree = Tree::new(target)?;
    let mut file = BufReader::new(File::open(archive).map_err(read)?);
    let mut stream: Box<dyn Read> = match Packing::of(&peek(&mut file)?) {
        Some(Packing::Zip) => return unzip(file, &tree),
        Some(Packing::Gzip) => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        Some(Packing::Xz) => Box::new(liblzma::bufread::XzDecoder::new_multi_decoder(file)),
        Some(Packing::Zstd) => Box::new(zstd::Decoder::with_buffer(file).map_err(read)?),
        None => Box::new(file),
    };
    let mut head = Vec::new();
    stream
        .by_ref()
        .take(HEAD as u64)
        .read_to_end(&mut head)
        .map_err(read)?;
    promise.check_unpacked(&head)?;
    let is_tar = format::is_tar(&head);
    let mut stream = Cursor::new(head).chain(stream);
    if is_tar {
        return untar(stream, &tree);
    }
    tree.file(Path::new(BARE), 0o755, &mut stream)
}

fn peek(file: &mut BufReader<File>) -> Result<Vec<u8>, ArchiveError> {
    Ok(file.fill_buf().map_err(read)?.to_vec())
}

fn read(source: io::Error) -> ArchiveError {
    ArchiveError::Read { source }
}

fn untar(stream: impl Read, tree: &Tree) -> Result<(), ArchiveError> {
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries().map_err(read)? {
        let mut entry = entry.map_err(read)?;
        let name = entry.path().map_err(read)?.into_owned();
        let link = entry
            .link_name()
            .map_err(read)?
            .map(|link| link.into_owned());
        let mode = entry.header().mode().map_err(read)?;
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                tree.file(&name, mode, &mut entry)?;
            }
            EntryType::Directory => tree.dir(&name)?,
            EntryType::Symlink => tree.symlink(&name, &link.unwrap_or_default())?,
            EntryType::Link => tree.hard_link(&name, &link.unwrap_or_default())?,
            EntryType::XGlobalHeader => {}
            _ => {
                return Err(refused(&name, "it is neither a file, a folder nor a link"));
            }
        }
    }
    Ok(())
}

fn unzip(file: impl Read + Seek, tree: &Tree) -> Result<(), ArchiveError> {
    const FORMAT: u32 = 0o170_000;
    const SYMLINK: u32 = 0o120_000;
    let broken = |error: zip::result::ZipError| read(io::Error::other(error));
    let mut archive = zip::ZipArchive::new(file).map_err(broken)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(broken)?;
        let name = PathBuf::from(entry.name().map_err(broken)?.into_owned());
        if name.to_string_lossy().contains('\\') {
            return Err(refused(&name, "its name has a backslash"));
        }
        let mode = entry.unix_mode().unwrap_or(0o644);
        if entry.is_dir() {
            tree.dir(&name)?;
        } else if mode & FORMAT == SYMLINK {
            let mut target = String::new();
            entry.read_to_string(&mut target).map_err(read)?;
            tree.symlink(&name, Path::new(&target))?;
        } else {
            tree.file(&name, mode, &mut entry)?;
        }
    }
    Ok(())
}

fn refused(entry: &Path, why: &'static str) -> ArchiveError {
    ArchiveError::Refused {
        entry: entry.display().to_string(),
        why,
    }
}

/// The folder that is unpacked into. Every name passes [`Tree::place`].
struct Tree {
    root: PathBuf,
}

impl Tree {
    fn new(root: &Path) -> Result<Self, ArchiveError> {
        let tree = Self { root: root.into() };
        fs::create_dir_all(root).map_err(|source| tree.write(root, source))?;
        Ok(tree)
    }

    fn write(&self, path: &Path, source: io::Error) -> ArchiveError {
        ArchiveError::Write {
            path: path.into(),
            source,
        }
    }

    /// The path of an entry inside the folder, its parents made. `None` for the folder itself.
    fn place(&self, entry: &Path) -> Result<Option<PathBuf>, ArchiveError> {
        let mut names = Vec::new();
        for component in entry.components() {
            match component {
                Component::Normal(name) => names.push(name),
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => {
                    return Err(refused(entry, "its name is absolute"));
                }
                Component::ParentDir => return Err(refused(entry, "its name has `..`")),
            }
        }
        let Some((last, parents)) = names.split_last() else {
            return Ok(None);
        };
        let mut path = self.root.clone();
        for parent in parents {
            path.push(parent);
            match fs::symlink_metadata(&path) {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Err(refused(entry, "a part of its name is a link or a file")),
                Err(_) => fs::create_dir(&path).map_err(|source| self.write(&path, source))?,
            }
        }
        path.push(last);
        Ok(Some(path))
    }

    /// As [`Self::place`], for what is not a folder: an earlier file of the name goes, an earlier link is not followed.
    fn fresh(&self, entry: &Path) -> Result<PathBuf, ArchiveError> {
        let path = self
            .place(entry)?
            .ok_or_else(|| refused(entry, "it has no name"))?;
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => Err(refused(entry, "it would replace a folder")),
            Ok(_) => {
                fs::remove_file(&path).map_err(|source| self.write(&path, source))?;
                Ok(path)
            }
            Err(_) => Ok(path),
        }
    }

    fn dir(&self, entry: &Path) -> Result<(), ArchiveError> {
        let Some(path) = self.place(entry)? else {
            return Ok(());
        };
        match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => Ok(()),
            Ok(_) => Err(refused(entry, "it would replace a link or a file")),
            Err(_) => fs::create_dir(&path).map_err(|source| self.write(&path, source)),
        }
    }

    fn file(&self, entry: &Path, mode: u32, content: &mut dyn Read) -> Result<(), ArchiveError> {
        let path = self.fresh(entry)?;
        // Set-id bits have no place in a tool, and the store must stay removable.
        let mode = (mode & 0o755) | 0o600;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .map_err(|source| self.write(&path, source))?;
        copy(content, &mut file, &path)?;
        file.set_permissions(fs::Permissions::from_mode(mode))
            .map_err(|source| self.write(&path, source))
    }

    /// A link's target may climb only at its start: then no chain of links can leave the folder.
    fn symlink(&self, entry: &Path, target: &Path) -> Result<(), ArchiveError> {
        let path = self.fresh(entry)?;
        let mut room = entry
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .count()
            - 1;
        let mut descended = false;
        for component in target.components() {
            match component {
                Component::Normal(_) => descended = true,
                Component::CurDir => {}
                Component::ParentDir if room > 0 && !descended => room -= 1,
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(refused(entry, "it is a link that points outside"));
                }
            }
        }
        symlink(target, &path).map_err(|source| self.write(&path, source))
    }

    /// The target is named from the archive's root, and is a file that was unpacked before.
    fn hard_link(&self, entry: &Path, target: &Path) -> Result<(), ArchiveError> {
        let outside = || refused(entry, "it is a link that points outside");
        let source = self
            .place(target)
            .map_err(|_| outside())?
            .ok_or_else(outside)?;
        if !fs::symlink_metadata(&source).is_ok_and(|meta| meta.is_file()) {
            return Err(refused(entry, "it is a link to something that is no file"));
        }
        let path = self.place(entry)?.ok_or_else(outside)?;
        if path == source {
            return Ok(());
        }
        let path = self.fresh(entry)?;
        fs::hard_link(&source, &path).map_err(|source| self.write(&path, source))
    }
}

/// Copies and tells a broken archive from a full disk.
fn copy(from: &mut dyn Read, to: &mut File, path: &Path) -> Result<(), ArchiveError> {
    use io::Write;
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read(error)),
        };
        to.write_all(&buffer[..count])
            .map_err(|source| ArchiveError::Write {
                path: path.into(),
                source,
            })?;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// One entry of a hand-made tar: names are written raw, as the tar crate refuses to write bad ones.
    fn entry(kind: EntryType, name: &str, link: &str, content: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o4755);
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    fn file(name: &str, content: &[u8]) -> Vec<u8> {
        entry(EntryType::Regular, name, "", content)
    }

    fn link(name: &str, to: &str) -> Vec<u8> {
        entry(EntryType::Symlink, name, to, b"")
    }

    fn check(bytes: &[u8]) -> (tempfile::TempDir, Result<(), String>) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("archive"), bytes).unwrap();
        let (from, to) = (dir.path().join("archive"), dir.path().join("tree"));
        let result = unpack(&from, Promise::Any, &to);
        let others: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(others.len(), 2, "nothing is written beside the tree");
        (dir, result.map_err(|error| error.to_string()))
    }

    #[test]
    fn unpacks_every_format() {
        let mut tar = [
            entry(EntryType::Directory, "jq-1/", "", b""),
            file("jq-1/bin/jq", b"#!/bin/sh\n"),
            link("jq-1/jq", "bin/jq"),
            link("jq-1/bin/up", "../jq"),
            entry(EntryType::Link, "jq-1/hard", "jq-1/bin/jq", b""),
        ]
        .concat();
        tar.extend([0; 1024]);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&tar).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&tar).unwrap();
        let all = [
            tar.clone(),
            gz.finish().unwrap(),
            xz.finish().unwrap(),
            zstd::encode_all(&tar[..], 1).unwrap(),
        ];
        for bytes in all {
            let (dir, result) = check(&bytes);
            assert_eq!(result, Ok(()));
            for name in ["bin/jq", "jq", "bin/up", "hard"] {
                let path = dir.path().join("tree/jq-1").join(name);
                assert_eq!(fs::read(&path).unwrap(), b"#!/bin/sh\n");
                let mode = fs::metadata(&path).unwrap().permissions().mode();
                assert_eq!(mode & 0o7777, 0o755, "no set-id bit");
            }
        }
    }

    #[test]
    fn unpacks_a_bare_executable() {
        for bytes in [
            b"\x7fELF...".to_vec(),
            zstd::encode_all(&b"\x7fELF..."[..], 1).unwrap(),
        ] {
            let (dir, result) = check(&bytes);
            assert_eq!(result, Ok(()));
            let path = dir.path().join("tree").join(BARE);
            assert_eq!(fs::read(&path).unwrap(), b"\x7fELF...");
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o111,
                0o111
            );
        }
    }

    #[test]
    fn refuses_what_leaves_the_folder() {
        let refuses = |entries: &[Vec<u8>], why: &str| {
            let (_dir, result) = check(&entries.concat());
            let message = result.expect_err(why);
            assert!(message.contains(why), "{message}");
        };
        refuses(&[file("../evil", b"x")], "has `..`");
        refuses(&[file("a/../../evil", b"x")], "has `..`");
        refuses(&[file("/tmp/evil", b"x")], "absolute");
        refuses(&[link("l", "/etc")], "points outside");
        refuses(&[link("a/l", "../../x")], "points outside");
        // Each link alone stays inside by its letters, the chain does not.
        refuses(
            &[link("p/q/r/l", "../../../s"), link("m", "p/q/r/l/../../x")],
            "points outside",
        );
        refuses(
            &[file("d/x", b""), link("l", "d"), file("l/y", b"x")],
            "a link or a file",
        );
        refuses(&[link("l", "d"), file("l/y", b"x")], "a link or a file");
        refuses(
            &[entry(EntryType::Link, "l", "../archive", b"")],
            "points outside",
        );
        refuses(
            &[entry(EntryType::Link, "l", "/etc/passwd", b"")],
            "points outside",
        );
        refuses(&[entry(EntryType::Char, "null", "", b"")], "neither a file");
        refuses(&[entry(EntryType::Fifo, "pipe", "", b"")], "neither a file");
    }

    #[test]
    fn a_file_replaces_a_link_and_does_not_write_through_it() {
        let (dir, result) = check(&[file("a", b"old"), link("l", "a"), file("l", b"new")].concat());
        assert_eq!(result, Ok(()));
        assert_eq!(fs::read(dir.path().join("tree/a")).unwrap(), b"old");
        assert_eq!(fs::read(dir.path().join("tree/l")).unwrap(), b"new");
    }

    #[test]
    fn zip_is_under_the_same_rules() {
        type Writer = zip::ZipWriter<Cursor<Vec<u8>>>;
        let make = |add: &dyn Fn(&mut Writer)| {
            let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
            add(&mut zip);
            zip.finish().unwrap().into_inner()
        };
        let exec = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
        let good = make(&|zip| {
            zip.start_file("x/tool", exec).unwrap();
            zip.write_all(b"hi").unwrap();
            zip.add_symlink("x/same", "tool", exec).unwrap();
        });
        let (dir, result) = check(&good);
        assert_eq!(result, Ok(()));
        assert_eq!(fs::read(dir.path().join("tree/x/same")).unwrap(), b"hi");

        let dots = make(&|zip| zip.start_file("../evil", exec).unwrap());
        assert!(check(&dots).1.unwrap_err().contains("has `..`"));
        let link = make(&|zip| zip.add_symlink("l", "../../etc", exec).unwrap());
        assert!(check(&link).1.unwrap_err().contains("points outside"));
        let cut = &good[..good.len() / 2];
        assert!(check(cut).1.unwrap_err().contains("cannot be read"));
    }

    #[test]
    fn a_cut_archive_is_an_error() {
        let bytes = file("a", &[7; 4000]);
        let (_dir, result) = check(&bytes[..2000]);
        assert!(result.unwrap_err().contains("cannot be read"));
    }
}
