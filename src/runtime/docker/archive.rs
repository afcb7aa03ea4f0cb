//! Tar archives on their way into and out of containers. Pure: bytes in, bytes out.

use std::io::{self, Read, Write};

use tar::{Archive, Builder, EntryType, Header};

use crate::runtime::SpecFile;

/// Writes files as an archive of the root folder.
pub fn files(files: &[SpecFile], out: impl Write) -> io::Result<()> {
    let mut builder = Builder::new(out);
    for file in files {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(file.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(file.size);
        let content = zstd::stream::read::Decoder::with_buffer(&file.packed[..])?;
        builder.append_data(&mut header, relative(file.path.as_ref()), content)?;
    }
    builder.finish()
}

/// The archive of a folder, as the engine gives it, with names relative to that folder.
pub fn inside(archive: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = Archive::new(archive);
    let mut builder = Builder::new(Vec::new());
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = without_first(&relative(&entry.path()?));
        let link = hard_link(&entry)?.map(|target| without_first(&relative(&target)));
        let path = if path.as_os_str().is_empty() {
            "./".into()
        } else {
            path
        };
        append(&mut builder, &mut entry, &path, link)?;
    }
    builder.into_inner()
}

fn append<R: Read, W: Write>(
    builder: &mut Builder<W>,
    entry: &mut tar::Entry<'_, R>,
    path: &std::path::Path,
    hard_link: Option<std::path::PathBuf>,
) -> io::Result<()> {
    let mut header = entry.header().clone();
    header.set_size(entry.size());
    let link = match hard_link {
        Some(link) => Some(link),
        None if header.entry_type().is_symlink() => {
            entry.link_name()?.map(|link| link.into_owned())
        }
        None => None,
    };
    match link {
        Some(link) => builder.append_link(&mut header, path, link),
        None => builder.append_data(&mut header, path, entry),
    }
}

/// Hard links name another entry; symbolic links are content and stay as they are.
fn hard_link<R: Read>(entry: &tar::Entry<'_, R>) -> io::Result<Option<std::path::PathBuf>> {
    if entry.header().entry_type() != EntryType::Link {
        return Ok(None);
    }
    Ok(entry.link_name()?.map(|link| link.into_owned()))
}

/// Without `/`, `.` and `..`.
fn relative(path: &std::path::Path) -> std::path::PathBuf {
    path.components()
        .filter(|part| matches!(part, std::path::Component::Normal(_)))
        .collect()
}

fn without_first(path: &std::path::Path) -> std::path::PathBuf {
    path.components().skip(1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (path, kind, content) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o700);
            header.set_uid(999);
            header.set_gid(998);
            if kind.is_symlink() || kind.is_hard_link() {
                header.set_size(0);
                builder.append_link(&mut header, path, content).unwrap();
            } else {
                header.set_size(content.len() as u64);
                builder
                    .append_data(&mut header, path, content.as_bytes())
                    .unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    fn listing(bytes: &[u8]) -> Vec<String> {
        Archive::new(bytes)
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let path = entry.path().unwrap().display().to_string();
                let link = entry
                    .link_name()
                    .unwrap()
                    .map(|link| link.display().to_string());
                let mut text = String::new();
                entry.read_to_string(&mut text).unwrap();
                let uid = entry.header().uid().unwrap();
                format!("{path} {uid} {}{}", link.unwrap_or_default(), text.trim())
            })
            .collect()
    }

    #[test]
    fn files_are_named_from_the_root() {
        let long = format!("/{}/{}", "d".repeat(90), "f".repeat(90));
        let file = |path: &str, content: &str| SpecFile {
            path: path.to_owned(),
            mode: 0o600,
            packed: zstd::encode_all(content.as_bytes(), 1).unwrap().into(),
            size: content.len() as u64,
        };
        let mut bytes = Vec::new();
        files(&[file("/etc/a", "text"), file(&long, "1")], &mut bytes).unwrap();
        assert_eq!(
            listing(&bytes),
            ["etc/a 0 text".to_owned(), format!("{} 0 1", &long[1..])]
        );
    }

    #[test]
    fn a_fetched_folder_becomes_its_inside() {
        let folder = archive(&[
            ("data/", EntryType::Directory, ""),
            ("data/b", EntryType::Regular, "text"),
            ("data/hard", EntryType::Link, "data/b"),
        ]);
        let names = listing(&inside(&folder).unwrap());
        assert!(names[0].starts_with('.'), "{names:?}");
        assert_eq!(names[1..], ["b 999 text", "hard 999 b"]);
    }
}
