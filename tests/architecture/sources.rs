//! The crate's files, found as the compiler finds them: by their `mod` lines.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::Ident;
use syn::{Attribute, Item, ext::IdentExt};

/// One parsed file of the crate, outside tests.
pub struct Source {
    pub path: PathBuf,
    /// `["runtime", "docker"]`.
    pub module: Vec<String>,
    pub file: syn::File,
}

#[derive(Default)]
pub struct Sources {
    pub files: Vec<Source>,
    /// All files that some `mod` line leads to, tests included.
    pub seen: BTreeSet<PathBuf>,
}

impl Sources {
    /// Reads a file and all that its `mod` lines lead to. `folder` is where its submodules lie.
    pub fn walk(&mut self, root: &Path, path: &Path, module: &[String], folder: &Path) {
        let text = fs::read_to_string(root.join(path)).expect("a readable source");
        let file = syn::parse_file(&text).unwrap_or_else(|error| {
            panic!("{}:{}: {error}", path.display(), error.span().start().line)
        });
        self.seen.insert(path.to_owned());
        self.submodules(root, &file.items, module, folder, false);
        self.files.push(Source {
            path: path.to_owned(),
            module: module.to_vec(),
            file,
        });
    }

    fn submodules(
        &mut self,
        root: &Path,
        items: &[Item],
        module: &[String],
        folder: &Path,
        test: bool,
    ) {
        for item in items {
            let Item::Mod(item) = item else { continue };
            let name = item.ident.unraw().to_string();
            let test = test || is_test(&item.attrs);
            let inner = [module, std::slice::from_ref(&name)].concat();
            let below = folder.join(&name);
            if let Some((_, items)) = &item.content {
                self.submodules(root, items, &inner, &below, test);
                continue;
            }
            let path = [below.with_extension("rs"), below.join("mod.rs")]
                .into_iter()
                .find(|path| root.join(path).is_file())
                .unwrap_or_else(|| panic!("no file for module `{}`", inner.join("::")));
            let before = self.files.len();
            self.walk(root, &path, &inner, &below);
            if test {
                self.files.truncate(before);
            }
        }
    }
}

pub fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

pub fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<Ident>()
                    .is_ok_and(|condition| condition == "test")
    })
}
