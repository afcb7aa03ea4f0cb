//! GitLab's code quality report (<https://docs.gitlab.com/ci/testing/code_quality/>): its logs have no annotations, its merge requests
//! show these.

use std::{collections::BTreeMap, path::Path};

use serde_json::json;

use super::{Finding, Run};
use crate::{event::Severity, plan::Digest};

/// Everything that has a place in a file of the repository. `prefix` is the project's folder in it.
pub fn code_quality(run: &Run, prefix: &Path) -> String {
    let mut seen: BTreeMap<Digest, usize> = BTreeMap::new();
    let mut issues = Vec::new();
    for finding in Finding::all(run) {
        let Some(location) = finding.location(prefix) else {
            continue;
        };
        let excerpt = finding.fault.excerpt.as_deref().unwrap_or_default();
        let message = &finding.fault.message;
        // Without the line, so that what moves stays the same issue.
        let same = Digest::of([finding.rule(), &location.path, message, excerpt].join("\n"));
        let times = seen.entry(same).or_default();
        *times += 1;
        issues.push(json!({
            "description": finding.text(),
            "check_name": finding.rule(),
            "fingerprint": Digest::of(format!("{same} {times}")),
            "severity": match finding.fault.severity {
                Severity::Error => "major",
                Severity::Warning => "minor",
                Severity::Notice => "info",
            },
            "location": { "path": location.path, "lines": { "begin": location.line.unwrap_or(1) } },
        }));
    }
    serde_json::to_string_pretty(&issues).expect("JSON is written to memory") + "\n"
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::Value as Json;

    use super::*;
    use crate::{
        event::{Fault, Outcome},
        report::ci::testing::{self, ends, record},
    };

    #[test]
    fn findings_have_rule_place_and_severity() {
        let text = code_quality(&testing::failed(), Path::new(""));
        let json: Vec<Json> = serde_json::from_str(&text).expect("JSON");
        let shown: Vec<_> = (json.into_iter())
            .map(|mut issue| {
                let print = issue["fingerprint"].take();
                assert_eq!(print.as_str().map(str::len), Some(64));
                issue.to_string()
            })
            .collect();
        expect![[r#"
            {"description":"dropping a table may break existing clients\nhelp: release an app that does not use it first","check_name":"ban-drop-table","fingerprint":null,"severity":"major","location":{"path":"migrations/V2__new.sql","lines":{"begin":2}}}
            {"description":"the SQL lint cannot read this statement: a,b:c 100%","check_name":"syntax","fingerprint":null,"severity":"minor","location":{"path":"migrations/V3 é#.sql","lines":{"begin":1}}}
            {"description":"`make | check <all>` failed with code 2\nits last output:\n::error::x\n]]> ``` end","check_name":"task","fingerprint":null,"severity":"major","location":{"path":"devenv.toml","lines":{"begin":1}}}"#]].assert_eq(&shown.join("\n"));
    }

    #[test]
    fn the_same_at_another_line_is_the_same_issue_and_twice_is_two() {
        let prints = |lines: &[usize]| -> Vec<String> {
            let errors = lines
                .iter()
                .map(|line| Fault::new("x").at_file("a.rs", *line, 1));
            let fault = Fault::new("all").after(errors);
            let run = Run::of(&[record(ends("task.a", Outcome::Failed { fault }, 1))]);
            let text = code_quality(&run, Path::new(""));
            let json: Vec<Json> = serde_json::from_str(&text).expect("JSON");
            json.iter()
                .map(|issue| issue["fingerprint"].to_string())
                .collect()
        };
        assert_eq!(prints(&[1]), prints(&[5]));
        let two = prints(&[1, 5]);
        assert_ne!(two[0], two[1]);
    }
}
