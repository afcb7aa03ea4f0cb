//! Who this worktree is: the id in the names of all that is made for it. See [`Identity`].

use std::path::Path;

use super::context::Context;
use crate::{
    event::Fault,
    runtime::{Identity, docker, process},
    sys::docker_host::Endpoint,
};

impl Context {
    /// Who this worktree is: two folders of the same name are two identities. With a new name the project keeps the id that its
    /// containers and data have, unless that name is one under which it is known to have others; a copied or moved folder has
    /// its own, as the path is part of it.
    pub fn identity(&self) -> Result<Identity, Fault> {
        let root = self.place()?.display().to_string();
        let mut identity = Identity::new(&self.config()?.project.name, &root);
        match self.kept_id()? {
            Some(kept) if !self.store()?.former().contains(&identity.id) => identity.id = kept,
            Some(_) | None => {}
        }
        Ok(identity)
    }

    /// Who it was until the project got a name back that it had before.
    pub fn left_identity(&self) -> Result<Option<Identity>, Fault> {
        let identity = self.identity()?;
        let kept = self.kept_id()?.filter(|kept| *kept != identity.id);
        Ok(kept.map(|id| Identity {
            project: Identity::name_of(&id).to_owned(),
            id,
            ..identity
        }))
    }

    /// What `.devenv` says that it is, unless it came here with a copy of another folder.
    fn kept_id(&self) -> Result<Option<String>, Fault> {
        let root = self.place()?.display().to_string();
        let kept = self.store()?.identity();
        Ok(kept.filter(|id| Identity::is_of(id, &root)))
    }

    /// Who this worktree was when it made what it has: for when devenv.toml cannot be read.
    pub async fn found_identity(&self) -> Result<Option<Identity>, Fault> {
        let root = self.place()?;
        let folder = root.display().to_string();
        if let Some(id) = self.kept_id()? {
            return Ok(Some(Identity {
                project: Identity::name_of(&id).to_owned(),
                id,
                root: folder,
            }));
        }
        Ok(match on_engine(&root).await {
            Some(identity) => Some(identity),
            // Processes are known by their folder.
            None => process::has_something(&root).then(|| Identity::new("devenv", &folder)),
        })
    }
}

/// Who made what the folder has on the engine; `None` also when that does not say.
pub async fn on_engine(root: &Path) -> Option<Identity> {
    let endpoint = Endpoint::find().ok()?;
    let root = root.display().to_string();
    docker::identity_at(&endpoint, &root).await.ok()?
}
