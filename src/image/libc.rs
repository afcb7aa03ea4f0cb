//! Which C library a base image has, read out of the image once and remembered by its id.

use std::{
    fs,
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

use bollard::{
    errors::Error as EngineError,
    models::ContainerCreateBody,
    query_parameters::{
        ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder,
        RemoveContainerOptionsBuilder,
    },
};
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};

use super::{ImageError, ImageInfo, Images, blocking, elf};
use crate::sys::fs::write_atomic;

/// What a base offers to a dynamically linked program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Libc {
    /// Newest version of glibc's symbols.
    pub glibc: Option<elf::Version>,
    pub musl: bool,
}

/// Links followed to the C library before giving up.
const LINKS: usize = 8;

/// Debian's folder name and musl's name for an architecture as Go names it.
fn names(go_arch: &str) -> (&str, &str) {
    match go_arch {
        "amd64" => ("x86_64-linux-gnu", "x86_64"),
        "386" => ("i386-linux-gnu", "i386"),
        "arm64" => ("aarch64-linux-gnu", "aarch64"),
        "arm" => ("arm-linux-gnueabihf", "armhf"),
        "ppc64le" => ("powerpc64le-linux-gnu", "powerpc64le"),
        "s390x" => ("s390x-linux-gnu", "s390x"),
        "riscv64" => ("riscv64-linux-gnu", "riscv64"),
        "loong64" => ("loongarch64-linux-gnu", "loongarch64"),
        other => (other, other),
    }
}

impl Images {
    /// The base's C library.
    pub(super) async fn libc(&self, base: &ImageInfo) -> Result<Libc, ImageError> {
        let id = base.id.trim_start_matches("sha256:");
        let path = self.cache_dir().join(format!("libc-{id}.json"));
        if let Some(known) = fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        {
            return Ok(known);
        }
        let container = self.container_of(base).await?;
        let found = self.read_libc(&container.id, &base.architecture).await;
        container.remove().await?;
        let found = found?;
        let bytes = serde_json::to_vec(&found).expect("two plain fields");
        write_atomic(&path, &bytes).map_err(ImageError::cache(&path))?;
        Ok(found)
    }

    /// A container that is never started: its files can be read.
    async fn container_of(&self, base: &ImageInfo) -> Result<Container, ImageError> {
        let body = ContainerCreateBody {
            image: Some(base.id.clone()),
            // An image without a command needs one to be created.
            cmd: Some(vec!["-".into()]),
            network_disabled: Some(true),
            labels: Some([("dev.devenv.inspect".to_owned(), "true".to_owned())].into()),
            ..ContainerCreateBody::default()
        };
        let none: Option<bollard::query_parameters::CreateContainerOptions> = None;
        let created = self.docker.create_container(none, body).await;
        let created = created.map_err(|error| ImageError::engine("look into an image", error))?;
        Ok(Container {
            id: created.id,
            images: Some(self.clone()),
        })
    }

    async fn read_libc(&self, container: &str, arch: &str) -> Result<Libc, ImageError> {
        let (gnu, musl) = names(arch);
        let loader = format!("/lib/ld-musl-{musl}.so.1");
        let folders = [
            format!("/lib/{gnu}"),
            format!("/usr/lib/{gnu}"),
            "/lib64".to_owned(),
            "/usr/lib64".to_owned(),
            "/lib".to_owned(),
            "/usr/lib".to_owned(),
        ];
        let mut glibc = None;
        for folder in folders {
            let path = PathBuf::from(folder).join("libc.so.6");
            if let Some(file) = self.file_in(container, path).await? {
                let elf = blocking(move || elf::read(file)).await;
                glibc = elf.ok().flatten().and_then(|elf| elf.offers);
                break;
            }
        }
        Ok(Libc {
            glibc,
            musl: self.has_file(container, &loader).await?,
        })
    }

    async fn has_file(&self, container: &str, path: &str) -> Result<bool, ImageError> {
        let options = ContainerArchiveInfoOptionsBuilder::default()
            .path(path)
            .build();
        match self
            .docker
            .get_container_archive_info(container, Some(options))
            .await
        {
            Ok(_) => Ok(true),
            Err(EngineError::DockerResponseServerError {
                status_code: 404, ..
            }) => Ok(false),
            Err(error) => Err(ImageError::engine("look into an image", error)),
        }
    }

    /// The file's content in a temporary file, links followed; `None` when there is none.
    async fn file_in(
        &self,
        container: &str,
        path: PathBuf,
    ) -> Result<Option<fs::File>, ImageError> {
        let mut path = path;
        for _ in 0..LINKS {
            let Some(archive) = self.archive_of(container, &path).await? else {
                return Ok(None);
            };
            let found = blocking(move || first_entry(archive)).await;
            match found.map_err(ImageError::read(&path))? {
                Found::File(file) => return Ok(Some(file)),
                Found::Link(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
                Found::Nothing => return Ok(None),
            }
        }
        Ok(None)
    }

    async fn archive_of(
        &self,
        container: &str,
        path: &Path,
    ) -> Result<Option<fs::File>, ImageError> {
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(&path.to_string_lossy())
            .build();
        let mut stream = std::pin::pin!(
            self.docker
                .download_from_container(container, Some(options))
        );
        let mut file = tempfile::tempfile().map_err(ImageError::cache("temporary file"))?;
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(chunk) => file
                    .write_all(&chunk)
                    .map_err(ImageError::cache("temporary file"))?,
                Err(EngineError::DockerResponseServerError {
                    status_code: 404, ..
                }) => {
                    return Ok(None);
                }
                Err(error) => return Err(ImageError::engine("look into an image", error)),
            }
        }
        Ok(Some(file))
    }
}

enum Found {
    File(fs::File),
    Link(PathBuf),
    Nothing,
}

fn first_entry(mut archive: fs::File) -> io::Result<Found> {
    archive.rewind()?;
    let mut tar = tar::Archive::new(archive);
    let Some(entry) = tar.entries()?.next() else {
        return Ok(Found::Nothing);
    };
    let mut entry = entry?;
    match entry.header().entry_type() {
        tar::EntryType::Regular => {
            let mut file = tempfile::tempfile()?;
            io::copy(&mut entry, &mut file)?;
            file.rewind()?;
            Ok(Found::File(file))
        }
        tar::EntryType::Symlink => Ok(entry
            .link_name()?
            .map_or(Found::Nothing, |target| Found::Link(target.into_owned()))),
        _ => Ok(Found::Nothing),
    }
}

/// Removed also when the run is cancelled meanwhile.
struct Container {
    id: String,
    images: Option<Images>,
}

impl Container {
    async fn remove(mut self) -> Result<(), ImageError> {
        match self.images.take() {
            Some(images) => images.remove_container(&self.id).await,
            None => Ok(()),
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let (Some(images), Ok(runtime)) =
            (self.images.take(), tokio::runtime::Handle::try_current())
        {
            let id = std::mem::take(&mut self.id);
            runtime.spawn(async move { images.remove_container(&id).await });
        }
    }
}

impl Images {
    async fn remove_container(&self, id: &str) -> Result<(), ImageError> {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let removed = self.docker.remove_container(id, Some(options)).await;
        removed.map_err(|error| ImageError::engine("remove a container", error))
    }
}
