//! What the file names and is not there, or cannot be what it is named for: found before anything runs, rather than after the long steps that come first.
//!
//! A few looks at the disk and the environment, no engine. What another step may yet make is no finding.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
};

use tokio_util::sync::CancellationToken;

use super::{Steps, migrate};
use crate::{
    config::{App, Build, Dockerfile, KeyPath, Mount, Service, StepId, StepKind},
    event::{Explain, Fault, FaultClass},
    plan::Outputs,
    runtime::{RuntimeError, RuntimeKind},
    sys::{paths::plain, process::Spawn},
};

/// A path that the file names.
struct Named<'a> {
    path: &'a str,
    key: KeyPath,
    /// Where it is mounted, if it is.
    mounted: Option<&'a str>,
}

impl Steps {
    /// One failure for each thing that the step would miss or stumble over when it acts.
    pub async fn missing(&self, id: &StepId) -> Vec<Fault> {
        if self.has_no_use_for(id) {
            return Vec::new();
        }
        let mut faults = self.absent_secrets(id);
        let (wrong, sources) = match id.kind {
            StepKind::Build => self.of_build(id),
            StepKind::Image => self.of_image(id),
            StepKind::App => (Vec::new(), self.of_app(id)),
            StepKind::Service => match self.config.service.get(&id.name) {
                Some(service) => (Vec::new(), self.mounts(id, service)),
                None => Default::default(),
            },
            StepKind::Migrate => {
                let (outputs, never) = (Outputs::new(), CancellationToken::new());
                let wrong = migrate::check(&self.cx(id, &outputs, &never)).await;
                (wrong, Vec::new())
            }
            StepKind::Postgres
            | StepKind::Task
            | StepKind::Smoke
            | StepKind::Toolchain
            | StepKind::Proto
            // To look at files is what they are for.
            | StepKind::Lint
            | StepKind::Ci => Default::default(),
        };
        faults.extend(wrong);
        faults.extend(self.cannot_run(id));
        for source in sources {
            if !self.root.join(source.path).exists() && !self.may_appear(id, source.path).await {
                faults.push(self.absent(id, &source));
            }
        }
        faults
    }

    fn of_build(&self, id: &StepId) -> (Vec<Fault>, Vec<Named<'_>>) {
        match self.config.app.get(&id.name).map(|app| &app.build) {
            Some(Build::Dockerfile(build)) => self.of_dockerfile(id, build, id.key_path()),
            Some(Build::Host(_)) | None => Default::default(),
        }
    }

    fn of_image(&self, id: &StepId) -> (Vec<Fault>, Vec<Named<'_>>) {
        let Some(image) = self.config.image.get(&id.name) else {
            return Default::default();
        };
        if let Some(dockerfile) = &image.dockerfile {
            return self.of_dockerfile(id, dockerfile, id.key_path());
        }
        let at = id.key_path().join("debian").join("files");
        let files = image.debian.iter().flat_map(|debian| &debian.files);
        let named = files.map(|(to, path)| named(path, at.join(to)));
        (Vec::new(), named.collect())
    }

    fn of_dockerfile<'a>(
        &self,
        id: &StepId,
        build: &'a Dockerfile,
        at: KeyPath,
    ) -> (Vec<Fault>, Vec<Named<'a>>) {
        let mut faults = Vec::new();
        let context = named(&build.context, at.join("context"));
        if !self.root.join(context.path).is_dir() {
            faults.push(self.absent(id, &context));
        }
        let key = at.join("dockerfile");
        let ignores = [
            format!("{}.dockerignore", build.path),
            format!("{}/.dockerignore", build.context),
        ];
        let read = [&build.path, &ignores[0], &ignores[1]].into_iter();
        faults.extend(read.filter_map(|path| self.unreadable(path, &key)));
        (faults, vec![named(&build.path, key)])
    }

    /// What is there and no file that can be read. That it is not there at all is another matter.
    fn unreadable(&self, path: &str, key: &KeyPath) -> Option<Fault> {
        let path = plain(path);
        let mut first = [0];
        let read = File::open(self.root.join(&path)).and_then(|mut file| file.read(&mut first));
        let why = match read {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) if error.kind() == ErrorKind::IsADirectory => "it is a folder".to_owned(),
            Err(error) => error.to_string(),
            Ok(_) => return None,
        };
        let fault = Fault::new(format!("cannot read `{}`: {why}", path.display()));
        Some(
            fault
                .class(FaultClass::Usage)
                .at_key(key.clone())
                .help("put a file in its place that this user can read"),
        )
    }

    fn of_app(&self, id: &StepId) -> Vec<Named<'_>> {
        let Some(App { build, service }) = self.config.app.get(&id.name) else {
            return Default::default();
        };
        let mut sources = self.mounts(id, service);
        if let Build::Host(build) = build
            && self.kind() == RuntimeKind::Docker
        {
            let at = id.key_path().join("build").join("files");
            let files = build.files.iter();
            sources.extend(files.map(|(to, path)| named(path, at.join(to))));
        }
        sources
    }

    /// Processes see the project as it is.
    fn mounts<'a>(&self, id: &StepId, service: &'a Service) -> Vec<Named<'a>> {
        match self.kind() {
            RuntimeKind::Docker => mounts(id, service),
            RuntimeKind::Process => Vec::new(),
        }
    }

    fn absent(&self, id: &StepId, named: &Named<'_>) -> Fault {
        if let Some(target) = named.mounted {
            let error = RuntimeError::NoMountSource {
                step: id.clone(),
                source_path: self.root.join(plain(named.path)).display().to_string(),
                target: target.to_owned(),
            };
            return error.explain();
        }
        Fault::new(format!("`{}` of `{id}` does not exist", named.path))
            .class(FaultClass::Usage)
            .at_key(named.key.clone())
            .help("create it, or correct the path, which is relative to devenv.toml")
    }

    /// Whether a step may write it: one needs a task, it is a declared output, beside an artifact, or of no worth to git.
    async fn may_appear(&self, id: &StepId, path: &str) -> bool {
        let path = plain(path);
        let earlier = self.plan.graph().closure([id.clone()]);
        if earlier.iter().any(|id| id.kind == StepKind::Task) {
            return true;
        }
        let tasks = self.config.task.values().flat_map(|task| &task.outputs);
        let protos = self.config.proto.values().flat_map(|proto| {
            let rust = proto.rust.iter().map(|rust| &rust.out);
            rust.chain(proto.plugin.values().map(|plugin| &plugin.out))
        });
        if tasks.chain(protos).any(|out| path.starts_with(out)) {
            return true;
        }
        let folders = self.config.app.values().filter_map(|app| match &app.build {
            Build::Host(build) => top_folder(&build.artifact),
            Build::Dockerfile(_) => None,
        });
        if folders.into_iter().any(|folder| path.starts_with(folder)) {
            return true;
        }
        let mut ask = Spawn::new(["git", "check-ignore", "-q", "--"]);
        ask.argv.push(path.display().to_string());
        ask.cwd = Some(self.root.clone());
        ask.output()
            .await
            .is_ok_and(|output| output.status.success())
    }
}

fn named(path: &str, key: KeyPath) -> Named<'_> {
    Named {
        path,
        key,
        mounted: None,
    }
}

/// Files and folders of the project. Others are the engine's, which may be another machine.
fn mounts<'a>(id: &StepId, service: &'a Service) -> Vec<Named<'a>> {
    let at = id.key_path().join("volumes");
    let binds = service
        .volumes
        .iter()
        .filter_map(|(to, mount)| match mount {
            Mount::Bind { path, .. } => Some((to, path)),
            Mount::Volume(_) => None,
        });
    binds
        .filter(|(_, path)| Path::new(path).is_relative())
        .map(|(to, path)| Named {
            mounted: Some(to),
            ..named(path, at.join(to))
        })
        .collect()
}

/// `target` of `target/release/hello`; nothing for a file right in the project.
fn top_folder(path: &str) -> Option<&Path> {
    let mut folders: Vec<_> = Path::new(path).ancestors().skip(1).collect();
    folders.pop();
    folders.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beside_an_artifact_is_its_top_folder() {
        assert_eq!(
            top_folder("target/release/hello"),
            Some(Path::new("target"))
        );
        assert_eq!(top_folder("out/hello"), Some(Path::new("out")));
        assert_eq!(top_folder("hello"), None);
    }
}
