//! JSON Schema (draft 2020-12), built from the declarations that also read the file.

use serde_json::{Map, Value as Json, json};

use super::{Key, Missing, fields::description};

/// The schema of a table.
pub(in crate::config) struct Object {
    description: String,
    properties: Map<String, Json>,
    required: Vec<&'static str>,
    /// Exactly one of these keys must be there.
    pub one_of: Vec<&'static str>,
}

impl Object {
    pub fn new(doc: &[&str]) -> Self {
        Self {
            description: description(doc),
            properties: Map::new(),
            required: Vec::new(),
            one_of: Vec::new(),
        }
    }

    pub fn property(&mut self, key: &Key, mut schema: Json, required: bool) {
        let object = schema.as_object_mut().expect("a schema is an object");
        let description = key.description();
        if !description.is_empty() {
            object.insert("description".into(), description.into());
        }
        if let Missing::Default(text) = key.missing {
            object.insert("default".into(), literal(text));
        }
        if required {
            self.required.push(key.name);
        }
        self.properties.insert(key.name.into(), schema);
    }

    /// The key cannot be written here.
    pub fn remove(&mut self, name: &str) {
        self.properties.shift_remove(name);
        self.required.retain(|required| *required != name);
    }

    /// The key is written under another name here.
    pub fn rename(&mut self, name: &str, written: &'static str) {
        if let Some(schema) = self.properties.shift_remove(name) {
            self.properties.insert(written.into(), schema);
        }
        for required in &mut self.required {
            if *required == name {
                *required = written;
            }
        }
    }

    pub fn into_json(self) -> Json {
        let mut out = json!({
            "type": "object",
            "description": self.description,
            "properties": self.properties,
            "additionalProperties": false,
        });
        let object = out.as_object_mut().expect("just made as one");
        if self.description.is_empty() {
            object.shift_remove("description");
        }
        if !self.required.is_empty() {
            object.insert("required".into(), self.required.into());
        }
        if !self.one_of.is_empty() {
            let one_of: Vec<_> = self
                .one_of
                .iter()
                .map(|key| json!({ "required": [key] }))
                .collect();
            object.insert("oneOf".into(), one_of.into());
        }
        out
    }
}

/// A default, written in TOML, as JSON.
fn literal(text: &str) -> Json {
    let table: toml::Table = toml::from_str(&format!("value = {text}"))
        .expect("defaults are TOML: read by the test of the schema");
    serde_json::to_value(&table["value"]).expect("TOML values are JSON values")
}
