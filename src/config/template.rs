//! A string of the file with `${…}` references in it, parsed and ready to be resolved.

use serde::Serialize;

use super::{StepId, interpolate};

/// Text with references. `${env.X}` is already replaced when the file has been read; what remains resolves by where it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    pub parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    /// `${postgres.db.url}`: a field of another step.
    Field {
        step: StepId,
        field: String,
    },
    /// `${secret.NAME}`.
    Secret {
        name: String,
    },
}

impl Template {
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            parts: vec![Part::Text(text.into())],
        }
    }

    /// Reads back what a template was shown as.
    pub fn shown(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            plain.push_str(&rest[..at]);
            rest = &rest[at..];
            let inner = rest.strip_prefix("${");
            let inner = inner.and_then(|inner| inner.split_once('}'));
            if let Some((part, after)) = inner.and_then(|(body, after)| Some((part(body)?, after)))
            {
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(part);
                rest = after;
            } else {
                plain.push('$');
                rest = rest.strip_prefix("$$").unwrap_or(&rest[1..]);
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Self { parts }
    }

    /// The steps that must have run before this can be resolved.
    pub fn steps(&self) -> impl Iterator<Item = &StepId> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field { step, .. } => Some(step),
            Part::Text(_) | Part::Secret { .. } => None,
        })
    }

    /// Names of the secrets it holds.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Secret { name } => Some(name.as_str()),
            Part::Text(_) | Part::Field { .. } => None,
        })
    }

    /// The whole text, each reference replaced by what `value` gives for it.
    pub fn resolve<E>(
        &self,
        mut value: impl FnMut(&Part) -> Result<String, E>,
    ) -> Result<String, E> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                reference => out.push_str(&value(reference)?),
            }
        }
        Ok(out)
    }
}

/// What stands between the braces of a reference.
fn part(body: &str) -> Option<Part> {
    let (kind, rest) = body.split_once('.')?;
    if kind == "secret" {
        return Some(Part::Secret {
            name: rest.to_owned(),
        });
    }
    let (name, field) = rest.split_once('.')?;
    Some(Part::Field {
        step: format!("{kind}.{name}").parse().ok()?,
        field: field.to_owned(),
    })
}

/// As written in the file: references stay references, so no secret and no place is shown.
impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.parts.iter().try_for_each(|part| part.fmt(f))
    }
}

/// As written in the file.
impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Text(text) => f.write_str(&interpolate::escape(text)),
            Part::Field { step, field } => write!(f, "${{{step}.{field}}}"),
            Part::Secret { name } => write!(f, "${{secret.{name}}}"),
        }
    }
}

impl Serialize for Template {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_read_back() {
        let text = |text: &str| Part::Text(text.to_owned());
        let secret = || Part::Secret {
            name: "token".into(),
        };
        let url = || Part::Field {
            step: "postgres.db".parse().expect("an id"),
            field: "url".into(),
        };
        for parts in [
            vec![],
            vec![text("plain $A")],
            vec![secret()],
            vec![text("a$"), secret(), text("@$$ ${x}"), url(), secret()],
            vec![text("${secret.token}")],
        ] {
            let template = Template { parts };
            assert_eq!(Template::shown(&template.to_string()), template);
        }
    }
}
