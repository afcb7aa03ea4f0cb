//! Checks that look at several keys of a table, or at several tables. Also fills the port of an HTTP probe.

use std::collections::BTreeMap;

use super::{Report, tasks::tasks, toolchain};
use crate::{
    config::{
        Config, FILE, KeyPath, Part, Plugin, Port, Probe, Proto, Ready, Service, StepId, StepKind,
        Template, suggest,
    },
    sys::paths::plain,
};

pub(in crate::config) fn tables(report: &mut Report<'_>, config: &mut Config) {
    for (name, service) in &mut config.service {
        let at = KeyPath::of(["service", name]);
        runnable(report, &at, service);
        ready_port(report, &at, &mut service.ready, &service.ports);
        unique_ports(report, &at, &service.ports);
    }
    for (name, app) in &mut config.app {
        let at = KeyPath::of(["app", name]);
        ready_port(report, &at, &mut app.service.ready, &app.service.ports);
        unique_ports(report, &at, &app.service.ports);
    }
    for (name, tool) in &config.toolchain {
        toolchain::check(report, &KeyPath::of(["toolchain", name]), tool);
    }
    programs(report, config);
    network_names(report, config);
    images(report, config);
    protos(report, config);
    histories(report, config);
    asked(report, config);
    ci_files(report, config);
    tasks(report, config);
    lints(report, config);
}

/// Who asks, checks or deploys has something to ask, check or do.
fn asked(report: &mut Report<'_>, config: &Config) {
    for (name, smoke) in &config.smoke {
        let at = KeyPath::of(["smoke", name]);
        if smoke.requests.is_empty() {
            report
                .at_value(&at.join("requests"), format!("`[{at}]` asks nothing"))
                .help("add a request, such as `{ path = \"/readyz\" }`");
        }
        asked_by_http(report, &at.join("url"), &smoke.url);
    }
    for (name, hook) in &config.hook {
        let at = KeyPath::of(["hook", name]);
        if hook.run.is_empty() {
            report
                .at_key(&at, format!("`[{at}]` checks nothing"))
                .help("name the steps to check: `run = [\"task.lint\"]`");
        }
    }
    for (name, remote) in &config.remote {
        let at = KeyPath::of(["remote", name]);
        if remote.deploy.is_empty() {
            report
                .at_key(&at, format!("`[{at}]` has no `deploy` steps"))
                .help("name the steps that bring the project there: `deploy = [\"task.deploy\"]`");
        }
    }
}

/// What a text begins with says how it is asked. What a secret begins with is not known here.
fn asked_by_http(report: &mut Report<'_>, at: &KeyPath, url: &Template) {
    let label = match url.parts.first() {
        Some(Part::Secret { .. }) => return,
        Some(Part::Text(text)) => match text.split_once("://") {
            Some(("http" | "https", _)) => return,
            Some((scheme, _)) => format!("`{scheme}` is not asked by HTTP"),
            None => "must start with `http://` or `https://`".to_owned(),
        },
        Some(Part::Field { step, field }) => match (step.kind, field.as_str()) {
            (StepKind::Postgres, "url") => format!("`{step}` does not answer HTTP"),
            (_, "url") => return,
            _ => "must start with `http://` or `https://`".to_owned(),
        },
        None => "expected an address".to_owned(),
    };
    report
        .at_value(at, format!("`{at}` cannot be asked: `{url}`"))
        .label(label)
        .help("name what is asked, such as \"${app.hello.url}\", or write the whole address");
}

/// GitHub reads workflows from one folder, and each file is one service's.
fn ci_files(report: &mut Report<'_>, config: &Config) {
    let ci = config.ci.as_ref();
    let mut files = Vec::new();
    if let Some(github) = ci.and_then(|ci| ci.github.as_ref()) {
        let at = KeyPath::of(["ci", "github"]);
        let own = [("file", &github.file), ("deploy_file", &github.deploy_file)];
        for (key, file) in own {
            let path = plain(file);
            let is_workflow = path.parent() == Some(".github/workflows".as_ref())
                && path
                    .extension()
                    .is_some_and(|end| end == "yml" || end == "yaml");
            if !is_workflow {
                report
                    .at_value(&at.join(key), format!("GitHub does not read `{file}`"))
                    .label("expected such as \".github/workflows/devenv.yml\"");
            }
            files.push((at.join(key), path));
        }
    }
    if let Some(gitlab) = ci.and_then(|ci| ci.gitlab.as_ref()) {
        files.push((KeyPath::of(["ci", "gitlab", "file"]), plain(&gitlab.file)));
    }
    for (index, (at, path)) in files.iter().enumerate() {
        let other = files[..index].iter().find(|(_, other)| other == path);
        if let Some((other, _)) = other {
            report
                .at_value(
                    at,
                    format!("`{other}` and `{at}` are both `{}`", path.display()),
                )
                .label("give one of them another name");
        }
    }
}

/// A service is a container, a process, or can be either; what is said of its container needs an image.
fn runnable(report: &mut Report<'_>, at: &KeyPath, service: &Service) {
    if service.image.is_some() {
        return;
    }
    if service.process.is_none() {
        report
            .at_key(at, format!("`[{at}]` has neither `image` nor `process`"))
            .label("one of them is required")
            .help("`image = \"…\"` for a container, `process = { command = [\"…\"] }` for a program of this machine, or both");
        return;
    }
    let of_containers = [
        ("entrypoint", service.entrypoint.is_some()),
        ("command", service.command.is_some()),
        ("user", service.user.is_some()),
        ("workdir", service.workdir.is_some()),
    ];
    for (key, _) in of_containers.iter().filter(|(_, is_there)| *is_there) {
        report
            .at_key(
                &at.join(*key),
                format!("`{key}` of `[{at}]` is for a container, and there is no `image`"),
            )
            .label("remove it, or add `image`");
    }
}

/// Programs have a command, and tools that the file has.
fn programs(report: &mut Report<'_>, config: &Config) {
    let apps = config
        .app
        .iter()
        .map(|(name, app)| ("app", name, &app.service));
    let services = config.service.iter();
    let services = services.map(|(name, service)| ("service", name, service));
    for (kind, name, service) in services.chain(apps) {
        let Some(program) = &service.process else {
            continue;
        };
        let at = KeyPath::of([kind, name, "process"]);
        if program.command.is_empty() {
            report
                .at_value(&at.join("command"), format!("`{at}.command` is empty"))
                .label("expected the program and its arguments");
        }
        tool(report, &at, program.tool.as_deref(), config);
    }
    for (name, postgres) in &config.postgres {
        let at = KeyPath::of(["postgres", name]);
        tool(report, &at, postgres.tool.as_deref(), config);
    }
}

fn tool(report: &mut Report<'_>, at: &KeyPath, tool: Option<&str>, config: &Config) {
    let Some(tool) = tool.filter(|tool| !config.toolchain.contains_key(*tool)) else {
        return;
    };
    let tools = config.toolchain.keys().map(String::as_str);
    let near = suggest::nearest(tool, tools);
    let error = report.at_value(&at.join("tool"), format!("there is no `toolchain.{tool}`"));
    match near {
        Some(near) => error.label(format!("did you mean `{near}`?")),
        None => error.help(format!("add a table `[toolchain.{tool}]`, or leave `tool` out: the program is then found on PATH")),
    };
}

/// The probe's port exists; an HTTP probe without one takes `http`, or the only one.
fn ready_port(
    report: &mut Report<'_>,
    at: &KeyPath,
    ready: &mut Option<Ready>,
    ports: &BTreeMap<String, Port>,
) {
    let at = at.join("ready");
    let (port, key) = match ready.as_mut().and_then(|ready| ready.probe.as_mut()) {
        Some(Probe::Http { port, .. }) => (port, "port"),
        Some(Probe::Tcp { port }) => (port, "tcp"),
        Some(Probe::Exec { .. } | Probe::Log { .. }) | None => return,
    };
    let names: Vec<_> = ports.keys().map(String::as_str).collect();
    if !port.is_empty() {
        if !ports.contains_key(port) {
            let error = report.at_value(&at.join(key), format!("there is no port `{port}`"));
            match suggest::nearest(port, names.iter().copied()) {
                Some(near) => error.label(format!("did you mean `{near}`?")),
                None if names.is_empty() => {
                    error.help(format!("declare it: ports = {{ {port} = 8080 }}"))
                }
                None => error.help(format!("declared here: {}", suggest::list(&names, "and"))),
            };
        }
        return;
    }
    match names[..] {
        [only] => *port = only.to_owned(),
        _ if ports.contains_key("http") => *port = "http".to_owned(),
        [] => {
            report
                .at_value(
                    &at,
                    "an HTTP probe needs a port, and none is declared".into(),
                )
                .help("declare it: ports = { http = 8080 }");
        }
        _ => {
            report
                .at_value(&at, "which port does the HTTP probe ask?".into())
                .help(format!(
                    "add `port = …`, one of {}",
                    suggest::list(&names, "or")
                ));
        }
    }
}

/// Two names for one port of a container, or one host port wanted twice by the same step.
fn unique_ports(report: &mut Report<'_>, at: &KeyPath, ports: &BTreeMap<String, Port>) {
    let ports: Vec<_> = ports.iter().collect();
    for (index, (name, port)) in ports.iter().enumerate() {
        let same = |side: fn(&Port) -> u16| {
            let other = ports[..index]
                .iter()
                .find(|(_, other)| side(other) == side(port));
            other.map(|(other, _)| *other)
        };
        let clash = (same(|port| port.container).map(|other| (other, "", port.container)))
            .or(same(|port| port.host).map(|other| (other, " on the host", port.host)));
        if let Some((other, side, number)) = clash {
            let path = at.join("ports").join(*name);
            let message = format!("ports `{other}` and `{name}` are both {number}{side}");
            report.at_value(&path, message);
        }
    }
}

/// Containers reach each other by the table's name, whatever the table's kind.
fn network_names(report: &mut Report<'_>, config: &Config) {
    let all = (config
        .postgres
        .keys()
        .map(|name| (name, StepKind::Postgres)))
    .chain(config.service.keys().map(|name| (name, StepKind::Service)))
    .chain(config.app.keys().map(|name| (name, StepKind::App)));
    let mut seen: BTreeMap<&str, StepKind> = BTreeMap::new();
    for (name, kind) in all {
        let Some(other) = seen.insert(name, kind) else {
            continue;
        };
        let id = StepId::new(kind, name);
        report
            .at_key(
                &id.key_path(),
                format!("`{id}` and `{other}.{name}` have the same name"),
            )
            .label(format!("both would be host `{name}` on the network"))
            .help("give one of them another name");
    }
}

fn images(report: &mut Report<'_>, config: &Config) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, image) in &config.image {
        let at = KeyPath::of(["image", name]);
        if image.debian.is_some() && image.dockerfile.is_some() {
            report
                .at_key(
                    &at.join("dockerfile"),
                    format!("`[{at}]` has both `debian` and `dockerfile`"),
                )
                .label("keep only one");
        }
        if let Some(other) = seen.insert(&image.reference, name) {
            let message = format!("`image.{other}` and `{at}` are both `{}`", image.reference);
            report.at_value(&at.join("ref"), message);
        }
    }
}

fn protos(report: &mut Report<'_>, config: &Config) {
    for (name, proto) in &config.proto {
        if proto.rust.is_none() && proto.plugin.is_empty() {
            let at = KeyPath::of(["proto", name]);
            report
                .at_key(&at, format!("`[{at}]` generates nothing"))
                .help("add `rust = { out = \"…\" }` or `plugin.NAME = { out = \"…\" }`");
        }
    }
    let all: Vec<_> = config.proto.iter().collect();
    for (index, (name, proto)) in all.iter().enumerate() {
        for (other, earlier) in &all[..index] {
            same_outputs(report, (other, earlier), (name, proto));
        }
    }
}

/// The same generator on the same files into the same folder writes the same names. Whether other tables meet is known once they
/// have generated.
fn same_outputs(report: &mut Report<'_>, a: (&str, &Proto), b: (&str, &Proto)) {
    if sorted(&a.1.files) != sorted(&b.1.files) || a.1.include != b.1.include {
        return;
    }
    let mut keys = Vec::new();
    if let (Some(one), Some(two)) = (&a.1.rust, &b.1.rust)
        && plain(&one.out) == plain(&two.out)
    {
        keys.push((["rust", "out"].to_vec(), &two.out));
    }
    for (plugin, two) in &b.1.plugin {
        let same = |one: &&Plugin| {
            one.command == two.command
                && one.options == two.options
                && plain(&one.out) == plain(&two.out)
        };
        if a.1.plugin.get(plugin).filter(same).is_some() {
            keys.push((["plugin", plugin, "out"].to_vec(), &two.out));
        }
    }
    for (key, out) in keys {
        let at = |name| KeyPath::of(["proto", name].iter().chain(&key));
        let mut places = [at(a.0), at(b.0)].map(|key| (report.source.value(&key), key));
        places.sort_by_key(|(place, _)| place.as_ref().map(|place| place.span.start));
        let [(first, earlier), (_, second)] = places;
        let message = format!(
            "`proto.{}` and `proto.{}` write the same files into `{out}`",
            a.0, b.0
        );
        let error = report.at_value(&second, message);
        if let Some(first) = first {
            let (line, column) = (first.line, first.column);
            error.label(format!("`{earlier}` is at {FILE}:{line}:{column}"));
        }
        error.help("give one of them another `out`, or make them one table");
    }
}

/// Two folders with one history: each would take the other's migrations for its own with their files missing.
fn histories(report: &mut Report<'_>, config: &Config) {
    let mut seen: BTreeMap<(&StepId, String), &str> = BTreeMap::new();
    for (name, migrate) in &config.migrate {
        // As Postgres reads an unquoted name.
        let table = migrate.table.to_lowercase();
        let table = match table.contains('.') {
            true => table,
            false => format!("public.{table}"),
        };
        let Some(other) = seen.insert((&migrate.postgres, table), name) else {
            continue;
        };
        let message = format!(
            "`migrate.{other}` and `migrate.{name}` keep the same history, `{}` of `{}`",
            migrate.table, migrate.postgres
        );
        report
            .at_key(&KeyPath::of(["migrate", name, "table"]), message)
            .help(format!(
                "give one of them a `table` of its own, such as \"public.{}_history\"",
                name.replace('-', "_")
            ));
    }
}

/// A rule is on or off.
fn lints(report: &mut Report<'_>, config: &Config) {
    for (name, migrate) in &config.migrate {
        let both = migrate.lint.include.iter();
        let both = both.filter(|rule| migrate.lint.exclude.contains(rule));
        for rule in both {
            report
                .at_value(
                    &KeyPath::of(["migrate", name, "lint", "include"]),
                    format!("`{rule}` is both in `include` and in `exclude`"),
                )
                .label("keep only one");
        }
    }
}

fn sorted(globs: &[String]) -> Vec<&String> {
    let mut globs: Vec<_> = globs.iter().collect();
    globs.sort();
    globs
}
