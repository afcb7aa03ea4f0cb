//! The shapes of what holds other values: options, lists, maps.

use std::{collections::BTreeMap, marker::PhantomData};

use serde_json::{Map, Value as Json, json};
use toml::{
    Spanned,
    de::{DeString, DeValue},
};

use super::{AbsolutePath, Anything, Cx, Fields, Key, Node, Rule, Shape, TableName, plain::obeys};

impl<S: Shape> Shape for Option<S> {
    type Value = Option<S::Value>;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self::Value> {
        S::decode(node, cx).map(Some)
    }

    fn encode(value: &Self::Value) -> Json {
        value.as_ref().map_or(Json::Null, S::encode)
    }

    fn schema() -> Json {
        S::schema()
    }

    fn absent() -> Option<Self::Value> {
        Some(None)
    }
}

impl<S: Shape> Shape for Vec<S> {
    type Value = Vec<S::Value>;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self::Value> {
        let DeValue::Array(array) = node.get_ref() else {
            let raw = cx.text.get(node.span()).unwrap_or_default();
            let error = cx.wrong_type(node, "an array");
            if let (DeValue::String(_), None) = (node.get_ref(), &error.help) {
                error.help(format!("write it in brackets: [{raw}]"));
            }
            return None;
        };
        // Every element is read before the first bad one ends it, so that all errors are found.
        let values: Vec<_> = array
            .iter()
            .enumerate()
            .map(|(index, node)| cx.at(index.to_string(), |cx| S::decode(node, cx)))
            .collect();
        values.into_iter().collect()
    }

    fn encode(value: &Self::Value) -> Json {
        match value.is_empty() {
            true => Json::Null,
            false => value.iter().map(S::encode).collect(),
        }
    }

    fn schema() -> Json {
        json!({ "type": "array", "items": S::schema() })
    }

    fn absent() -> Option<Self::Value> {
        Some(Vec::new())
    }
}

/// A map whose keys obey a rule.
pub(in crate::config) struct Keyed<R, S>(PhantomData<(R, S)>);

/// Ports by name.
pub(in crate::config) type Named<S> = Keyed<TableName, S>;
/// Things by path in a container or image.
pub(in crate::config) type Paths<S> = Keyed<AbsolutePath, S>;

impl<R: Rule, S: Shape> Shape for Keyed<R, S> {
    type Value = BTreeMap<String, S::Value>;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self::Value> {
        entries::<R, S>(node, cx)?.into_iter().collect()
    }

    fn encode(value: &Self::Value) -> Json {
        if value.is_empty() {
            return Json::Null;
        }
        let entries = value
            .iter()
            .map(|(key, value)| (key.clone(), S::encode(value)));
        Json::Object(entries.collect::<Map<_, _>>())
    }

    fn schema() -> Json {
        let mut schema = json!({ "type": "object", "additionalProperties": S::schema() });
        if let Some(pattern) = R::PATTERN {
            schema["propertyNames"] = json!({ "pattern": pattern });
        }
        schema
    }

    fn absent() -> Option<Self::Value> {
        Some(BTreeMap::new())
    }
}

/// Every entry is read, `None` where it or its key is not valid.
type Entries<V> = Vec<Option<(String, V)>>;

fn entries<R: Rule, S: Shape>(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Entries<S::Value>> {
    let DeValue::Table(table) = node.get_ref() else {
        cx.wrong_type(node, "a table");
        return None;
    };
    let entry = |(key, node): (&Spanned<DeString<'_>>, &Node<'_>)| {
        let name: &str = key.get_ref();
        let named = obeys::<R>(name, key.span(), cx);
        let value = cx.at(name, |cx| S::decode(node, cx))?;
        named.then(|| (name.to_owned(), value))
    };
    Some(table.iter().map(entry).collect())
}

/// What is not valid reads as its default, so that it does not keep the rest from being checked. Its errors are recorded.
pub(in crate::config) struct Tolerant<S>(PhantomData<S>);

impl<S: Shape<Value: Default>> Shape for Tolerant<S> {
    type Value = S::Value;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<S::Value> {
        S::decode(node, cx)
    }

    fn encode(value: &S::Value) -> Json {
        S::encode(value)
    }

    fn schema() -> Json {
        S::schema()
    }

    fn read(
        fields: &mut Fields<'_, '_, '_>,
        key: &Key,
        fallback: Option<S::Value>,
    ) -> Option<S::Value> {
        Some(S::read(fields, key, fallback).unwrap_or_default())
    }
}

/// Tables by name, such as all `[app.*]`.
pub(in crate::config) type Tables<S> = TablesOf<TableName, S>;

/// Tables whose names obey a rule. A table with errors does not keep the others from being checked.
pub(in crate::config) struct TablesOf<R, S>(PhantomData<(R, S)>);

impl<R: Rule, S: Shape> Shape for TablesOf<R, S> {
    type Value = BTreeMap<String, S::Value>;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self::Value> {
        let tables = entries::<R, S>(node, cx)?;
        Some(tables.into_iter().flatten().collect())
    }

    fn encode(value: &Self::Value) -> Json {
        Keyed::<R, S>::encode(value)
    }

    fn schema() -> Json {
        Keyed::<R, S>::schema()
    }

    fn absent() -> Option<Self::Value> {
        Some(BTreeMap::new())
    }
}

impl<S: Shape> Shape for BTreeMap<String, S> {
    type Value = BTreeMap<String, S::Value>;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Self::Value> {
        Keyed::<Anything, S>::decode(node, cx)
    }

    fn encode(value: &Self::Value) -> Json {
        Keyed::<Anything, S>::encode(value)
    }

    fn schema() -> Json {
        Keyed::<Anything, S>::schema()
    }

    fn absent() -> Option<Self::Value> {
        Some(BTreeMap::new())
    }
}
