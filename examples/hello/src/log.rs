//! One JSON object per line on stdout: `{"time":…,"level":"info","message":"listening","http":"0.0.0.0:8080"}`.

use std::io::Write;

use serde_json::{Map, Value};

pub fn info(message: &str, fields: &[(&str, Value)]) {
    write("info", message, fields);
}

pub fn error(message: &str, fields: &[(&str, Value)]) {
    write("error", message, fields);
}

fn write(level: &str, message: &str, fields: &[(&str, Value)]) {
    let mut line = Map::new();
    line.insert("time".into(), jiff::Timestamp::now().to_string().into());
    line.insert("level".into(), level.into());
    line.insert("message".into(), message.into());
    for (name, value) in fields {
        line.insert((*name).into(), value.clone());
    }
    let mut text = Value::Object(line).to_string();
    text.push('\n');
    // One write per line; a reader that has gone must not end the app.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
