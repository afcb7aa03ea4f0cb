//! What git ignores: what its rules name and it does not track.

use std::{ffi::OsStr, path::Path, sync::Arc};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use crate::sys::git::{self, Tracked};

/// What git ignores in a folder: its own rules, then those of the folders above it up to the repository's, then those of the user.
pub(super) struct Ignores {
    rules: Vec<Gitignore>,
    /// Of the repository that the folder is in.
    tracked: Option<Arc<Tracked>>,
    /// The folder itself is ignored.
    is_ignored: bool,
    /// Whether anything here or above names something.
    may_ignore: bool,
    above: Option<Arc<Ignores>>,
}

/// What to do with a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Take,
    /// A folder that is ignored but for what git tracks in it.
    TakeTracked,
    Leave,
}

impl Ignores {
    /// Of what lies above a walk. Outside a repository, a `.gitignore` in some folder above, such as the home folder, is not about this
    /// project.
    pub fn above(start: &Path, root: &Path) -> Arc<Self> {
        let user = Gitignore::global().0;
        let has_rules = !user.is_empty();
        let mut all = Arc::new(Self {
            rules: has_rules.then_some(user).into_iter().collect(),
            tracked: None,
            is_ignored: false,
            may_ignore: has_rules,
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
        let repository = git::repository(folder).filter(|_| is_repository);
        // Of all worktrees of the clone.
        let exclude = repository.as_ref();
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
        let (above, tracked) = match is_repository {
            true => (above.topmost(), repository.map(Tracked::of).map(Arc::new)),
            false => (above.clone(), above.tracked.clone()),
        };
        Arc::new(Self {
            may_ignore: above.may_ignore || !rules.is_empty(),
            rules,
            tracked,
            is_ignored: false,
            above: Some(above),
        })
    }

    /// Of a folder with the verdict [`Verdict::TakeTracked`].
    pub fn all(self: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self {
            rules: Vec::new(),
            tracked: self.tracked.clone(),
            is_ignored: true,
            may_ignore: true,
            above: Some(self.clone()),
        })
    }

    fn topmost(self: &Arc<Self>) -> Arc<Self> {
        let mut at = self;
        while let Some(above) = &at.above {
            at = above;
        }
        at.clone()
    }

    /// On what is right in the folder.
    pub fn verdict(&self, folder: &Path, file_name: &OsStr, is_folder: bool) -> Verdict {
        if !self.may_ignore {
            return Verdict::Take;
        }
        let path = folder.join(file_name);
        let is_tracked = || self.tracked.as_ref().is_some_and(|git| git.has(&path));
        match self.is_ignored(&path, is_folder) {
            false => Verdict::Take,
            true if !is_tracked() => Verdict::Leave,
            true if is_folder => Verdict::TakeTracked,
            true => Verdict::Take,
        }
    }

    fn is_ignored(&self, path: &Path, is_folder: bool) -> bool {
        let mut at = Some(self);
        while let Some(ignores) = at {
            if ignores.is_ignored {
                return true;
            }
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
