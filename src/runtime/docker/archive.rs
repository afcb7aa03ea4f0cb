//! Tar archives on their way into and out of containers. Pure: bytes in, bytes out.

use std::io::{self, Read, Write};

use tar::{Archive, Builder, EntryType, Header};

/// The file in a seeded volume that says how far seeding came.
pub const MARK: &str = ".devenv-seed";

/// What the mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Written before the first file of a seed.
    Pending,
    /// Written after the last.
    Done,
}

impl Mark {
    fn text(self) -> &'static [u8] {
        match self {
            Mark::Pending => b"pending\n",
            Mark::Done => b"done\n",
        }
    }
}

/// Writes a folder's inside as the content of `folder`, between a pending and a done mark.
///
/// The order is what makes a killed upload visible: the engine unpacks front to back.
pub fn seed(inside: impl Read, folder: &str, out: impl Write) -> io::Result<()> {
    let mut archive = Archive::new(inside);
    let mut builder = Builder::new(out);
    let mut owner = None;
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let inner = relative(&path);
        if owner.is_none() {
            let ids = (entry.header().uid()?, entry.header().gid()?);
            if inner.as_os_str().is_empty() {
                append(&mut builder, &mut entry, folder.as_ref(), None)?;
                append_mark(&mut builder, folder, Mark::Pending, ids)?;
                owner = Some(ids);
                continue;
            }
            append_mark(&mut builder, folder, Mark::Pending, ids)?;
            owner = Some(ids);
        }
        let link = hard_link(&entry)?.map(|target| join(folder, &relative(&target)));
        append(&mut builder, &mut entry, &join(folder, &inner), link)?;
    }
    append_mark(&mut builder, folder, Mark::Done, owner.unwrap_or_default())?;
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

/// The mark in the archive of the mark file; `None` when it says neither, and then nothing is known.
pub fn read_mark(archive: &[u8]) -> io::Result<Option<Mark>> {
    let mut archive = Archive::new(archive);
    let Some(entry) = archive.entries()?.next() else {
        return Ok(None);
    };
    let mut text = Vec::new();
    entry?.take(64).read_to_end(&mut text)?;
    Ok([Mark::Pending, Mark::Done]
        .into_iter()
        .find(|mark| mark.text() == text))
}

/// Whether the archive of a folder, or the beginning of it, shows that something is in the folder.
///
/// `lost+found` comes with a file system. What cannot be read counts as something.
pub fn shows_content(beginning: &[u8]) -> bool {
    let mut archive = Archive::new(beginning);
    let Ok(entries) = archive.entries() else {
        return true;
    };
    for entry in entries {
        let Ok(entry) = entry else { return true };
        let Ok(path) = entry.path() else { return true };
        let path = without_first(&relative(&path));
        if !path.as_os_str().is_empty() && path.as_os_str() != "lost+found" {
            return true;
        }
    }
    false
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

fn append_mark(
    builder: &mut Builder<impl Write>,
    folder: &str,
    mark: Mark,
    (uid, gid): (u64, u64),
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o600);
    header.set_uid(uid);
    header.set_gid(gid);
    header.set_size(mark.text().len() as u64);
    builder.append_data(&mut header, format!("{folder}/{MARK}"), mark.text())
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

fn join(folder: &str, inner: &std::path::Path) -> std::path::PathBuf {
    std::path::Path::new(folder).join(inner)
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

    fn seeded(inside: &[u8], folder: &str) -> Vec<u8> {
        let mut out = Vec::new();
        seed(inside, folder, &mut out).unwrap();
        out
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
    fn a_seed_stands_between_its_marks() {
        let inside = archive(&[
            ("./", EntryType::Directory, ""),
            ("./a/", EntryType::Directory, ""),
            ("./a/b", EntryType::Regular, "text"),
            ("./a/hard", EntryType::Link, "./a/b"),
            ("./a/soft", EntryType::Symlink, "../x"),
        ]);
        assert_eq!(
            listing(&seeded(&inside, "data")),
            [
                "data/ 999 ",
                "data/.devenv-seed 999 pending",
                "data/a/ 999 ",
                "data/a/b 999 text",
                "data/a/hard 999 data/a/b",
                "data/a/soft 999 ../x",
                "data/.devenv-seed 999 done",
            ]
            .map(|line| line.replace("data/ ", "data ").replace("/a/ ", "/a "))
            .map(|line| line.to_string())
        );
    }

    #[test]
    fn the_first_thing_is_the_pending_mark_also_without_an_entry_for_the_folder() {
        let names = listing(&seeded(&archive(&[("x", EntryType::Regular, "1")]), "d"));
        assert_eq!(
            names,
            [
                "d/.devenv-seed 999 pending",
                "d/x 999 1",
                "d/.devenv-seed 999 done"
            ]
        );
        assert_eq!(listing(&seeded(&archive(&[]), "d")).len(), 1);
    }

    #[test]
    fn long_names_survive() {
        let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
        let seeded = seeded(&archive(&[(&long, EntryType::Regular, "1")]), "data");
        assert!(listing(&seeded)[1].starts_with(&format!("data/{long} ")));
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

    #[test]
    fn only_what_is_certainly_empty_is_empty() {
        let empty = archive(&[
            ("data/", EntryType::Directory, ""),
            ("data/lost+found/", EntryType::Directory, ""),
        ]);
        assert!(!shows_content(&empty));
        let full = archive(&[
            ("data/", EntryType::Directory, ""),
            ("data/x", EntryType::Regular, "1"),
        ]);
        assert!(shows_content(&full));
        assert!(shows_content(
            b"not an archive, but more than 512 bytes"
                .repeat(20)
                .as_slice()
        ));
    }

    #[test]
    fn marks_are_read_back() {
        for mark in [Mark::Pending, Mark::Done] {
            let text = std::str::from_utf8(mark.text()).unwrap();
            let file = archive(&[(MARK, EntryType::Regular, text)]);
            assert_eq!(read_mark(&file).unwrap(), Some(mark));
        }
        let other = archive(&[(MARK, EntryType::Regular, "pend")]);
        assert_eq!(read_mark(&other).unwrap(), None);
    }
}
