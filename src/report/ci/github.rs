//! GitHub's workflow commands (<https://docs.github.com/actions/reference/workflow-commands-for-github-actions>): groups, annotations.
//!
//! The runner obeys a line that begins with `::`, spaces aside, and one with `##[` anywhere in it. Only the commands made here
//! may: all other text goes through [`Github::inert`].

use std::path::Path;

use super::Finding;
use crate::event::Severity;

pub(in crate::report) struct Github;

/// Of the text of an annotation, in bytes.
const LONGEST: usize = 4096;

impl Github {
    pub fn group(title: &str) -> String {
        format!("::group::{}\n", data(title))
    }

    pub const END: &'static str = "::endgroup::\n";

    /// Lines that the runner shows and does not obey. Without colours: what is stripped later could uncover a command.
    pub fn inert(text: &str) -> String {
        let text = anstream::adapter::strip_str(text).to_string();
        let mut out = String::with_capacity(text.len());
        for line in text.split_inclusive(['\n', '\r']) {
            let rest = line.trim_start();
            let (indent, bar) = match rest.starts_with("::") {
                true => (&line[..line.len() - rest.len()], "| "),
                false => ("", ""),
            };
            out.push_str(indent);
            out.push_str(bar);
            out.push_str(&line[indent.len()..].replace("##[", "## ["));
        }
        out
    }

    /// One line that marks the place in the pull request.
    pub fn annotation(finding: &Finding, prefix: &Path) -> String {
        let command = match finding.fault.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Notice => "notice",
        };
        let mut properties = Vec::new();
        if let Some(location) = finding.location(prefix) {
            properties.push(("file", location.path));
            properties.extend(location.line.map(|line| ("line", line.to_string())));
            properties.extend(location.column.map(|column| ("col", column.to_string())));
        }
        let step = finding.step.map(ToString::to_string);
        let step = step.unwrap_or_else(|| "devenv".to_owned());
        let title = match &finding.fault.code {
            Some(code) => format!("{step}: {code}"),
            None => step,
        };
        properties.push(("title", title));
        let properties: Vec<_> = (properties.iter())
            .map(|(name, value)| format!("{name}={}", property(value)))
            .collect();
        let text = data(&short(finding.text()));
        format!("::{command} {}::{text}\n", properties.join(","))
    }
}

/// More would not be shown beside a line of code; the log has it.
fn short(mut text: String) -> String {
    if text.len() > LONGEST {
        let mut end = LONGEST;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The text of a command ends with its line.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property ends with `,`, the last one with `::`.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::{event::Fault, report::ci::testing};

    #[test]
    fn annotations_are_escaped() {
        let run = testing::failed();
        let lines: String = (Finding::all(&run).iter())
            .map(|finding| Github::annotation(finding, Path::new("apps/one")))
            .collect();
        expect![[r#"
            ::error file=apps/one/migrations/V2__new.sql,line=2,col=1,title=lint.db%3A ban-drop-table::dropping a table may break existing clients%0Ahelp: release an app that does not use it first
            ::warning file=apps/one/migrations/V3 é#.sql,line=1,col=7,title=lint.db%3A syntax::the SQL lint cannot read this statement: a,b:c 100%25
            ::error file=apps/one/devenv.toml,title=task.check::`make | check <all>` failed with code 2%0Aits last output:%0A::error::x%0A]]> ``` end
        "#]].assert_eq(&lines);
        let step = testing::step("task.a");
        let fault = Fault::new("50% of\r\n::error::x")
            .at_file("a,b:c=d.rs", 1, 2)
            .code("r::x");
        let finding = Finding {
            step: Some(&step),
            fault: &fault,
        };
        assert_eq!(
            Github::annotation(&finding, Path::new("")),
            "::error file=a%2Cb%3Ac=d.rs,line=1,col=2,title=task.a%3A r%3A%3Ax::50%25 of%0A::error::x\n"
        );
    }

    #[test]
    fn a_long_text_is_cut() {
        let step = testing::step("task.a");
        let fault = Fault::new("é".repeat(LONGEST));
        let finding = Finding {
            step: Some(&step),
            fault: &fault,
        };
        let line = Github::annotation(&finding, Path::new(""));
        assert!(
            line.ends_with("é…\n") && line.len() < LONGEST + 50,
            "{}",
            line.len()
        );
    }

    #[test]
    fn no_other_text_is_a_command() {
        for (text, inert) in [
            ("::error::x", "| ::error::x"),
            (" \t\u{a0}::error::x\n", " \t\u{a0}| ::error::x\n"),
            ("a ::error::x", "a ::error::x"),
            ("a\n::x::\r::y::\nb", "a\n| ::x::\r| ::y::\nb"),
            ("\u{1b}[31m::x::\u{1b}[0m", "| ::x::"),
            ("a ##[group]b", "a ## [group]b"),
            ("##\u{1b}[0m[group]b", "## [group]b"),
            ("plain: text", "plain: text"),
        ] {
            assert_eq!(Github::inert(text), inert, "{text:?}");
        }
    }
}
