//! The shapes of plain values: text, numbers, durations.

use std::{marker::PhantomData, ops::Range, time::Duration};

use serde_json::{Value as Json, json};
use toml::de::DeValue;

use super::{Cx, Node, Rule, Shape};
use crate::config::{StepId, Template, duration, interpolate};

impl Shape for String {
    type Value = String;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<String> {
        let DeValue::String(text) = node.get_ref() else {
            let error = cx.wrong_type(node, "a string");
            if let DeValue::Integer(number) = node.get_ref() {
                error.help(format!("write it in quotes: \"{number}\""));
            }
            return None;
        };
        interpolate::plain(text, node.span(), cx)
    }

    fn encode(value: &String) -> Json {
        interpolate::escape(value).into()
    }

    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

impl Shape for Template {
    type Value = Template;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Template> {
        match node.get_ref() {
            DeValue::String(text) => interpolate::template(text, node.span(), cx),
            _ => scalar(node, cx).map(Template::text),
        }
    }

    fn encode(value: &Template) -> Json {
        value.to_string().into()
    }

    fn schema() -> Json {
        json!({ "type": ["string", "integer", "boolean"] })
    }
}

/// Text that may also be written as a number or a boolean.
pub(in crate::config) struct Scalar;

impl Shape for Scalar {
    type Value = String;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<String> {
        match node.get_ref() {
            DeValue::String(text) => interpolate::plain(text, node.span(), cx),
            _ => scalar(node, cx),
        }
    }

    fn encode(value: &String) -> Json {
        String::encode(value)
    }

    fn schema() -> Json {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

fn scalar(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<String> {
    match node.get_ref() {
        DeValue::Integer(_) | DeValue::Float(_) => cx.text.get(node.span()).map(str::to_owned),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::String(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            cx.wrong_type(node, "a string, a number or a boolean");
            None
        }
    }
}

/// Text that obeys a rule.
pub(in crate::config) struct Text<R>(PhantomData<R>);

impl<R: Rule> Shape for Text<R> {
    type Value = String;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<String> {
        let text = String::decode(node, cx)?;
        obeys::<R>(&text, node.span(), cx).then_some(text)
    }

    fn encode(value: &String) -> Json {
        String::encode(value)
    }

    fn schema() -> Json {
        match R::PATTERN {
            Some(pattern) => json!({ "type": "string", "pattern": or_env(pattern) }),
            None => json!({ "type": "string" }),
        }
    }
}

/// The pattern, or a text whose value depends on the environment.
fn or_env(pattern: &str) -> String {
    format!("{pattern}|\\$\\{{env\\.")
}

/// Whether the text obeys the rule; an error when not.
pub(super) fn obeys<R: Rule>(text: &str, span: Range<usize>, cx: &mut Cx<'_>) -> bool {
    let Err(problem) = R::check(text) else {
        return true;
    };
    let message = match text.is_empty() {
        true => format!("`{}` is empty", cx.path),
        false => format!("`{text}` is not {}", R::WHAT),
    };
    let error = cx.error(span, message).label(problem);
    error.help = R::HELP.map(str::to_owned);
    false
}

impl Shape for bool {
    type Value = bool;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<bool> {
        let DeValue::Boolean(value) = node.get_ref() else {
            cx.wrong_type(node, "`true` or `false`");
            return None;
        };
        Some(*value)
    }

    fn encode(value: &bool) -> Json {
        (*value).into()
    }

    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

/// A port number.
impl Shape for u16 {
    type Value = u16;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<u16> {
        let DeValue::Integer(number) = node.get_ref() else {
            cx.wrong_type(node, "a port number");
            return None;
        };
        let port = i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|number| u16::try_from(number).ok())
            .filter(|port| *port != 0);
        if port.is_none() {
            cx.error(node.span(), format!("`{number}` is not a port number"))
                .label("expected 1 to 65535");
        }
        port
    }

    fn encode(value: &u16) -> Json {
        (*value).into()
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 1, "maximum": 65535 })
    }
}

/// The status of an HTTP answer.
pub(in crate::config) struct HttpStatus;

impl Shape for HttpStatus {
    type Value = u16;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<u16> {
        let DeValue::Integer(number) = node.get_ref() else {
            cx.wrong_type(node, "a status such as 200");
            return None;
        };
        let status = number.as_str().parse().ok();
        let status = status.filter(|status| (100..=599).contains(status));
        if status.is_none() {
            cx.error(node.span(), format!("`{number}` is not a status"))
                .label("expected 100 to 599");
        }
        status
    }

    fn encode(value: &u16) -> Json {
        (*value).into()
    }

    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 100, "maximum": 599 })
    }
}

impl Shape for Duration {
    type Value = Duration;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Duration> {
        const WANTED: &str = "a duration such as \"30s\"";
        let DeValue::String(_) = node.get_ref() else {
            cx.wrong_type(node, WANTED);
            return None;
        };
        let text = String::decode(node, cx)?;
        let value = duration::parse(&text);
        if value.is_none() {
            cx.error(node.span(), format!("`{text}` is not a duration"))
                .label(format!("expected {WANTED}"))
                .help("write a whole number and a unit: ms, s, m or h");
        }
        value
    }

    fn encode(value: &Duration) -> Json {
        duration::format(*value).into()
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": or_env("^[0-9]+(ms|s|m|h)$") })
    }
}

/// A duration that CI services can be told: they count whole minutes.
pub(in crate::config) struct Minutes;

impl Shape for Minutes {
    type Value = Duration;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Duration> {
        let value = Duration::decode(node, cx)?;
        if value.is_zero() || value.as_millis() % 60_000 != 0 {
            let shown = duration::format(value);
            cx.error(node.span(), format!("`{shown}` is not in whole minutes"))
                .label("expected such as \"45m\"");
            return None;
        }
        Some(value)
    }

    fn encode(value: &Duration) -> Json {
        Duration::encode(value)
    }

    fn schema() -> Json {
        Duration::schema()
    }
}

impl Shape for StepId {
    type Value = StepId;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<StepId> {
        let text = String::decode(node, cx)?;
        interpolate::step_id(&text, node.span(), cx)
    }

    fn encode(value: &StepId) -> Json {
        value.to_string().into()
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[a-z]+\\.[a-z][a-z0-9_-]*$" })
    }
}
