//! What `--output json` puts on stdout when a command fails: one line, the last, with all that the text on stderr says.

use serde::Serialize;
use serde_json::Value as Json;

use super::exit;
use crate::event::{Fault, FaultClass};

#[derive(Serialize)]
struct Failure<'a> {
    error: Told<'a>,
    /// What the command has to say all the same, such as how the files differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<&'a Json>,
}

#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    fault: &'a Fault,
    exit_code: u8,
}

pub fn line(fault: &Fault, answer: Option<&Json>) -> String {
    line_with_code(fault, answer, exit::number(fault.class))
}

/// Where the command ends with another code than failures of this class do.
pub fn line_with_code(fault: &Fault, answer: Option<&Json>, exit_code: u8) -> String {
    let failure = Failure {
        error: Told { fault, exit_code },
        answer,
    };
    let json = serde_json::to_string(&failure).expect("failures are plain data");
    json + "\n"
}

/// Wrong arguments, as clap tells them.
pub fn usage(error: &clap::Error) -> Fault {
    let text = error.render().to_string();
    let mut paragraphs = text.split("\n\n").map(str::trim);
    let message = paragraphs.next().unwrap_or_default();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let fault = Fault::new(one_line(message)).class(FaultClass::Usage);
    let tip = paragraphs.find_map(|text| text.strip_prefix("tip: "));
    fault.help(tip.map_or_else(
        || "see `devenv --help`".to_owned(),
        |tip| one_line(tip.trim()),
    ))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether JSON was asked for in arguments that could not be read.
pub fn wants_json(mut arguments: impl Iterator<Item = String>, variable: Option<String>) -> bool {
    let mut found = variable;
    while let Some(argument) = arguments.next().filter(|argument| argument != "--") {
        if argument == "--output" {
            found = arguments.next();
        } else if let Some(value) = argument.strip_prefix("--output=") {
            found = Some(value.to_owned());
        }
    }
    found.is_some_and(|value| value == "json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_asked_for_by_option_or_variable() {
        let wants = |arguments: &[&str], variable: Option<&str>| {
            let arguments = arguments.iter().map(|text| (*text).to_owned());
            wants_json(arguments, variable.map(str::to_owned))
        };
        assert!(wants(&["up", "--output", "json"], None));
        assert!(wants(&["up", "--output=json"], Some("plain")));
        assert!(wants(&["up"], Some("json")));
        assert!(!wants(&["up", "--output", "plain"], Some("json")));
        assert!(!wants(&["exec", "--", "x", "--output", "json"], None));
    }
}
