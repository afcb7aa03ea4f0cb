//! Config → Plan: which steps there are, what each needs, and what each one's definition says.

use std::collections::{BTreeMap, BTreeSet};

use super::{Digest, Inputs, Plan, Sources, Step, draft::Draft, secrets};
use crate::config::{
    App, Build, Config, KeyPath, Migrate, Part, Postgres, Proto, Service, Smoke, StepId, StepKind,
    Task, Template, Tool,
};

/// Bumped whenever keys of the same definition change, so that old records do not match by accident.
const SCHEMA: &str = "1";

/// Facts of `devenv.lock`, by step: pinned digests. They are part of a step's definition.
pub type Locked = BTreeMap<StepId, String>;

impl Plan {
    /// All steps the file describes. Pure: the same file, lock and sources give the same plan and hash on every machine.
    pub fn build(config: &Config, locked: &Locked, sources: &Sources) -> Plan {
        let mut builder = Builder {
            config,
            locked,
            sources,
            steps: BTreeMap::new(),
        };
        builder.toolchain();
        builder.images();
        builder.protos();
        for (name, postgres) in &config.postgres {
            builder.postgres(name, postgres);
        }
        for (name, service) in &config.service {
            builder.service(name, service);
        }
        for (name, migrate) in &config.migrate {
            builder.migrate(name, migrate);
        }
        for (name, app) in &config.app {
            builder.app(name, app);
        }
        for (name, task) in &config.task {
            builder.task(name, task);
        }
        for (name, smoke) in &config.smoke {
            builder.smoke(name, smoke);
        }
        builder.ci_files();
        builder.upstream_of_tasks();
        let steps = builder.steps;
        let hash = hash(config, &steps);
        Plan {
            project: config.project.name.clone(),
            steps,
            hash,
        }
    }

    /// What `devenv up` is for.
    pub fn up_goals(&self) -> BTreeSet<StepId> {
        self.steps
            .keys()
            .filter(|id| id.kind.is_brought_up() && !self.is_only_for_others(id))
            .cloned()
            .collect()
    }

    /// An image that nothing uses but steps that `up` does not bring up.
    fn is_only_for_others(&self, id: &StepId) -> bool {
        let users = self.steps.values().filter(|step| step.needs.contains(id));
        let mut users = users.peekable();
        id.kind == StepKind::Image
            && users.peek().is_some()
            && users.all(|step| !step.kind.is_brought_up())
    }

    /// The edges, for order and closure.
    pub fn graph(&self) -> super::Graph {
        super::Graph {
            needs: self
                .steps
                .iter()
                .map(|(id, step)| (id.clone(), step.needs.clone()))
                .collect(),
        }
    }
}

/// Name of the step that gives an image: its `[image.*]` table's name, else the reference itself.
pub fn image_step(config: &Config, reference: &str) -> StepId {
    let name = config
        .image
        .iter()
        .find(|(_, image)| image.reference == reference)
        .map_or(reference, |(name, _)| name);
    StepId::new(StepKind::Image, name)
}

/// Building images from packages runs mmdebstrap: the tool that provides it, should an image be built so.
pub fn image_tools(config: &Config) -> BTreeSet<StepId> {
    if !config.image.values().any(|image| image.debian.is_some()) {
        return BTreeSet::new();
    }
    let tools = config.toolchain.iter();
    tools
        .filter(|(name, tool)| command_of(name, tool) == "mmdebstrap")
        .map(|(name, _)| StepId::new(StepKind::Toolchain, name))
        .collect()
}

/// The tools that services run on where they are processes, and nothing else does.
pub fn process_tools(config: &Config) -> BTreeSet<StepId> {
    let apps = config.app.values().map(|app| &app.service);
    let services = config.service.values().chain(apps);
    let programs = services.filter_map(|service| service.process.as_ref());
    let servers = config.postgres.values();
    let tools = programs
        .map(|program| program.tool.as_deref())
        .chain(servers.map(|postgres| postgres.tool.as_deref()));
    tools.filter_map(tool_step).collect()
}

fn tool_step(name: Option<&str>) -> Option<StepId> {
    name.map(|name| StepId::new(StepKind::Toolchain, name))
}

struct Builder<'a> {
    config: &'a Config,
    locked: &'a Locked,
    sources: &'a Sources,
    steps: BTreeMap<StepId, Step>,
}

impl Builder<'_> {
    fn toolchain(&mut self) {
        for (name, tool) in &self.config.toolchain {
            let id = StepId::new(StepKind::Toolchain, name);
            self.add(Draft::new(id, tool));
        }
    }

    fn images(&mut self) {
        let config = self.config;
        for (name, image) in &config.image {
            let id = StepId::new(StepKind::Image, name);
            let needs = match image.debian {
                Some(_) => image_tools(config),
                None => self.named_images(&id),
            };
            self.add(Draft::new(id, image).feeds(needs));
        }
        for (name, postgres) in &config.postgres {
            self.implicit_image(&postgres.image, KeyPath::of(["postgres", name]));
        }
        for (name, service) in &config.service {
            if let Some(image) = &service.image {
                self.implicit_image(image, KeyPath::of(["service", name, "image"]));
            }
        }
        for (name, app) in &config.app {
            if let Build::Host(build) = &app.build {
                self.implicit_image(&build.base, KeyPath::of(["app", name, "build", "base"]));
            }
        }
        for (name, task) in &config.task {
            if let Some(image) = task.image() {
                self.implicit_image(image, KeyPath::of(["task", name, "in"]));
            }
        }
    }

    /// An image that a step uses by reference alone, with no `[image.*]` table.
    fn implicit_image(&mut self, reference: &str, site: KeyPath) {
        let id = image_step(self.config, reference);
        if self.steps.contains_key(&id) {
            return;
        }
        let mut draft = Draft::new(id, &BTreeMap::from([("ref", reference)]));
        draft.step.site = site;
        self.add(draft);
    }

    fn protos(&mut self) {
        for (name, proto) in &self.config.proto {
            let id = StepId::new(StepKind::Proto, name);
            let tools = self.proto_tools(proto);
            let rust = proto.rust.iter().map(|rust| &rust.out);
            let plugins = proto.plugin.values().map(|plugin| &plugin.out);
            let draft = Draft::new(id, proto)
                .feeds(tools)
                .writes(rust.chain(plugins));
            self.add(draft.needs(proto.needs.iter().cloned()));
        }
    }

    /// Rust code is generated in process; only plugins come from the toolchain.
    fn proto_tools(&self, proto: &Proto) -> Vec<StepId> {
        if proto.plugin.is_empty() {
            return Vec::new();
        }
        self.tools()
    }

    fn postgres(&mut self, name: &str, postgres: &Postgres) {
        let id = StepId::new(StepKind::Postgres, name);
        let mut draft = Draft::new(id, postgres)
            .feeds([image_step(self.config, &postgres.image)])
            .feeds(tool_step(postgres.tool.as_deref()))
            .needs(postgres.needs.iter().cloned())
            .references([&postgres.password]);
        // Readiness and what is made inside the database do not make the server another one.
        draft.set_aside(&["ready", "needs", "database", "user", "extensions"]);
        // A password written in the file must not be readable in a label.
        draft.hide_text("password", &postgres.password);
        // Where it is had does not tell whether it is another one: a login does.
        let sources = secrets::sources([&postgres.password], self.config);
        draft.step.aside.0.extend(sources.0);
        self.add(draft);
    }

    fn service(&mut self, name: &str, service: &Service) {
        let id = StepId::new(StepKind::Service, name);
        let image = service.image.as_ref();
        let draft = self
            .running(Draft::new(id, service), service)
            .feeds(image.map(|image| image_step(self.config, image)));
        self.add(draft);
    }

    /// What services and apps have in common.
    fn running(&self, draft: Draft, service: &Service) -> Draft {
        let program = service.process.as_ref();
        let templates = service
            .env
            .values()
            .chain(service.entrypoint.iter().flatten())
            .chain(service.command.iter().flatten())
            .chain(program.iter().flat_map(|program| &program.command));
        let facts = self.facts(templates.clone());
        let mut draft = draft
            .feeds(tool_step(
                program.and_then(|program| program.tool.as_deref()),
            ))
            .needs(service.needs.iter().cloned())
            .references(templates);
        draft.set_aside(&["ready", "needs"]);
        draft.with(facts)
    }

    fn migrate(&mut self, name: &str, migrate: &Migrate) {
        let id = StepId::new(StepKind::Migrate, name);
        let draft = Draft::new(id, migrate)
            .needs([migrate.postgres.clone()])
            .needs(migrate.needs.iter().cloned());
        self.add(draft);
        self.lint(name, migrate);
    }

    /// Needs nothing that runs, and none of the needs of its migrations: files are looked at as they are.
    fn lint(&mut self, name: &str, migrate: &Migrate) {
        let id = StepId::new(StepKind::Lint, name);
        let mut draft = Draft::new(id, &migrate.lint);
        let definition = &mut draft.step.definition;
        definition.text("dir", &migrate.dir);
        if let Some(postgres) = self.config.postgres.get(&migrate.postgres.name) {
            definition.text("postgres", &postgres.version);
        }
        self.add(draft);
    }

    fn app(&mut self, name: &str, app: &App) {
        let build = self.build(name, app);
        let id = StepId::new(StepKind::App, name);
        let draft = self.running(Draft::new(id, &app.service), &app.service);
        let mut draft = draft.feeds([build]);
        draft.set_aside(&["image"]);
        if let Build::Host(host) = &app.build {
            // Laying the artifact on its base happens when the app starts, so that compiling does not wait for the base.
            draft = draft.feeds([image_step(self.config, &host.base)]);
            let laid = Draft::new(StepId::new(StepKind::App, name), host);
            for field in ["user", "base"] {
                draft.copy_fields(&laid, field);
            }
            draft.copy_fields(&laid, "files");
        }
        self.add(draft);
    }

    fn build(&mut self, name: &str, app: &App) -> StepId {
        let id = StepId::new(StepKind::Build, name);
        let draft = match &app.build {
            Build::Host(build) => {
                let mut draft = Draft::new(id.clone(), build)
                    .feeds(self.tools())
                    .feeds(self.of_kind(StepKind::Proto))
                    .references(build.env.values())
                    .with(self.facts(build.env.values()))
                    .writes([&build.artifact]);
                draft.set_aside(&["base", "files", "user"]);
                draft
            }
            Build::Dockerfile(build) => Draft::new(id.clone(), build)
                .feeds(self.of_kind(StepKind::Proto))
                .feeds(self.named_images(&id))
                .references(build.args.values())
                .with(self.facts(build.args.values())),
        };
        self.add(draft);
        id
    }

    fn task(&mut self, name: &str, task: &Task) {
        let id = StepId::new(StepKind::Task, name);
        let tools = match task.image() {
            Some(image) => vec![image_step(self.config, image)],
            None => self.tools(),
        };
        let mut draft = Draft::new(id, task)
            .feeds(tools)
            .needs(task.needs.iter().cloned())
            .references(task.env.values())
            .with(self.facts(task.env.values()))
            .writes(&task.outputs);
        draft.set_aside(&["needs", "timeout"]);
        self.add(draft);
    }

    fn smoke(&mut self, name: &str, smoke: &Smoke) {
        let id = StepId::new(StepKind::Smoke, name);
        let draft = Draft::new(id, smoke)
            .needs(smoke.needs.iter().cloned())
            .references(smoke.templates())
            .with(self.facts(smoke.templates()));
        self.add(draft);
    }

    /// The files of CI services. They hold the plan's facts, so what they say is no part of it.
    fn ci_files(&mut self) {
        let Some(ci) = &self.config.ci else {
            return;
        };
        let id = |name| StepId::new(StepKind::Ci, name);
        let github = ci
            .github
            .iter()
            .map(|table| Draft::new(id("github"), table));
        let gitlab = ci
            .gitlab
            .iter()
            .map(|table| Draft::new(id("gitlab"), table));
        for draft in github.chain(gitlab).collect::<Vec<_>>() {
            self.add(draft);
        }
    }

    /// What a task needs, directly or not, it may use: the content that a step made, or what the file says of what runs.
    fn upstream_of_tasks(&mut self) {
        for id in self.of_kind(StepKind::Task) {
            for need in self.upstream(&id) {
                let said = said(&self.steps[&need]);
                let Some(step) = self.steps.get_mut(&id) else {
                    continue;
                };
                match said {
                    Some(digest) => {
                        step.definition.content(need.to_string(), digest);
                    }
                    None => {
                        step.feeds.insert(need);
                    }
                }
            }
        }
    }

    /// All that a step needs. What a task needs in turn is part of its output.
    fn upstream(&self, id: &StepId) -> BTreeSet<StepId> {
        let mut found = BTreeSet::new();
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            let needs = self.steps.get(next).map(|step| &step.needs);
            for need in needs.into_iter().flatten() {
                let is_new = self.steps.contains_key(need) && found.insert(need.clone());
                if is_new && need.kind != StepKind::Task {
                    open.push(need);
                }
            }
        }
        found
    }

    /// Those that commands may use: not what only services run on, or images are built with.
    fn tools(&self) -> Vec<StepId> {
        let mut tools = self.of_kind(StepKind::Toolchain);
        let services = process_tools(self.config);
        let images = image_tools(self.config);
        tools.retain(|tool| !services.contains(tool) && !images.contains(tool));
        tools
    }

    /// The `[image.*]` that the step's Dockerfile names.
    fn named_images(&self, id: &StepId) -> BTreeSet<StepId> {
        self.sources.images.get(id).cloned().unwrap_or_default()
    }

    /// What references come to, as far as the file says: when it changes, whoever was given the old value is out of date.
    fn facts<'t>(&self, templates: impl IntoIterator<Item = &'t Template> + Clone) -> Inputs {
        let mut facts = secrets::sources(templates.clone(), self.config);
        let parts = templates.into_iter().flat_map(|template| &template.parts);
        for part in parts {
            if let Part::Field { step, field } = part
                && let Some(fact) = self.fact(step, field)
            {
                facts.content(format!("{step}.{field}"), Digest::of(fact));
            }
        }
        facts
    }

    /// A text that changes when the field's value inside a container does. Names of hosts do not change.
    fn fact(&self, step: &StepId, field: &str) -> Option<String> {
        if let StepKind::Postgres = step.kind {
            let postgres = self.config.postgres.get(&step.name)?;
            let (user, database) = (&postgres.user, &postgres.database);
            return match field {
                "user" => Some(user.clone()),
                "database" => Some(database.clone()),
                "password" => Some(postgres.password.to_string()),
                "url" => Some(format!("{user}\n{}\n{database}", postgres.password)),
                _ => None,
            };
        }
        let service = match step.kind {
            StepKind::Service => self.config.service.get(&step.name)?,
            _ => &self.config.app.get(&step.name)?.service,
        };
        if let Some(name) = field.strip_prefix("volume.") {
            return service.folder(name).map(str::to_owned);
        }
        let port = match field {
            "port" | "listen" => service.ports.values().next(),
            "url" => service.ports.get("http"),
            field => {
                let name = field.strip_prefix("port.");
                service.ports.get(name.or(field.strip_prefix("listen."))?)
            }
        };
        port.map(|port| port.container.to_string())
    }

    fn of_kind(&self, kind: StepKind) -> Vec<StepId> {
        let of_kind = self.steps.keys().filter(|id| id.kind == kind);
        of_kind.cloned().collect()
    }

    fn add(&mut self, draft: Draft) {
        let mut step = draft.step;
        step.definition.text("schema", SCHEMA);
        if let Some(pin) = self.locked.get(&step.id) {
            step.definition.text("lock", pin);
        }
        if let Some(files) = self.sources.files.get(&step.id) {
            step.aside.0.extend(files.clone());
        }
        self.steps.insert(step.id.clone(), step);
    }
}

/// What the file says of a step whose output does not tell what it is; `None` of one whose output does.
fn said(step: &Step) -> Option<Digest> {
    match step.kind {
        StepKind::Toolchain
        | StepKind::Proto
        | StepKind::Image
        | StepKind::Build
        | StepKind::Task => None,
        StepKind::Postgres | StepKind::Service | StepKind::App | StepKind::Smoke | StepKind::Ci => {
            Some(step.definition.key())
        }
        StepKind::Migrate | StepKind::Lint => {
            let mut said = step.definition.clone();
            said.0.extend(step.aside.0.clone());
            Some(said.key())
        }
    }
}

/// The executable a tool is known for.
fn command_of<'a>(name: &'a str, tool: &'a Tool) -> &'a str {
    tool.command
        .as_deref()
        .or(tool.package.as_deref())
        .unwrap_or(name)
}

/// Digest of the canonical JSON of steps and edges. What the environment of a machine gives is no part of it.
fn hash(config: &Config, steps: &BTreeMap<StepId, Step>) -> Digest {
    let steps = steps.values().map(|step| {
        serde_json::json!({
            "id": step.id,
            "needs": step.needs,
            "feeds": step.feeds,
            "facts": step.facts(&config.source),
        })
    });
    let steps: Vec<_> = steps.collect();
    let canonical = serde_json::json!({ "project": config.project.name, "steps": steps });
    Digest::of(canonical.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(postgres: &str) -> Plan {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let text = format!(
            "[project]\nname = \"x\"\n[postgres.db]\nversion = \"15\"\n{postgres}\n[service.web]\nimage = \"web\"\n\
             env = {{ URL = \"${{postgres.db.url}}\", HOST = \"${{postgres.db.host}}\" }}\n"
        );
        std::fs::write(dir.path().join(crate::config::FILE), text).expect("written");
        let config = crate::config::load(dir.path()).expect("a good file");
        Plan::build(&config, &Locked::new(), &Sources::default())
    }

    #[test]
    fn what_a_reference_comes_to_is_part_of_the_definition() {
        let web: StepId = "service.web".parse().expect("a step id");
        let definition = |postgres: &str| built(postgres).steps[&web].definition.clone();
        let old = definition("database = \"a\"");
        for changed in [
            "database = \"b\"",
            "database = \"a\"\nuser = \"u\"",
            "database = \"a\"\npassword = \"secret\"",
        ] {
            let new = definition(changed);
            let reasons = new.changes_since(&old);
            let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
            assert_eq!(reasons, ["postgres.db.url changed"], "{changed}");
            let text = serde_json::to_string(&new).expect("serialises");
            assert!(!text.contains("secret"), "{text}");
        }
        // What changes nothing of the address does not replace the service.
        assert_eq!(definition("database = \"a\"\nport = 5555"), old);
    }

    #[test]
    fn where_a_secret_is_had_is_part_of_the_definition_of_who_is_given_it() {
        let web: StepId = "service.web".parse().expect("a step id");
        let definition = |source: &str| {
            let table = format!("password = \"${{secret.db}}\"\n[secret.db]\n{source}");
            built(&table).steps[&web].definition.clone()
        };
        let old = definition("env = \"FIRST\"");
        for (source, reason) in [
            (
                "env = \"SECOND\"",
                "secret.db changed: `env FIRST` → `env SECOND`",
            ),
            (
                "file = \"pw.txt\"",
                "secret.db changed: `env FIRST` → `file pw.txt`",
            ),
            ("command = \"echo hunter2\"", "secret.db changed"),
        ] {
            let new = definition(source);
            let reasons = new.changes_since(&old);
            let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
            assert_eq!(reasons, [reason]);
            let text = serde_json::to_string(&new).expect("serialises");
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_lint_is_no_part_of_up_and_its_rules_are_no_part_of_what_is_applied() {
        let with = |lint: &str| {
            built(&format!(
                "[migrate.db]\npostgres = \"postgres.db\"\nneeds = [\"service.web\"]\n{lint}"
            ))
        };
        let (plain, strict) = (with(""), with("lint = { include = [\"ban-drop-index\"] }"));
        let [lint, migrate] = ["lint.db", "migrate.db"].map(|id| id.parse().expect("a step id"));
        assert!(!plain.up_goals().contains(&lint));
        assert!(plain.up_goals().contains(&migrate));
        assert_eq!(plain.steps[&lint].needs, BTreeSet::new());
        let [old, new] = [&plain, &strict].map(|plan| &plan.steps[&lint].definition);
        let reasons = new.changes_since(old);
        let reasons: Vec<_> = reasons.iter().map(ToString::to_string).collect();
        assert_eq!(reasons, ["include.0 added"]);
        let [old, new] = [&plain, &strict].map(|plan| &plan.steps[&migrate].definition);
        assert_eq!(old, new);
    }

    #[test]
    fn what_replaces_nothing_is_still_another_plan() {
        let plain = built("");
        let db: StepId = "postgres.db".parse().expect("a step id");
        for changed in ["extensions = [\"citext\"]", "ready = { timeout = \"5s\" }"] {
            let plan = built(changed);
            assert_eq!(plan.steps[&db].definition, plain.steps[&db].definition);
            assert_ne!(plan.hash, plain.hash, "{changed}");
        }
        assert_eq!(built("ready = { timeout = \"60s\" }").hash, plain.hash);
    }

    #[test]
    fn an_image_that_only_a_task_runs_in_is_no_goal_of_up() {
        let plan = built(
            "[image.tool]\nref = \"tool\"\n[image.free]\nref = \"free\"\n[task.t]\nrun = \"x\"\nin = \"tool\"\n",
        );
        let goals: Vec<_> = plan.up_goals().iter().map(ToString::to_string).collect();
        let images: Vec<_> = goals.iter().filter(|id| id.starts_with("image.")).collect();
        assert_eq!(images, ["image.free", "image.postgres:15", "image.web"]);
    }
}
