//! What git ignores.

use std::{ffi::OsStr, path::Path, sync::Arc};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use crate::sys::git;

/// What git ignores in a folder: its own rules, then those of the folders above it up to the repository's, then those of the user.
pub(super) struct Ignores {
    rules: Vec<Gitignore>,
    above: Option<Arc<Ignores>>,
}

impl Ignores {
    /// Of what lies above a walk. Outside a repository, a `.gitignore` in some folder above, such as the home folder, is not about this
    /// project.
    pub fn above(start: &Path, root: &Path) -> Arc<Self> {
        let user = Gitignore::global().0;
        let mut all = Arc::new(Self {
            rules: Some(user)
                .into_iter()
                .filter(|rules| !rules.is_empty())
                .collect(),
            above: None,
        });
        let repository = root.ancestors().find(|dir| dir.join(".git").exists());
        let top = repository.unwrap_or(root);
        let folders = start.ancestors().skip(1);
        let mut folders: Vec<_> = folders.take_while(|dir| dir.starts_with(top)).collect();
        folders.reverse();
        for folder in folders {
            all = Self::added(&all, folder, folder.join(".gitignore").is_file());
        }
        all
    }

    /// With those of a folder that has these names in it.
    pub fn with<'n>(
        above: &Arc<Self>,
        folder: &Path,
        names: impl Iterator<Item = &'n OsStr>,
    ) -> Arc<Self> {
        let (mut has_rules, mut is_repository) = (false, false);
        for name in names {
            has_rules |= name == ".gitignore";
            is_repository |= name == ".git";
        }
        match has_rules || is_repository {
            true => Self::added(above, folder, has_rules),
            false => above.clone(),
        }
    }

    fn added(above: &Arc<Self>, folder: &Path, has_rules: bool) -> Arc<Self> {
        let is_repository = folder.join(".git").exists();
        let own = has_rules.then(|| folder.join(".gitignore"));
        // Of all worktrees of the clone.
        let exclude = git::repository(folder).filter(|_| is_repository);
        let exclude = exclude.map(|repository| repository.common.join("info/exclude"));
        let rules = [own, exclude].into_iter().flatten();
        let rules = rules.filter_map(|file| {
            let mut builder = GitignoreBuilder::new(folder);
            // A rule that cannot be read ignores nothing, as in git.
            builder.add(file);
            builder.build().ok().filter(|rules| !rules.is_empty())
        });
        let rules: Vec<_> = rules.collect();
        // What is above a repository in another one says nothing of its files, but the user's own rules do.
        let above = match is_repository {
            true => above.topmost(),
            false => above.clone(),
        };
        match rules.is_empty() {
            true => above,
            false => Arc::new(Self {
                rules,
                above: Some(above),
            }),
        }
    }

    fn topmost(self: &Arc<Self>) -> Arc<Self> {
        let mut at = self;
        while let Some(above) = &at.above {
            at = above;
        }
        at.clone()
    }

    pub fn may_ignore(&self) -> bool {
        !self.rules.is_empty() || self.above.is_some()
    }

    pub fn is_ignored(&self, path: &Path, is_folder: bool) -> bool {
        let mut at = Some(self);
        while let Some(ignores) = at {
            for rules in &ignores.rules {
                match rules.matched(path, is_folder) {
                    Match::None => {}
                    Match::Ignore(_) => return true,
                    Match::Whitelist(_) => return false,
                }
            }
            at = ignores.above.as_deref();
        }
        false
    }
}
