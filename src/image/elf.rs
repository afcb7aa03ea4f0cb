//! What an executable asks of the system it runs on, and what a C library offers. Only headers and version tables are read.

use std::{
    fs::File,
    io::{self, Read, Seek},
    path::Path,
};

use object::{
    Endianness,
    elf::{self, FileHeader32, FileHeader64},
    read::{
        ReadCache, ReadRef,
        elf::{FileHeader, ProgramHeader},
    },
};

use super::ImageError;

/// `2.36` as numbers.
pub(super) type Version = (u32, u32);

/// An executable's needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elf {
    pub machine: Machine,
    /// The dynamic loader; `None` for a static one.
    pub interpreter: Option<String>,
    /// The newest glibc version it asks for.
    pub glibc: Option<Version>,
    /// The newest glibc version it offers: a C library.
    pub offers: Option<Version>,
}

/// What processor it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Machine {
    code: elf::Machine,
    bits: u8,
    little: bool,
}

impl Machine {
    /// Go's name, which images use; `None` for one no engine runs on.
    pub(super) fn go_arch(self) -> Option<&'static str> {
        Some(match (self.code, self.bits, self.little) {
            (elf::EM_X86_64, 64, _) => "amd64",
            (elf::EM_386, 32, _) => "386",
            (elf::EM_AARCH64, 64, true) => "arm64",
            (elf::EM_ARM, 32, true) => "arm",
            (elf::EM_PPC64, 64, true) => "ppc64le",
            (elf::EM_S390, 64, false) => "s390x",
            (elf::EM_RISCV, 64, true) => "riscv64",
            (elf::EM_LOONGARCH, 64, true) => "loong64",
            (elf::EM_MIPS, 64, true) => "mips64le",
            _ => return None,
        })
    }

    pub(super) fn name(self) -> String {
        match self.go_arch() {
            Some(name) => name.to_owned(),
            None => format!("ELF machine {} ({} bit)", self.code.0, self.bits),
        }
    }
}

/// `None` for what is not ELF: a script.
pub(super) fn read_file(path: &Path) -> Result<Option<Elf>, ImageError> {
    let file = File::open(path).map_err(ImageError::read(path))?;
    read(file).map_err(|error| ImageError::BadElf {
        path: path.to_owned(),
        cause: error.to_string(),
    })
}

pub(super) fn read(mut file: impl Read + Seek) -> io::Result<Option<Elf>> {
    let mut ident = [0; 16];
    match file.read_exact(&mut ident) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    if ident[..4] != elf::ELFMAG {
        return Ok(None);
    }
    let cache = ReadCache::new(file);
    let elf = match elf::FileClass(ident[4]) {
        elf::ELFCLASS64 => parse::<FileHeader64<Endianness>, _>(&cache),
        _ => parse::<FileHeader32<Endianness>, _>(&cache),
    };
    elf.map(Some).map_err(io::Error::other)
}

fn parse<'data, H, R>(data: R) -> object::read::Result<Elf>
where
    H: FileHeader<Endian = Endianness>,
    R: ReadRef<'data>,
{
    let header = H::parse(data)?;
    let endian = header.endian()?;
    let mut interpreter = None;
    for segment in header.program_headers(endian, data)? {
        if let Some(path) = segment.interpreter(endian, data)? {
            interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
    }
    let sections = header.sections(endian, data)?;
    let mut glibc = None;
    if let Some((mut needs, link)) = sections.gnu_verneed(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        while let Some((_, mut versions)) = needs.next()? {
            while let Some(version) = versions.next()? {
                glibc = glibc.max(glibc_version(version.name(endian, strings)?));
            }
        }
    }
    let mut offers = None;
    if let Some((mut defined, link)) = sections.gnu_verdef(endian, data)? {
        let strings = sections.strings(endian, data, link)?;
        while let Some((_, mut versions)) = defined.next()? {
            while let Some(version) = versions.next()? {
                offers = offers.max(glibc_version(version.name(endian, strings)?));
            }
        }
    }
    Ok(Elf {
        machine: Machine {
            code: header.e_machine(endian),
            bits: if header.is_class_64() { 64 } else { 32 },
            little: header.is_little_endian(),
        },
        interpreter,
        glibc,
        offers,
    })
}

/// `GLIBC_2.34`; not `GLIBC_PRIVATE`, `GLIBC_ABI_…`.
fn glibc_version(name: &[u8]) -> Option<Version> {
    let text = std::str::from_utf8(name).ok()?.strip_prefix("GLIBC_")?;
    let mut numbers = text.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_and_nothing_else() {
        assert_eq!(glibc_version(b"GLIBC_2.34"), Some((2, 34)));
        assert_eq!(glibc_version(b"GLIBC_2.2.5"), Some((2, 2)));
        assert_eq!(glibc_version(b"GLIBC_PRIVATE"), None);
        assert_eq!(glibc_version(b"GLIBC_ABI_DT_RELR"), None);
        assert_eq!(glibc_version(b"GCC_3.0"), None);
    }

    #[test]
    fn what_is_no_elf_is_none_and_what_is_cut_off_an_error() {
        assert_eq!(
            read(io::Cursor::new(b"#!/bin/sh\necho hi there\n")).unwrap(),
            None
        );
        assert_eq!(read(io::Cursor::new(b"hi")).unwrap(), None);
        let mut cut = elf::ELFMAG.to_vec();
        cut.extend([elf::ELFCLASS64.0; 30]);
        assert!(read(io::Cursor::new(cut)).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn reads_this_very_program() {
        let exe = std::env::current_exe().unwrap();
        let elf = read_file(&exe).unwrap().unwrap();
        let here = super::super::debian::go_arch(std::env::consts::ARCH);
        assert_eq!(elf.machine.go_arch(), Some(here));
        assert!(elf.interpreter.is_some());
    }
}
