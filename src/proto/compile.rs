//! From files on disk to descriptors, by protox.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use prost_types::FileDescriptorProto;
use protox::{
    Compiler,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};

use super::{error::ProtoError, source};
use crate::{
    config::Proto,
    event::{Spot, quoted},
    plan::fingerprint::{Selection, select},
};

/// Checked descriptors of all files, each after all it imports.
pub struct Compiled {
    /// The files to generate code for, as an import names them.
    pub wanted: Vec<String>,
    /// Without custom options: the typed form has no place for them.
    pub descriptors: Vec<FileDescriptorProto>,
    /// The same files, encoded with their custom options.
    pub encoded: Vec<Vec<u8>>,
}

/// The files that the table compiles and all they import from its include folders, relative to the project, sorted.
///
/// Only reads imports: files that do not compile have inputs too. What is missing is left to the compiler to report; a file that is named
/// without wildcards is listed even so.
pub fn inputs(root: &Path, proto: &Proto) -> Result<Vec<String>, ProtoError> {
    let includes = Includes::of(root, proto);
    let selection = find(root, proto)?;
    let mut open: Vec<_> = selection.files.into_iter().collect();
    let mut seen = selection.absent;
    while let Some(path) = open.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let text = fs::read(root.join(&path)).map_err(|source| ProtoError::Read {
            path: path.clone(),
            source,
        })?;
        let imports = source::head(&String::from_utf8_lossy(&text)).imports;
        open.extend(
            imports
                .into_iter()
                .filter_map(|import| includes.find(&import.name)),
        );
    }
    Ok(seen.into_iter().collect())
}

/// Compiles the files of `[proto.<name>]`. Blocks.
pub fn compile(root: &Path, name: &str, proto: &Proto) -> Result<Compiled, ProtoError> {
    let includes = Includes::of(root, proto);
    let wanted = matched(root, name, proto)?
        .into_iter()
        .map(|path| includes.import_name(name, &path))
        .collect::<Result<Vec<_>, _>>()?;
    let opened = Arc::new(Mutex::new(Opened::default()));
    let mut resolver = ChainFileResolver::new();
    resolver.add(Resolver {
        includes,
        opened: opened.clone(),
    });
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&wanted).map_err(|error| {
        let mut opened = opened.lock().expect("no panic while the lock is held");
        opened.explain(name, proto, &error)
    })?;
    Ok(Compiled {
        wanted,
        descriptors: compiler.file_descriptor_set().file,
        encoded: compiler
            .descriptor_pool()
            .files()
            .map(|file| file.encode_to_vec())
            .collect(),
    })
}

/// No globs match no files, unlike those of a task.
fn find(root: &Path, proto: &Proto) -> Result<Selection, ProtoError> {
    if proto.files.is_empty() {
        return Ok(Selection::default());
    }
    select(root, &proto.files).map_err(|source| ProtoError::FindFiles { source })
}

fn matched(root: &Path, name: &str, proto: &Proto) -> Result<Vec<String>, ProtoError> {
    let selection = find(root, proto)?;
    if let Some(path) = selection.absent.into_iter().next() {
        return Err(ProtoError::NoFiles {
            name: name.to_owned(),
            globs: vec![path],
        });
    }
    if selection.files.is_empty() {
        return Err(ProtoError::NoFiles {
            name: name.to_owned(),
            globs: proto.files.clone(),
        });
    }
    Ok(selection.files.into_iter().collect())
}

/// The folders that imports start from, relative to the root; "" is the root itself.
#[derive(Debug)]
struct Includes {
    root: PathBuf,
    folders: Vec<String>,
}

impl Includes {
    fn of(root: &Path, proto: &Proto) -> Self {
        let folder = |include: &String| {
            let parts: Vec<_> = include
                .split('/')
                .filter(|part| !part.is_empty() && *part != ".")
                .collect();
            parts.join("/")
        };
        let mut folders: Vec<_> = proto.include.iter().map(folder).collect();
        if folders.is_empty() {
            folders.push(String::new());
        }
        Self {
            root: root.to_owned(),
            folders,
        }
    }

    /// The path, relative to the project, of the file that an import means.
    fn find(&self, import: &str) -> Option<String> {
        self.folders
            .iter()
            .map(|folder| join(folder, import))
            .find(|path| self.root.join(path).is_file())
    }

    /// How an import names this file.
    fn import_name(&self, name: &str, path: &str) -> Result<String, ProtoError> {
        let import = self
            .folders
            .iter()
            .find_map(|folder| {
                if folder.is_empty() {
                    return Some(path);
                }
                path.strip_prefix(folder.as_str())?.strip_prefix('/')
            })
            .ok_or_else(|| ProtoError::NotIncluded {
                name: name.to_owned(),
                path: path.to_owned(),
                include: self.folders.clone(),
            })?;
        match self.find(import) {
            Some(by) if by != path => Err(ProtoError::Shadowed {
                name: name.to_owned(),
                path: path.to_owned(),
                by,
                import: import.to_owned(),
            }),
            _ => Ok(import.to_owned()),
        }
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// Files read so far, to tell where an error stands; and our own error, which the compiler cannot carry.
#[derive(Debug, Default)]
struct Opened {
    /// Import name → path relative to the project, and text.
    files: BTreeMap<String, (String, String)>,
    error: Option<ProtoError>,
}

#[derive(Debug)]
struct Resolver {
    includes: Includes,
    opened: Arc<Mutex<Opened>>,
}

impl FileResolver for Resolver {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let path = self
            .includes
            .find(name)
            .ok_or_else(|| protox::Error::file_not_found(name))?;
        let mut opened = self.opened.lock().expect("no panic while the lock is held");
        match read(&self.includes.root, &path) {
            Ok(text) => {
                let file = File::from_source(name, &text);
                opened.files.insert(name.to_owned(), (path, text));
                file
            }
            Err(error) => {
                let message = error.to_string();
                opened.error = Some(error);
                Err(protox::Error::new(message))
            }
        }
    }
}

/// Reads a file and refuses what would make the compiler or the generators panic.
fn read(root: &Path, path: &str) -> Result<String, ProtoError> {
    let bytes = fs::read(root.join(path)).map_err(|source| ProtoError::Read {
        path: path.to_owned(),
        source,
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        ProtoError::Compile {
            path: path.to_owned(),
            at: Spot::of(&text, valid),
            message: "it is not valid UTF-8".to_owned(),
            help: Some("save the file as UTF-8".to_owned()),
        }
    })?;
    // Some editors on Windows write a byte order mark; protoc skips it as well.
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    match source::head(&text).edition {
        Some(edition) => Err(ProtoError::Edition {
            path: path.to_owned(),
            at: edition.at,
            edition: edition.name,
        }),
        None => Ok(text),
    }
}

impl Opened {
    fn explain(&mut self, name: &str, proto: &Proto, error: &protox::Error) -> ProtoError {
        if let Some(own) = self.error.take() {
            return own;
        }
        let message = error.to_string();
        if let Some(cycle) = self.cycle(&message) {
            return cycle;
        }
        let Some((path, text)) = error.file().and_then(|file| self.files.get(file)) else {
            return ProtoError::CompileSet {
                name: name.to_owned(),
                message: lower(&message),
            };
        };
        let missing = message
            .strip_prefix("import '")
            .and_then(|rest| rest.strip_suffix("' not found"));
        ProtoError::Compile {
            path: path.clone(),
            at: missing
                .and_then(|import| place_of_import(text, import))
                .unwrap_or_else(|| position(error, text)),
            help: missing.map(|_| {
                format!(
                    "imports start from the folders in `include`: {}",
                    quoted(&proto.include)
                )
            }),
            message: lower(&message),
        }
    }

    /// The compiler tells no place for a cycle: it is the import that closes it.
    fn cycle(&self, message: &str) -> Option<ProtoError> {
        let cycle = message.strip_prefix("import cycle detected: ")?;
        let names: Vec<_> = cycle.split(" -> ").collect();
        let [.., last, closing] = names.as_slice() else {
            return None;
        };
        let (path, text) = self.files.get(*last)?;
        Some(ProtoError::Compile {
            path: path.clone(),
            at: place_of_import(text, closing).unwrap_or(Spot::START),
            message: format!("imports lead in a circle: {}", names.join(" → ")),
            help: Some("move what both files need into a third one".to_owned()),
        })
    }
}

fn place_of_import(text: &str, name: &str) -> Option<Spot> {
    source::head(text)
        .imports
        .into_iter()
        .find(|import| import.name == name)
        .map(|import| import.at)
}

/// The compiler's Debug form begins with `file:line:column: `, columns in bytes; an early end of the file has no place.
fn position(error: &protox::Error, text: &str) -> Spot {
    let debug = format!("{error:?}");
    let numbers = || {
        let rest = debug.strip_prefix(error.file()?)?.strip_prefix(':')?;
        let mut parts = rest.splitn(3, ':');
        let line: usize = parts.next()?.parse().ok()?;
        let column: usize = parts.next()?.parse().ok()?;
        Some((line, column))
    };
    let Some((line, column)) = numbers() else {
        if debug.ends_with("reached end of file") {
            return Spot::of(text, text.trim_end().len());
        }
        return Spot::START;
    };
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    Spot::of(text, start + column.saturating_sub(1))
}

/// In our form: names in backticks, not in single quotes.
fn lower(message: &str) -> String {
    message.replace('\'', "`")
}
