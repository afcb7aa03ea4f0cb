//! Judges one file by the rules.

use std::path::Path;

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::{
    Attribute, Item, ItemMod, ItemStatic, Macro, UseTree, ext::IdentExt, spanned::Spanned, visit,
    visit::Visit,
};

use super::{
    ANY, Broken, COUNTERS, CRATES, IO, MAY_IMPORT, MAY_PRINT, PRINTS, PURE, READS, STATE,
    sources::{Source, is_test},
};

impl Source {
    pub fn check(&self) -> Vec<Broken> {
        let mut checker = Checker {
            source: self,
            module: self.module.clone(),
            broken: Vec::new(),
        };
        checker.visit_file(&self.file);
        checker
            .broken
            .dedup_by(|a, b| a.line == b.line && a.rule == b.rule);
        checker.broken
    }
}

struct Checker<'a> {
    source: &'a Source,
    /// Where the visit is, inline modules included.
    module: Vec<String>,
    broken: Vec<Broken>,
}

impl Checker<'_> {
    fn broken(&mut self, line: usize, rule: impl Into<String>) {
        self.broken.push(Broken {
            path: self.source.path.clone(),
            line,
            rule: rule.into(),
        });
    }

    fn top(&self) -> Option<&str> {
        self.source.module.first().map(String::as_str)
    }

    /// Judges a path by the module and the crate it leads to.
    fn path(&mut self, segments: &[String], line: usize) {
        let Some(first) = segments.first() else {
            return;
        };
        if let Some((_, allowed)) = CRATES.iter().find(|(name, _)| name == first) {
            self.only_in(&format!("crate `{first}`"), allowed, line);
        }
        let begins = |path: &[&str]| {
            path.iter().zip(segments).filter(|(a, b)| *a == b).count() == path.len()
        };
        if let Some((path, allowed)) = IO.iter().find(|(path, _)| begins(path)) {
            self.only_in(&format!("`{}`", path.join("::")), allowed, line);
        }
        let does_io = ["fs", "net", "env", "process", "io"];
        if begins(&["tokio"]) || does_io.iter().any(|io| begins(&["std", io])) {
            let pure = self
                .top()
                .filter(|top| PURE.contains(top) && !self.is_in(READS));
            if let Some(top) = pure.map(str::to_owned) {
                self.broken(
                    line,
                    format!(
                        "`{top}` does no input and output: `{}`",
                        segments.join("::")
                    ),
                );
            }
        }
        if let Some(target) = self.target(segments) {
            self.import(&target, line);
        }
    }

    fn is_in(&self, module: &str) -> bool {
        let here = self.source.module.join("::");
        here == module || here.starts_with(&format!("{module}::"))
    }

    fn only_in(&mut self, what: &str, allowed: &[&str], line: usize) {
        if !allowed.iter().any(|module| self.is_in(module)) {
            let allowed: Vec<_> = allowed.iter().map(|name| format!("`{name}`")).collect();
            self.broken(
                line,
                format!("{what} may appear only in {}", allowed.join(", ")),
            );
        }
    }

    /// The top module of a path that starts with `crate`, `self` or `super`.
    fn target(&self, segments: &[String]) -> Option<String> {
        let mut at = match segments.first()?.as_str() {
            "crate" => Vec::new(),
            "self" | "super" => self.module.clone(),
            _ => return None,
        };
        for segment in segments {
            match segment.as_str() {
                "crate" | "self" => {}
                "super" => {
                    at.pop();
                }
                name => at.push(name.to_owned()),
            }
        }
        at.into_iter().next()
    }

    fn import(&mut self, target: &str, line: usize) {
        let Some(top) = self.top().map(str::to_owned) else {
            return;
        };
        if top == target || !MAY_IMPORT.iter().any(|(name, _)| *name == target) {
            return;
        }
        match MAY_IMPORT.iter().find(|(name, _)| *name == top) {
            None => self.broken(
                line,
                format!("module `{top}` is not in the table of who may import whom"),
            ),
            Some((_, allowed)) if *allowed == ANY || allowed.contains(&target) => {}
            Some(_) => self.broken(line, format!("`{top}` may not import `{target}`")),
        }
    }

    fn tree(&mut self, tree: &UseTree, prefix: &[String]) {
        match tree {
            UseTree::Path(path) => {
                let prefix = [prefix, &[path.ident.unraw().to_string()]].concat();
                self.tree(&path.tree, &prefix);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, prefix)),
            UseTree::Name(name) => self.leaf(&name.ident, prefix),
            UseTree::Rename(rename) => self.leaf(&rename.ident, prefix),
            UseTree::Glob(glob) => self.path(prefix, glob.span().start().line),
        }
    }

    fn leaf(&mut self, ident: &Ident, prefix: &[String]) {
        let path = [prefix, &[ident.unraw().to_string()]].concat();
        self.path(&path, ident.span().start().line);
    }

    /// What a macro is given is no syntax tree: its paths are found among the tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 || path.is_empty() {
                        self.path(&std::mem::take(&mut path), line);
                        line = ident.span().start().line;
                    }
                    colons = 0;
                    path.push(ident.unraw().to_string());
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Punct(punct) if punct.as_char() == '!' => {
                    if let Some(name) = path.last().cloned() {
                        self.called(&name, line);
                    }
                }
                TokenTree::Group(group) => {
                    self.path(&std::mem::take(&mut path), line);
                    colons = 0;
                    self.tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => colons = 0,
            }
        }
        self.path(&path, line);
    }

    /// A macro of this name is called.
    fn called(&mut self, name: &str, line: usize) {
        let may_print = self.top().is_none_or(|top| MAY_PRINT.contains(&top));
        if PRINTS.contains(&name) && !may_print {
            self.broken(
                line,
                format!("`{name}!` may appear only in `cli` and `report`"),
            );
        }
        if matches!(name, "dbg" | "todo" | "unimplemented") {
            self.broken(line, format!("`{name}!` is left over"));
        }
        if name == "thread_local" {
            self.broken(line, "no global state: `thread_local!`");
        }
    }
}

impl<'ast> Visit<'ast> for Checker<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes: &[Attribute] = match item {
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Mod(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        self.module.push(item.ident.unraw().to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path
            .segments
            .iter()
            .map(|segment| segment.ident.unraw().to_string())
            .collect();
        self.path(&segments, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast Macro) {
        let line = item.path.span().start().line;
        if let Some(segment) = item.path.segments.last() {
            self.called(&segment.ident.unraw().to_string(), line);
        }
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }

    fn visit_item_static(&mut self, item: &'ast ItemStatic) {
        let line = item.span().start().line;
        if matches!(item.mutability, syn::StaticMutability::Mut(_)) {
            self.broken(
                line,
                format!("no global state: `static mut {}`", item.ident),
            );
        }
        let mut types = Types::default();
        types.visit_type(&item.ty);
        let state = |name: &String| STATE.contains(&name.as_str()) || name.starts_with("Atomic");
        let counter =
            |(path, name): &(&str, &str)| self.source.path == Path::new(path) && item.ident == name;
        if types.0.iter().any(state) && !COUNTERS.iter().any(counter) {
            self.broken(line, format!("no global state: `static {}`", item.ident));
        }
        visit::visit_item_static(self, item);
    }
}

/// Names of all types within a type.
#[derive(Default)]
struct Types(Vec<String>);

impl<'ast> Visit<'ast> for Types {
    fn visit_path_segment(&mut self, segment: &'ast syn::PathSegment) {
        self.0.push(segment.ident.to_string());
        visit::visit_path_segment(self, segment);
    }
}
