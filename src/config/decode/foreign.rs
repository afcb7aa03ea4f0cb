//! What keys and shapes of Compose files are called here, for people who come from there.

use toml::de::DeValue;

use super::Node;
use crate::config::KeyPath;

const PORTS: &str =
    "name each port: ports = { http = 8080 }, or { http = { container = 80, host = 8080 } }";
const VOLUMES: &str = "the path in the container is the key: volumes = { \"/data\" = \"data\", \"/etc/x.conf\" = \"./x.conf\" }";
const ENV: &str = "write a table: env = { NAME = \"value\" }";
const READY: &str = "say what is asked: { http = \"/\" }, { tcp = \"PORT_NAME\" }, { exec = [\"command\"] } or { log = \"text\" }";
const BUILD: &str = "write a table: build = { dockerfile = \"Dockerfile\", context = \".\" }";

/// What to write instead of a key that this table does not have. Root tables have a path of one key.
pub(super) fn key(table: &KeyPath, key: &str) -> Option<&'static str> {
    let kind = table.0.first().map(String::as_str);
    match (kind, table.0.len()) {
        (None, _) => root(key),
        (Some("service" | "app" | "postgres"), 2) => service(kind, key),
        (Some("task"), 2) => task(key),
        (Some("app"), 3) if table.0[2] == "build" && key == "path" => {
            Some("devenv calls it `dockerfile`")
        }
        _ => None,
    }
}

fn root(key: &str) -> Option<&'static str> {
    Some(match key {
        "services" => {
            "each has a table of its own: `[service.NAME]`, `[postgres.NAME]`, or `[app.NAME]` for what is built here"
        }
        "volumes" => {
            "a volume is named where it is used: volumes = { \"/data\" = \"data\" } in `[service.NAME]`"
        }
        "networks" => "all that runs is on one network and reached by its table's name",
        "secrets" => "each has a table of its own: `[secret.NAME]`",
        "configs" => {
            "mount a file of the project: volumes = { \"/etc/x.conf\" = \"./x.conf\" } in `[service.NAME]`"
        }
        "env" | "environment" => {
            "variables belong to what uses them: `env` in `[service.NAME]`, `[app.NAME]` or `[task.NAME]`"
        }
        "name" => "it belongs into `[project]`",
        "version" => "devenv.toml has no version: remove it",
        "tasks" => "each has a table of its own: `[task.NAME]`",
        "apps" => "each has a table of its own: `[app.NAME]`",
        "tools" => "each has a table of its own: `[toolchain.NAME]`",
        "images" => "each has a table of its own: `[image.NAME]`",
        _ => return None,
    })
}

fn service(kind: Option<&str>, key: &str) -> Option<&'static str> {
    Some(match (key, kind) {
        ("depends_on" | "links", _) => {
            "devenv calls it `needs`: needs = [\"postgres.db\"]; what is needed is waited for until it is ready"
        }
        ("environment", Some("postgres")) => {
            "a Postgres has `database`, `user` and `password` instead"
        }
        ("environment", _) => "devenv calls it `env`: env = { NAME = \"value\" }",
        ("env_file", _) => {
            "devenv reads `.env` beside devenv.toml: pass on what is needed, env = { NAME = \"${env.NAME}\" }"
        }
        ("healthcheck", _) => {
            "devenv calls it `ready`: ready = { http = \"/\" }, { tcp = \"PORT_NAME\" }, { exec = [\"command\"] } or { log = \"text\" }"
        }
        ("build", Some("service")) => {
            "what is built here is an app: `[app.NAME]` with build = { dockerfile = \"Dockerfile\" }"
        }
        (
            "dockerfile" | "context" | "run" | "artifact" | "base" | "inputs" | "files",
            Some("app"),
        ) => "it belongs into `build`",
        ("dockerfile" | "context", _) => {
            "what is built here is an app: `[app.NAME]` with build = { dockerfile = \"Dockerfile\" }"
        }
        ("ports" | "expose", Some("postgres")) => "it has one port: port = 5432",
        ("expose", _) => {
            "containers reach all ports of each other; `ports` publishes one on this machine"
        }
        ("volumes", Some("postgres")) => "devenv keeps its data in a volume of its own",
        ("container_name" | "hostname" | "networks" | "network_mode" | "domainname", _) => {
            "remove it: all that runs is on one network and reached by its table's name"
        }
        ("working_dir", _) => "devenv calls it `workdir`",
        ("stop_grace_period", _) => "devenv calls it `stop_grace`",
        ("secrets", _) => {
            "pass it on by `env`: env = { TOKEN = \"${secret.NAME}\" }, with a table `[secret.NAME]`"
        }
        ("configs", _) => {
            "mount a file of the project: volumes = { \"/etc/x.conf\" = \"./x.conf\" }"
        }
        ("profiles", _) => "remove it: `devenv up NAME` brings up only what that needs",
        _ => return None,
    })
}

fn task(key: &str) -> Option<&'static str> {
    Some(match key {
        "command" | "cmd" | "cmds" | "script" => "devenv calls it `run`",
        "depends_on" | "deps" => "devenv calls it `needs`: needs = [\"task.generate\"]",
        "environment" => "devenv calls it `env`: env = { NAME = \"value\" }",
        "sources" => "devenv calls it `inputs`",
        "generates" => "devenv calls it `outputs`",
        "image" | "volumes" | "ports" => {
            "a task runs on this machine, or in a container of an image: `in = \"redis:7\"`; what keeps running is `[service.NAME]`"
        }
        _ => return None,
    })
}

/// What to write instead of a value of another type.
pub(super) fn shape(at: &KeyPath, node: &Node<'_>) -> Option<String> {
    let keys: Vec<_> = at.0.iter().map(String::as_str).collect();
    let (kind, key, rest) = match keys.as_slice() {
        // `[service]` with keys of a service in it.
        [kind, _] if *kind != "project" => return Some(format!("write `[{kind}.NAME]`")),
        [kind, _, key, rest @ ..] => (*kind, *key, rest),
        _ => return None,
    };
    let runs = matches!(kind, "service" | "app");
    let help = match (key, rest, node.get_ref()) {
        ("command" | "entrypoint", [], DeValue::String(text)) if runs => return Some(words(text)),
        ("debian", ["command" | "entrypoint"], DeValue::String(text)) if kind == "image" => {
            return Some(words(text));
        }
        ("ports", [], _) if runs => PORTS,
        ("ports", [_], DeValue::String(text)) if runs => return pair(text),
        ("volumes", [], _) if runs => VOLUMES,
        ("ready", [], DeValue::String(_)) => READY,
        ("env", [], DeValue::Array(_)) => ENV,
        ("build", [], DeValue::String(_)) if kind == "app" => BUILD,
        _ => return None,
    };
    Some(help.to_owned())
}

/// `8080:80` is the host's and the container's port.
fn pair(text: &str) -> Option<String> {
    let number = |text: &str| text.trim().parse::<u16>().ok();
    match text.rsplit_once(':') {
        Some((host, container)) => {
            let host = host.rsplit(':').next().and_then(number)?;
            let container = number(container)?;
            Some(format!(
                "write {{ container = {container}, host = {host} }}"
            ))
        }
        None => number(text).map(|port| format!("write it without quotes: {port}")),
    }
}

/// `./x.conf:/etc/x.conf:ro` is a path or volume, where it goes, and how.
pub(in crate::config) fn mount(text: &str) -> Option<String> {
    let (source, rest) = text.split_once(":/")?;
    let (target, options) = rest.split_once(':').unwrap_or((rest, ""));
    let value = match options.split(',').any(|option| option == "ro") {
        true => format!("{{ path = \"{source}\", read_only = true }}"),
        false => format!("\"{source}\""),
    };
    Some(format!(
        "the path in the container is the key: \"/{target}\" = {value}"
    ))
}

/// The words of a command line in brackets; what only a shell understands, handed to one.
fn words(text: &str) -> String {
    let quoted = |word: &str| toml::Value::from(word).to_string();
    let plain = |c: char| c.is_alphanumeric() || " ./:=@%+,_-".contains(c);
    let words: Vec<_> = match text.chars().all(plain) {
        true => text.split_whitespace().map(quoted).collect(),
        false => ["sh", "-c", text].map(quoted).to_vec(),
    };
    format!("write its words in brackets: [{}]", words.join(", "))
}

/// A word of Compose that one of ours stands for.
pub(in crate::config) fn word(at: &KeyPath, text: &str) -> Option<&'static str> {
    match (at.0.last()?.as_str(), text) {
        ("restart", "always") => Some("write \"unless-stopped\", which is the default"),
        _ => None,
    }
}
