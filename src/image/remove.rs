//! Images that are no longer wanted: those of a worktree, and what was built for a tag before.

use std::{collections::BTreeSet, time::Duration};

use bollard::{
    errors::Error as EngineError,
    models::ImageSummary,
    query_parameters::{
        ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
        TagImageOptionsBuilder,
    },
};

use super::{BUILDER_LABEL, ImageError, Images, SOURCE_LABEL, Source, TAG_LABEL, builder};

/// A superseded image of a Dockerfile younger than this may still be in the making by another run.
const YOUNG: Duration = Duration::from_secs(600);

impl Images {
    /// Removes the tag, and the image when nothing else needs it. No error when there is none.
    pub async fn remove(&self, reference: &str) -> Result<(), ImageError> {
        let options = RemoveImageOptionsBuilder::default().build();
        match self
            .docker
            .remove_image(reference, Some(options), None)
            .await
        {
            Ok(_)
            | Err(EngineError::DockerResponseServerError {
                status_code: 404, ..
            }) => Ok(()),
            // Removed by another run in the same moment: the engine has several words for that.
            Err(_) if self.inspect(reference).await?.is_none() => Ok(()),
            Err(error) => Err(ImageError::engine("remove an image", error)),
        }
    }

    /// Removes every tag of a repository, such as `devenv/hello-1a2b3c4d`, and what was built there before; the removed tags.
    pub async fn remove_repository(&self, repository: &str) -> Result<Vec<String>, ImageError> {
        let tagged = self.list(&[("reference", repository)]).await?;
        let mut removed = Vec::new();
        for tag in tagged.into_iter().flat_map(|image| image.repo_tags) {
            // The filter is a pattern; the name must be this one.
            if tag.rsplit_once(':').map(|(name, _)| name) == Some(repository) {
                self.remove(&tag).await?;
                removed.push(tag);
            }
        }
        removed.sort();
        for image in self.nameless().await? {
            if image.repository() == Some(repository) {
                self.remove_nameless(&image.id).await?;
            }
        }
        Ok(removed)
    }

    /// Removes what a worktree built for references of its file, with what was built for them before; the tags that went.
    /// What a container uses stays, and so does what has the tag by now.
    pub async fn remove_built_by(&self, id: &str) -> Result<Vec<String>, ImageError> {
        let built = self.list(&[("label", BUILDER_LABEL)]).await?.into_iter();
        let tags: BTreeSet<_> = built
            .filter_map(|mut image| {
                let tag = image.labels.remove(TAG_LABEL)?;
                let is_own = image.labels.get(BUILDER_LABEL) == Some(&builder(id, &tag));
                is_own.then_some(tag)
            })
            .collect();
        let mut removed = Vec::new();
        for tag in tags {
            let named = self.inspect(&tag).await?;
            if let Some(image) = named.filter(|image| image.is_built_by(id))
                && !self.is_used(&image.id).await
            {
                self.remove(&tag).await?;
                removed.push(tag.clone());
            }
            self.sweep(&tag).await;
        }
        Ok(removed)
    }

    /// Whether a container, running or not, is of this image; so when the engine does not say.
    async fn is_used(&self, id: &str) -> bool {
        let filters = [("ancestor", vec![id])].into_iter().collect();
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let users = self.docker.list_containers(Some(options)).await;
        !users.is_ok_and(|users| users.is_empty())
    }

    async fn list(&self, filters: &[(&str, &str)]) -> Result<Vec<ImageSummary>, ImageError> {
        let filters = filters.iter().map(|(name, value)| (*name, vec![*value]));
        let options = ListImagesOptionsBuilder::default()
            .filters(&filters.collect())
            .build();
        let images = self.docker.list_images(Some(options)).await;
        images.map_err(|error| ImageError::engine("list images", error))
    }

    /// Images built by devenv that have no tag.
    async fn nameless(&self) -> Result<Vec<Nameless>, ImageError> {
        let images = self
            .list(&[("dangling", "true"), ("label", SOURCE_LABEL)])
            .await?;
        Ok(images.into_iter().map(Nameless).collect())
    }

    /// Removes what was built for this tag before, by this run or one that was killed. What a container uses stays.
    pub(super) async fn sweep(&self, tag: &str) {
        let now = jiff::Timestamp::now().as_second();
        for image in self.nameless().await.unwrap_or_default() {
            let young = now - image.created < YOUNG.as_secs() as i64;
            let may_be_in_the_making = image.is(Source::Dockerfile) && young;
            if image.label(TAG_LABEL) == Some(tag) && !may_be_in_the_making {
                // In use, or removed by another run: both are fine.
                let _ = self.remove_nameless(&image.id).await;
            }
        }
    }

    /// Removes an image without a tag. Asked by its id, the engine would remove it with a tag that another run gives it just now:
    /// so it gets a tag to be removed, and goes with it only when that is its last.
    async fn remove_nameless(&self, id: &str) -> Result<(), ImageError> {
        // The engine keeps what a container uses, and would keep the tag with it.
        if self.is_used(id).await {
            return Ok(());
        }
        let (repository, tag) = (
            "devenv/removed",
            id.rsplit(':').next().unwrap_or(id).to_owned() + "-" + &std::process::id().to_string(),
        );
        let options = TagImageOptionsBuilder::default()
            .repo(repository)
            .tag(&tag)
            .build();
        match self.docker.tag_image(id, Some(options)).await {
            Ok(()) => self.remove(&format!("{repository}:{tag}")).await,
            Err(EngineError::DockerResponseServerError {
                status_code: 404, ..
            }) => Ok(()),
            Err(error) => Err(ImageError::engine("remove an image", error)),
        }
    }
}

/// An image without a tag.
struct Nameless(ImageSummary);

impl std::ops::Deref for Nameless {
    type Target = ImageSummary;

    fn deref(&self) -> &ImageSummary {
        &self.0
    }
}

impl Nameless {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    /// The repository of the tag it was built for.
    fn repository(&self) -> Option<&str> {
        Some(self.label(TAG_LABEL)?.rsplit_once(':')?.0)
    }

    fn is(&self, source: Source) -> bool {
        self.label(SOURCE_LABEL) == Some(source.as_str())
    }
}
