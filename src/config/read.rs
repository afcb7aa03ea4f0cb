//! From a file to a checked [`Config`]: text → TOML with spans → decoded tables → checks.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value as Json, json};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    Config, ConfigError, ConfigErrors, ErrorSite, FILE, KeyPath, Part, Source,
    check::{self, Report},
    decode::{self, Cx, Fields, Key, Node, Shape},
    duplicate, environment,
    interpolate::NOT_SHOWN,
    source::Spans,
};

/// Reads and checks `devenv.toml` in `root`, with the process' environment and `root/.env`.
pub fn load(root: &Path) -> Result<Config, ConfigErrors> {
    let text = std::fs::read(root.join(FILE))
        .map_err(|error| unreadable(&error))
        .and_then(|bytes| String::from_utf8(bytes).map_err(|error| not_utf8(&error)))
        .map_err(|error| failed(Source::of(FILE.into(), String::new()), vec![error]))?;
    let (values, errors) = environment::dotenv(root);
    if !errors.is_empty() {
        // What a broken `.env` would have set is not known: to call it unset would be wrong.
        return Err(failed(Source::of(FILE.into(), text), errors));
    }
    let env = |name: &str| {
        let own = std::env::var(name).ok();
        own.or_else(|| values.get(name).cloned())
    };
    parse(Path::new(FILE), text, &env)
}

/// Reads and checks the text of a file. Pure: `env` gives the values of `${env.NAME}`.
pub fn parse(
    path: &Path,
    text: impl Into<String>,
    env: &impl Fn(&str) -> Option<String>,
) -> Result<Config, ConfigErrors> {
    let mut source = Source::of(path.to_owned(), text.into());
    let text = source.text.clone();
    let (root, errors) = DeTable::parse_recoverable(&text);
    if !errors.is_empty() {
        let (mut found, others) = duplicate::split(&errors, &source);
        found.extend(others.into_iter().map(|error| syntax(error, &text)));
        return Err(failed(source, found));
    }
    index(&mut source, &mut KeyPath::default(), root.get_ref());
    // An absent table is missing at the start of the file, not in all of it.
    let root = Spanned::new(0..0, DeValue::Table(root.into_inner()));
    let mut cx = Cx::new(&text, env);
    let mut config = Config::decode(&root, &mut cx);
    let mut report = Report::new(&source);
    let references = check::references(&mut report, &cx.references);
    if let Some(config) = &mut config {
        check::tables(&mut report, config);
    }
    check::cycles(&mut report, &references, config.as_ref());
    let mut errors = cx.errors;
    errors.append(&mut report.errors);
    let Some(mut config) = config.filter(|_| errors.is_empty()) else {
        return Err(failed(source, errors));
    };
    config.source = Arc::new(source);
    Ok(config)
}

/// The JSON Schema (draft 2020-12) of the file.
pub fn schema() -> Json {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": FILE,
    });
    let Json::Object(tables) = Config::schema() else {
        unreachable!("a record's schema is an object");
    };
    schema
        .as_object_mut()
        .expect("just made as one")
        .extend(tables);
    schema
}

impl Config {
    /// The file that would say the same, all defaults written out, as JSON. Values of secrets are not in it; for a password given as
    /// plain text stands what no reader takes for one, and one that the file does not give is left out.
    pub fn resolved(&self) -> Json {
        let mut shown = Self::encode(self);
        for (name, postgres) in &self.postgres {
            let table = shown.pointer_mut(&format!("/postgres/{name}"));
            let Some(table) = table.and_then(Json::as_object_mut) else {
                continue;
            };
            let parts = postgres.password.parts.iter().map(|part| match part {
                Part::Text(_) => format!("${{{NOT_SHOWN}}}"),
                Part::Field { .. } | Part::Secret { .. } => part.to_string(),
            });
            let key = "password";
            match self.source.contains(&KeyPath::of(["postgres", name, key])) {
                true => table.insert(key.to_owned(), parts.collect::<String>().into()),
                false => table.remove(key),
            };
        }
        shown
    }
}

/// A field that the reader fills, with no key in the file.
pub(super) struct FromReader;

impl Shape for FromReader {
    type Value = Arc<Source>;

    fn decode(_: &Node<'_>, _: &mut Cx<'_>) -> Option<Self::Value> {
        Some(Arc::default())
    }

    fn encode(_: &Self::Value) -> Json {
        Json::Null
    }

    fn schema() -> Json {
        Json::Null
    }

    fn read(_: &mut Fields<'_, '_, '_>, _: &Key, _: Option<Self::Value>) -> Option<Self::Value> {
        Some(Arc::default())
    }

    fn write(_: &Self::Value, _: &Key, _: &mut Map<String, Json>) {}

    fn describe(_: &Key, _: &mut decode::schema::Object) {}
}

/// Remembers where each key and value stands.
pub(super) fn index(source: &mut Source, path: &mut KeyPath, table: &DeTable<'_>) {
    for (key, node) in table {
        remember(source, path, key.get_ref(), key.span(), node);
    }
}

fn remember(
    source: &mut Source,
    path: &mut KeyPath,
    key: &str,
    span: std::ops::Range<usize>,
    node: &Node<'_>,
) {
    path.0.push(key.to_owned());
    let value = node.span();
    // A table with a header of its own is marked by the whole header.
    let has_header = source
        .text
        .get(value.clone())
        .is_some_and(|text| text.starts_with('['))
        && node.get_ref().is_table();
    let key = if has_header { value.clone() } else { span };
    source.spans.insert(path.clone(), Spans { key, value });
    match node.get_ref() {
        DeValue::Table(table) => index(source, path, table),
        DeValue::Array(array) => {
            for (position, node) in array.iter().enumerate() {
                remember(source, path, &position.to_string(), node.span(), node);
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => {}
    }
    path.0.pop();
}

fn failed(source: Source, mut errors: Vec<ConfigError>) -> ConfigErrors {
    errors.sort_by_key(ConfigError::order);
    errors.dedup();
    ConfigErrors {
        source_file: Arc::new(source),
        errors,
    }
}

fn syntax(error: &toml::de::Error, text: &str) -> ConfigError {
    let span = error.span().unwrap_or(text.len()..text.len());
    ConfigError::new(ErrorSite::Span(span), error.message())
}

fn unreadable(error: &io::Error) -> ConfigError {
    let mut fault = ConfigError::new(ErrorSite::Whole, format!("cannot read `{FILE}`: {error}"));
    if error.kind() == io::ErrorKind::NotFound {
        fault.help("run devenv inside a project, or name its folder with `-C DIR`");
    }
    fault
}

fn not_utf8(error: &std::string::FromUtf8Error) -> ConfigError {
    let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let site = ErrorSite::File {
        path: FILE.into(),
        line: valid.iter().filter(|byte| **byte == b'\n').count() + 1,
        column: 1,
    };
    let mut fault = ConfigError::new(site, format!("`{FILE}` is not UTF-8 text"));
    fault.help("save it as UTF-8");
    fault
}

impl Source {
    fn of(path: PathBuf, text: String) -> Self {
        Self {
            path,
            text,
            spans: BTreeMap::new(),
        }
    }
}
