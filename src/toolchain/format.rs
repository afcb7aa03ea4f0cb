//! What a download is by its first bytes, and whether that is what its address promises: servers answer a wrong address with a page.

/// Enough to see the `ustar` mark of a tar header.
pub const HEAD: usize = 512;

/// Endings of addresses that name an archive. `tool.gz` is a program, compressed.
const ARCHIVES: [&str; 12] = [
    ".tar", ".tar.gz", ".tgz", ".tar.xz", ".txz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz", ".tbz2",
    ".zip", ".jar",
];

/// What the bytes at an address may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    Archive,
    /// A program, bare or compressed, or an archive whose address does not say so.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("it is not an archive, but looks like {0}")]
    NoArchive(&'static str),
    #[error("it is neither an archive nor a program, but looks like {0}")]
    NoProgram(&'static str),
}

impl Promise {
    pub fn of(url: &str) -> Self {
        let path = url.split(['?', '#']).next().unwrap_or(url);
        let path = path.to_ascii_lowercase();
        match ARCHIVES.iter().any(|ending| path.ends_with(ending)) {
            true => Promise::Archive,
            false => Promise::Any,
        }
    }

    /// By the first bytes as they came.
    pub fn check(self, head: &[u8]) -> Result<(), Broken> {
        if Packing::of(head).is_some() {
            return Ok(());
        }
        self.check_unpacked(head)
    }

    /// By the first bytes of what was compressed, if it was.
    pub fn check_unpacked(self, head: &[u8]) -> Result<(), Broken> {
        match self {
            _ if is_tar(head) => Ok(()),
            Promise::Any if is_program(head) => Ok(()),
            Promise::Archive => Err(Broken::NoArchive(looks(head))),
            Promise::Any => Err(Broken::NoProgram(looks(head))),
        }
    }
}

/// What is around a tar or a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Zip,
    Gzip,
    Xz,
    Zstd,
}

impl Packing {
    pub fn of(head: &[u8]) -> Option<Self> {
        let marks: [(&[u8], Self); 5] = [
            (b"PK\x03\x04", Packing::Zip),
            (b"PK\x05\x06", Packing::Zip),
            (b"\x1f\x8b", Packing::Gzip),
            (b"\xfd7zXZ\0", Packing::Xz),
            (b"\x28\xb5\x2f\xfd", Packing::Zstd),
        ];
        let found = marks.into_iter().find(|(mark, _)| head.starts_with(mark));
        found.map(|(_, packing)| packing)
    }
}

pub fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// ELF, Mach-O in every width and order, or a script that names its interpreter.
fn is_program(head: &[u8]) -> bool {
    const MARKS: [&[u8]; 7] = [
        b"\x7fELF",
        b"#!",
        b"\xfe\xed\xfa\xce",
        b"\xfe\xed\xfa\xcf",
        b"\xce\xfa\xed\xfe",
        b"\xcf\xfa\xed\xfe",
        b"\xca\xfe\xba\xbe",
    ];
    MARKS.iter().any(|mark| head.starts_with(mark))
}

/// For people. `head` is neither a tar nor compressed.
fn looks(head: &[u8]) -> &'static str {
    const MARKS: [(&[u8], &str); 8] = [
        (b"<!doctype html", "an HTML page"),
        (b"<html", "an HTML page"),
        (b"<", "an XML document"),
        (b"{", "a JSON document"),
        (b"bzh", "bzip2, which devenv does not unpack"),
        (b"7z\xbc\xaf", "7z, which devenv does not unpack"),
        (b"!<arch>", "a Debian package, which devenv does not unpack"),
        (b"version https://git-lfs", "a pointer of Git LFS"),
    ];
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let text = text.trim_ascii_start().to_ascii_lowercase();
    let known = MARKS.iter().find(|(mark, _)| text.starts_with(mark));
    match known {
        Some((_, name)) => name,
        None if head.is_empty() => "an empty file",
        None if is_program(head) => "a program",
        None if head.starts_with(b"MZ") => "a program for Windows",
        None if head.iter().all(|byte| (9..127).contains(byte)) => "plain text",
        None => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_ends_like_an_archive_promises_one() {
        for url in ["x/a-1.tar.gz", "x/A.ZIP", "x/a.tgz?raw=true", "x/a.tar.bz2"] {
            assert_eq!(Promise::of(url), Promise::Archive, "{url}");
        }
        for url in ["x/a", "x/a.gz", "x/a.zip/latest", "x/a?as=.zip"] {
            assert_eq!(Promise::of(url), Promise::Any, "{url}");
        }
    }

    #[test]
    fn what_comes_is_held_against_it() {
        let gzip = b"\x1f\x8b\x08";
        let page = b"\n <!DOCTYPE html><title>Not found</title>";
        for head in [
            &b"\x7fELF\x02"[..],
            b"#!/bin/sh\n",
            b"\xcf\xfa\xed\xfe",
            gzip,
        ] {
            assert_eq!(Promise::Any.check(head), Ok(()));
        }
        assert_eq!(Promise::Archive.check(gzip), Ok(()));
        let no_archive = |head: &[u8]| Promise::Archive.check(head).unwrap_err().to_string();
        for (head, looks) in [
            (&page[..], "an HTML page"),
            (b"", "an empty file"),
            (b"BZh91AY", "bzip2, which devenv does not unpack"),
            (b"#!/bin/sh\n", "a program"),
            (b"Not found\n", "plain text"),
            (b"\0\x01", "something else"),
        ] {
            let text = format!("it is not an archive, but looks like {looks}");
            assert_eq!(no_archive(head), text);
        }
        assert_eq!(
            Promise::Any.check(page),
            Err(Broken::NoProgram("an HTML page"))
        );
    }
}
