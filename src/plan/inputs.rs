//! What a step depends on, field by field. Its digest is the step's key; the difference of two is the reason to run.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::{Change, Reason};

/// A blake3 digest; as text, 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        blake3::hash(bytes.as_ref()).into()
    }

    /// `None` of what is not 64 hex digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(text).ok().map(Into::into)
    }

    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn to_hex(self) -> String {
        self.to_string()
    }

    /// The first 12 digits, for people.
    pub fn short(self) -> String {
        format!("{self:.12}")
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        Self(hash.into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_hex(&text).ok_or_else(|| D::Error::custom("a digest is 64 hex digits"))
    }
}

/// Changes when the same inputs come to mean another result.
const KEY_VERSION: &[u8] = b"devenv-key-1\n";

/// One input of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Input {
    /// A value that may be shown.
    Text(String),
    /// Content too long to show: a file, an image, an upstream step's output.
    Content(Digest),
    /// A file or variable that does not exist.
    Absent,
}

/// Field name (`env.LOG_LEVEL`, `image`, `file.src/main.rs`) → value. Never holds a secret's value, only its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Inputs(pub BTreeMap<String, Input>);

impl Inputs {
    pub fn text(&mut self, field: impl Into<String>, value: impl Into<String>) -> &mut Self {
        self.0.insert(field.into(), Input::Text(value.into()));
        self
    }

    pub fn content(&mut self, field: impl Into<String>, digest: Digest) -> &mut Self {
        self.0.insert(field.into(), Input::Content(digest));
        self
    }

    pub fn absent(&mut self, field: impl Into<String>) -> &mut Self {
        self.0.insert(field.into(), Input::Absent);
        self
    }

    /// The step's key: a digest of all fields, each with its length before it, so that no two lists of fields give the same bytes.
    pub fn key(&self) -> Digest {
        let mut bytes = KEY_VERSION.to_vec();
        let mut add = |kind: &[u8], text: &[u8]| {
            bytes.extend_from_slice(kind);
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text);
        };
        for (field, input) in &self.0 {
            add(b"", field.as_bytes());
            match input {
                Input::Text(text) => add(b"t", text.as_bytes()),
                Input::Content(digest) => add(b"c", digest.as_bytes()),
                Input::Absent => add(b"a", b""),
            }
        }
        Digest::of(bytes)
    }

    /// What changed from `old` to `self`, one reason per field, in field order.
    pub fn changes_since(&self, old: &Inputs) -> Vec<Reason> {
        let fields: std::collections::BTreeSet<_> = self.0.keys().chain(old.0.keys()).collect();
        fields
            .into_iter()
            .filter_map(|field| {
                let change = match (old.0.get(field), self.0.get(field)) {
                    (None, Some(_)) => Change::Added,
                    (Some(_), None) => Change::Removed,
                    (Some(Input::Text(from)), Some(Input::Text(to))) if from != to => {
                        Change::Value {
                            from: from.clone(),
                            to: to.clone(),
                        }
                    }
                    (Some(from), Some(to)) if from != to => Change::Content,
                    _ => return None,
                };
                Some(Reason::Field {
                    field: field.clone(),
                    change,
                })
            })
            .collect()
    }
}
