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

/// As written in the file: references stay references, so no secret and no place is shown.
impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(&interpolate::escape(text))?,
                Part::Field { step, field } => write!(f, "${{{step}.{field}}}")?,
                Part::Secret { name } => write!(f, "${{secret.{name}}}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Template {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
