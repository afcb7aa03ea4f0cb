//! `${…}` in the strings of the file: `${env.NAME}` is replaced when the file is read, `${postgres.db.url}` and `${secret.NAME}`
//! become parts of a [`Template`]. `$$` is a literal `$`.

use std::ops::Range;

use super::{
    KeyPath, Part, StepId, StepKind, Template,
    decode::{Cx, EnvName, Rule, TableName},
    suggest,
};

/// References inside a default inside a default: deeper than anyone means.
const MAX_DEPTH: usize = 8;

/// What `devenv config` shows in braces for a value that it keeps to itself.
pub(super) const NOT_SHOWN: &str = "not shown";

/// A mention of another table, to be checked once all tables are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// The key that mentions it.
    pub at: KeyPath,
    pub span: Range<usize>,
    pub target: Target,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// A step by its id, as in `needs`.
    Step(StepId),
    /// `${step.field}`.
    Field { step: StepId, field: String },
    /// `${secret.name}`.
    Secret(String),
    /// What should be a step's id and is none, such as the bare `db`.
    Bare(String),
}

/// Which references a string may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Allowed {
    /// Only `${env.…}`; others are errors.
    Env,
    /// Only `${env.…}`; what no reference can be belongs to a shell and stays as it is.
    EnvInScript,
    All,
}

/// Text that is needed as soon as the file is read: only `${env.…}` may occur.
pub(super) fn plain(text: &str, span: Range<usize>, cx: &mut Cx<'_>) -> Option<String> {
    Scan::new(text, span, Allowed::Env, cx).run().map(joined)
}

/// A command, also of a shell, which has its own `${…}`: `${env.…}` is replaced, other references are errors, all else stays.
pub(super) fn script(text: &str, span: Range<usize>, cx: &mut Cx<'_>) -> Option<String> {
    Scan::new(text, span, Allowed::EnvInScript, cx)
        .run()
        .map(joined)
}

/// Text whose references are resolved where it is used.
pub(super) fn template(text: &str, span: Range<usize>, cx: &mut Cx<'_>) -> Option<Template> {
    let parts = Scan::new(text, span, Allowed::All, cx).run()?;
    Some(Template { parts })
}

/// Text as the file must write it to mean just this. A `$` that could not be taken for a reference stays as it is.
pub(super) fn escape(text: &str) -> String {
    match text.contains("$$") || text.contains("${") || text.ends_with('$') {
        true => text.replace('$', "$$"),
        false => text.to_owned(),
    }
}

/// As [`escape`], for a command: a shell's own `${…}` stays as it is.
pub(super) fn escape_script(text: &str) -> String {
    let mut out = String::new();
    for (at, c) in text.char_indices() {
        let rest = &text[at..];
        if rest.starts_with("${") && may_be_reference(rest) {
            out.push('$');
        }
        out.push(c);
    }
    out
}

/// `kind.name`, remembered for the check that it exists.
pub(super) fn step_id(text: &str, span: Range<usize>, cx: &mut Cx<'_>) -> Option<StepId> {
    let step: StepId = match text.parse() {
        Ok(step) => step,
        Err(_) => {
            cx.references.push(Reference {
                at: cx.path.clone(),
                span,
                target: Target::Bare(text.to_owned()),
            });
            return None;
        }
    };
    cx.references.push(Reference {
        at: cx.path.clone(),
        span,
        target: Target::Step(step.clone()),
    });
    Some(step)
}

fn joined(parts: Vec<Part>) -> String {
    parts
        .into_iter()
        .map(|part| match part {
            Part::Text(text) => text,
            reference @ (Part::Field { .. } | Part::Secret { .. }) => {
                unreachable!("only a template scan makes {reference:?}")
            }
        })
        .collect()
}

struct Scan<'s, 'c, 'a> {
    text: &'s str,
    span: Range<usize>,
    allowed: Allowed,
    cx: &'c mut Cx<'a>,
    parts: Vec<Part>,
    failed: bool,
}

impl<'s, 'c, 'a> Scan<'s, 'c, 'a> {
    fn new(text: &'s str, span: Range<usize>, allowed: Allowed, cx: &'c mut Cx<'a>) -> Self {
        Self {
            text,
            span,
            allowed,
            cx,
            parts: Vec::new(),
            failed: false,
        }
    }

    fn run(mut self) -> Option<Vec<Part>> {
        self.scan(0..self.text.len(), 0);
        (!self.failed).then_some(self.parts)
    }

    /// Reads a range of the text, which is all of it or the default of a reference.
    fn scan(&mut self, range: Range<usize>, depth: usize) {
        let mut at = range.start;
        while let Some(found) = self.text[at..range.end].find('$') {
            let dollar = at + found;
            self.push(&self.text[at..dollar]);
            let rest = &self.text[dollar..range.end];
            let is_script = self.allowed == Allowed::EnvInScript;
            at = if is_script && !may_be_reference(rest) {
                self.push("$");
                dollar + 1
            } else if rest.starts_with("$$") {
                self.push("$");
                dollar + 2
            } else if !rest.starts_with("${") {
                self.push("$");
                dollar + 1
            } else if let Some(length) = closing(rest) {
                self.reference(dollar..dollar + length, depth);
                dollar + length
            } else {
                self.error(dollar..range.end, "`${` has no closing `}`".into(), None);
                range.end
            };
        }
        self.push(&self.text[at..range.end]);
    }

    /// `${…}`, the braces included.
    fn reference(&mut self, range: Range<usize>, depth: usize) {
        if depth >= MAX_DEPTH {
            return self.error(range, "references are nested too deeply".into(), None);
        }
        let inner = range.start + 2..range.end - 1;
        let body = &self.text[inner.clone()];
        match body.split_once('.') {
            Some(("env", _)) => self.env(range, inner.start + 4..inner.end, depth),
            Some(_) if self.allowed != Allowed::All => {
                let message = format!("`${{{body}}}` cannot be used in `{}`", self.cx.path);
                let help = self.instead(body);
                self.error(range, message, Some(help));
            }
            Some(("secret", name)) => {
                let target = Target::Secret(name.to_owned());
                self.refer(range, target);
                self.parts.push(Part::Secret {
                    name: name.to_owned(),
                });
            }
            Some((kind, rest)) => self.field(range, kind, rest),
            None => self.malformed(range, body),
        }
    }

    /// Where the reference can stand.
    fn instead(&self, body: &str) -> String {
        let name = body.rsplit('.').next().unwrap_or(body).to_uppercase();
        let name = name.replace('-', "_");
        match self
            .cx
            .path
            .0
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()[..]
        {
            ["task", _, "run", _] | ["app", _, "build", "run", _] => format!(
                "give it to the command by env = {{ {name} = \"${{{body}}}\" }}; a string, run by `sh`, can then write `${name}`"
            ),
            ["task", _, "run"] | ["app", _, "build", "run"] => format!(
                "give it to the command: env = {{ {name} = \"${{{body}}}\" }}, and write `${name}` here"
            ),
            ["service" | "app", _, "ready", "exec", ..] => {
                format!("put it into `env`, and let a shell read it: exec = \"… ${name}\"")
            }
            _ => "this is needed before anything runs: only `${env.NAME}` can stand here".into(),
        }
    }

    fn malformed(&mut self, range: Range<usize>, body: &str) {
        if body == NOT_SHOWN {
            let message =
                format!("`${{{body}}}` stands for a value that `devenv config` keeps to itself");
            let help = "write the value, or `${secret.NAME}` with a table `[secret.NAME]`".into();
            return self.error(range, message, Some(help));
        }
        let help = match EnvName::check(body) {
            Ok(()) => format!(
                "for the environment variable write `${{env.{body}}}`, for the text itself `$${{{body}}}`"
            ),
            Err(_) => {
                "write `${env.NAME}`, `${secret.NAME}` or `${kind.name.field}`; `$$` is a plain `$`"
                    .into()
            }
        };
        self.error(
            range,
            format!("`${{{body}}}` is not a reference"),
            Some(help),
        );
    }

    fn field(&mut self, range: Range<usize>, kind: &str, rest: &str) {
        let body = &self.text[range.start + 2..range.end - 1];
        let Some(known) = StepKind::ALL.into_iter().find(|k| k.as_str() == kind) else {
            let kinds = ["env", "secret", "postgres", "service", "app"];
            let help = match suggest::nearest(kind, kinds) {
                Some(near) => format!("did you mean `${{{near}.{rest}}}`?"),
                None => format!("references start with {}", suggest::list(&kinds, "or")),
            };
            return self.error(
                range,
                format!("`${{{body}}}` is not a reference"),
                Some(help),
            );
        };
        let Some((name, field)) = rest
            .split_once('.')
            .filter(|(name, field)| !name.is_empty() && !field.is_empty())
        else {
            let name = Some(rest.trim_matches('.'))
                .filter(|name| TableName::check(name).is_ok())
                .unwrap_or("NAME");
            let help = format!("write `${{{kind}.{name}.FIELD}}`, such as `${{postgres.db.url}}`");
            return self.error(range, format!("`${{{body}}}` names no field"), Some(help));
        };
        let (step, field) = (StepId::new(known, name), field.to_owned());
        let target = Target::Field {
            step: step.clone(),
            field: field.clone(),
        };
        self.refer(range, target);
        self.parts.push(Part::Field { step, field });
    }

    /// `NAME`, `NAME:-default` or `NAME:?message`. As in a shell, `:-` and `:?` take an empty value for none.
    fn env(&mut self, range: Range<usize>, body: Range<usize>, depth: usize) {
        let text = &self.text[body.clone()];
        let (name, rest) = match text.find(':') {
            Some(colon) => text.split_at(colon),
            None => (text, ""),
        };
        if EnvName::check(name).is_err() {
            let message = format!("`{name}` is not a name of an environment variable");
            return self.error(range, message, None);
        }
        let value = (self.cx.env)(name);
        if rest.is_empty() {
            return match value {
                Some(value) => self.push(&value),
                None => self.unset(range, name),
            };
        }
        let is_set = value.is_some();
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            return self.push(&value);
        }
        if let Some(default) = rest.strip_prefix(":-") {
            self.scan(body.end - default.len()..body.end, depth + 1);
        } else if let Some(message) = rest.strip_prefix(":?") {
            let help = Some(message.trim().to_owned()).filter(|message| !message.is_empty());
            let why = if is_set { "is empty" } else { "is not set" };
            self.error(range, format!("environment variable `{name}` {why}"), help);
        } else {
            let message = format!("`{rest}` is not a way to go on after `env.{name}`");
            let help = format!("write `${{env.{name}:-default}}` or `${{env.{name}:?message}}`");
            self.error(range, message, Some(help));
        }
    }

    fn unset(&mut self, range: Range<usize>, name: &str) {
        let help =
            format!("set it, add it to `.env`, or give a default: `${{env.{name}:-default}}`");
        self.error(
            range,
            format!("environment variable `{name}` is not set"),
            Some(help),
        );
    }

    fn push(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        match self.parts.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    fn refer(&mut self, range: Range<usize>, target: Target) {
        let span = self.locate(&range);
        self.cx.references.push(Reference {
            at: self.cx.path.clone(),
            span,
            target,
        });
    }

    fn error(&mut self, range: Range<usize>, message: String, help: Option<String>) {
        self.failed = true;
        let span = self.locate(&range);
        self.cx.error(span, message).help = help;
    }

    /// Where a range of the decoded text stands in the file. Escapes move it, so look for the same occurrence of the same text.
    fn locate(&self, range: &Range<usize>) -> Range<usize> {
        let needle = &self.text[range.clone()];
        let nth = self.text[..range.start].matches(needle).count();
        let raw = self.cx.text.get(self.span.clone()).unwrap_or_default();
        match raw.match_indices(needle).nth(nth) {
            Some((offset, _)) => {
                let start = self.span.start + offset;
                start..start + needle.len()
            }
            None => self.span.clone(),
        }
    }
}

/// Whether a `$` in a script may begin one of our references, or the `$${…}` that stands for its text. No name of a shell has a dot in it.
fn may_be_reference(text: &str) -> bool {
    let reference = text.strip_prefix("$$").map(|rest| format!("${rest}"));
    let reference = reference.as_deref().unwrap_or(text);
    let Some((kind, _)) = (reference.strip_prefix("${")).and_then(|rest| rest.split_once('.'))
    else {
        return false;
    };
    matches!(kind, "env" | "secret") || StepKind::ALL.iter().any(|known| known.as_str() == kind)
}

/// Length of the reference `text` starts with, inner references included.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("${") {
            depth += 1;
            at += 2;
        } else if rest.starts_with('}') {
            depth -= 1;
            at += 1;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}
