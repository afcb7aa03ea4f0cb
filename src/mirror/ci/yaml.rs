//! Scalars as YAML has them.

/// A scalar in double quotes: JSON's strings are YAML's, <https://yaml.org/spec/1.2.2/#double-quoted-style>.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A list on one line.
pub fn list<'a>(items: impl IntoIterator<Item = &'a String>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| quoted(item)).collect();
    format!("[{}]", items.join(", "))
}

/// Lines of a literal block, each at this indentation.
pub fn block(indent: &str, lines: &[String]) -> String {
    let lines = lines.iter().flat_map(|text| text.lines());
    lines.map(|line| format!("{indent}{line}\n")).collect()
}
