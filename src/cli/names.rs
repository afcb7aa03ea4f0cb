//! Steps as people name them: by id (`service.web`), or by the bare name (`web`) where it can mean only one.

use super::context::Context;
use crate::{
    config::{StepId, StepKind, nearest},
    event::{Fault, FaultClass, quoted},
    plan::Plan,
    runtime::Runtime,
};

/// What `web` means to a command about what runs: its service, not the image or build of that name.
pub const RUNNING: &[StepKind] = &[StepKind::Postgres, StepKind::Service, StepKind::App];

/// The steps named on the command line. Of several with the same name, one of the preferred kinds is meant.
pub fn steps(plan: &Plan, names: &[String], preferred: &[StepKind]) -> Result<Vec<StepId>, Fault> {
    names
        .iter()
        .map(|name| step(plan, name, preferred))
        .collect()
}

pub fn step(plan: &Plan, name: &str, preferred: &[StepKind]) -> Result<StepId, Fault> {
    if name.contains('.') {
        let id = name.parse().ok();
        return id
            .filter(|id| plan.steps.contains_key(id))
            .ok_or_else(|| unknown(plan, name, preferred));
    }
    let all: Vec<_> = plan.steps.keys().filter(|id| id.name == name).collect();
    let (best, others): (Vec<&StepId>, Vec<&StepId>) =
        all.iter().partition(|id| preferred.contains(&id.kind));
    let others: Vec<_> = match others.len() {
        0 | 1 => others,
        // It has the name of its migrations, which are meant.
        _ => (others.into_iter().filter(|id| id.kind != StepKind::Lint)).collect(),
    };
    match (best.as_slice(), others.as_slice()) {
        ([id], _) | ([], [id]) => Ok((*id).clone()),
        ([], []) => Err(unknown(plan, name, preferred)),
        _ => Err(Fault::new(format!("several steps are called `{name}`"))
            .class(FaultClass::Usage)
            .help(format!("name one of {}", quoted(all)))),
    }
}

/// A step that can be asked for what runs of it: the file has it, or it is left from an earlier file.
pub async fn running(cx: &Context, name: &str) -> Result<StepId, Fault> {
    let unknown = match step(&*cx.plan()?, name, RUNNING) {
        Ok(id) if id.kind.is_running_service() => return Ok(id),
        Ok(id) => return Err(runs_not(&id)),
        Err(fault) => fault,
    };
    let Ok(listing) = cx.runtime()?.list().await else {
        return Err(unknown);
    };
    let mut left = listing.instances.into_iter().map(|instance| instance.step);
    left.find(|step| step.to_string() == name || step.name == name)
        .ok_or(unknown)
}

/// The step is known, but nothing of it keeps running.
pub fn runs_not(id: &StepId) -> Fault {
    Fault::new(format!("`{id}` is nothing that keeps running"))
        .class(FaultClass::Usage)
        .help("name a `postgres`, `service` or `app` step")
}

/// A step that the file does not have, with the one that is most likely meant, else all of its kind, or of those that are meant there.
pub fn unknown(plan: &Plan, name: &str, preferred: &[StepKind]) -> Fault {
    let fault = Fault::new(format!("devenv.toml has no step `{name}`")).class(FaultClass::Usage);
    let text = |id: &StepId| match name.contains('.') {
        true => id.to_string(),
        false => id.name.clone(),
    };
    let known: Vec<_> = plan.steps.keys().map(|id| (text(id), id)).collect();
    if let Some(near) = nearest(name, known.iter().map(|(text, _)| text.as_str())) {
        let mut meant = known.iter().filter(|(text, _)| text == near);
        let first = meant.clone().next();
        let found = meant.find(|(_, id)| preferred.contains(&id.kind)).or(first);
        let (_, id) = found.expect("the nearest is one of the known");
        return fault.help(format!("did you mean `{id}`?"));
    }
    let kind = name.split('.').next().unwrap_or_default();
    let mut names: Vec<_> = plan.steps.keys().collect();
    if names.iter().any(|id| id.kind.as_str() == kind) {
        names.retain(|id| id.kind.as_str() == kind);
    } else if names.iter().any(|id| preferred.contains(&id.kind)) {
        names.retain(|id| preferred.contains(&id.kind));
    } else if names.iter().any(|id| id.kind.is_running_service()) {
        names.retain(|id| id.kind.is_running_service());
    }
    match names.is_empty() {
        true => fault,
        false => fault.help(format!("it has {}", quoted(names))),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        config,
        plan::{Locked, Sources},
    };

    const FILE: &str = "[project]\nname = \"x\"\n[postgres.db]\nversion = \"15\"\n\
        [migrate.db]\ndir = \"m\"\npostgres = \"postgres.db\"\n[service.web]\nimage = \"web\"\n\
        [task.lint]\nrun = \"true\"\n[task.all]\nrun = \"true\"\n\
        [toolchain.all]\nfrom = \"system\"\nversion = \"1\"\n";

    /// The id, or message and help.
    fn named(name: &str, preferred: &[StepKind]) -> String {
        let config = config::parse(Path::new(config::FILE), FILE, &|_| None).expect("a good file");
        let plan = Plan::build(&config, &Locked::new(), &Sources::default());
        match step(&plan, name, preferred) {
            Ok(id) => id.to_string(),
            Err(fault) => format!("{}; {}", fault.message, fault.help.unwrap_or_default()),
        }
    }

    #[test]
    fn a_bare_name_means_the_step_the_command_is_about() {
        assert_eq!(named("web", RUNNING), "service.web");
        assert_eq!(named("service.web", &[]), "service.web");
        assert_eq!(named("db", RUNNING), "postgres.db");
        assert_eq!(named("db", &[StepKind::Migrate]), "migrate.db");
        assert_eq!(named("lint", RUNNING), "task.lint");
        assert_eq!(named("all", &[StepKind::Task]), "task.all");
        assert_eq!(
            named("all", RUNNING),
            "several steps are called `all`; name one of `toolchain.all`, `task.all`"
        );
    }

    #[test]
    fn an_unknown_name_comes_with_the_one_most_likely_meant() {
        for (name, help) in [
            ("wbe", "did you mean `service.web`?"),
            ("servce.web", "did you mean `service.web`?"),
            ("service.wbe", "did you mean `service.web`?"),
            ("service.frontend", "it has `service.web`"),
            ("frontend", "it has `postgres.db`, `service.web`"),
        ] {
            let expected = format!("devenv.toml has no step `{name}`; {help}");
            assert_eq!(named(name, RUNNING), expected);
        }
        let tasks = named("frontend", &[StepKind::Task]);
        assert!(
            tasks.ends_with("; it has `task.all`, `task.lint`"),
            "{tasks}"
        );
    }
}
