//! Who this worktree is: the id in the names of all that is made for it. See [`Identity`].

use super::context::Context;
use crate::{
    event::Fault,
    runtime::{Identity, docker},
    sys::docker_host::Endpoint,
};

impl Context {
    /// Who this worktree is: two folders of the same name are two identities. With a new name the project keeps the id that its
    /// containers and data have, unless that name is one under which it is known to have others; a copied or moved folder has
    /// its own, as the path is part of it.
    pub fn identity(&self) -> Result<Identity, Fault> {
        let root = self.root()?.display().to_string();
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
        let root = self.root()?.display().to_string();
        let kept = self.store()?.identity();
        Ok(kept.filter(|id| Identity::is_of(id, &root)))
    }

    /// Who this worktree was when it made what it has on the engine: for when devenv.toml cannot be read.
    pub async fn found_identity(&self) -> Option<Identity> {
        let endpoint = Endpoint::find().ok()?;
        let root = self.root().ok()?.display().to_string();
        docker::identity_at(&endpoint, &root).await.ok()?
    }
}
