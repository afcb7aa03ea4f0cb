//! SARIF 2.1.0 (OASIS, <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>): findings with their rules, for code scanning.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value as Json, json};

use super::{Finding, Run, finding::Location};
use crate::event::{Severity, percent_encode};

/// Everything that has a place in a file of the repository. `prefix` is the project's folder in it.
pub fn sarif(run: &Run, prefix: &Path) -> String {
    let found = Finding::all(run);
    let placed: Vec<_> = (found.iter())
        .filter_map(|finding| Some((finding, finding.location(prefix)?)))
        .collect();
    // Rules by name, so that the same findings give the same bytes.
    let rules: BTreeMap<&str, &Finding> = (placed.iter())
        .map(|(finding, _)| (finding.rule(), *finding))
        .collect();
    let names: Vec<_> = rules.keys().copied().collect();
    let results = placed.iter().map(|(finding, location)| {
        let index = names.binary_search(&finding.rule()).unwrap_or_default();
        result(finding, location, index)
    });
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "devenv",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.values().map(|finding| rule(finding)).collect::<Vec<_>>(),
            } },
            "columnKind": "unicodeCodePoints",
            "results": results.collect::<Vec<_>>(),
        }],
    });
    serde_json::to_string_pretty(&log).expect("JSON is written to memory") + "\n"
}

fn rule(finding: &Finding) -> Json {
    let mut rule = json!({ "id": finding.rule() });
    if let (Some(code), Some(help)) = (&finding.fault.code, &finding.fault.help) {
        rule["shortDescription"] = json!({ "text": code });
        rule["help"] = json!({ "text": help });
    }
    rule
}

fn result(finding: &Finding, location: &Location, rule: usize) -> Json {
    let mut physical = json!({
        "artifactLocation": { "uri": uri(&location.path), "uriBaseId": "%SRCROOT%" },
    });
    if let (Some(line), Some(column)) = (location.line, location.column) {
        physical["region"] = json!({ "startLine": line.max(1), "startColumn": column.max(1) });
        if let Some(excerpt) = &finding.fault.excerpt {
            physical["region"]["snippet"] = json!({ "text": excerpt });
        }
    }
    json!({
        "ruleId": finding.rule(),
        "ruleIndex": rule,
        "level": match finding.fault.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Notice => "note",
        },
        "message": { "text": finding.text() },
        "locations": [{ "physicalLocation": physical }],
    })
}

/// A relative reference (RFC 3986): all but letters, digits and `-._~` are percent-encoded, `/` stays.
fn uri(path: &str) -> String {
    let parts: Vec<_> = path.split('/').map(percent_encode).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::report::ci::testing;

    #[test]
    fn findings_have_rule_place_and_level() {
        expect![[r#"
            {
              "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
              "version": "2.1.0",
              "runs": [
                {
                  "tool": {
                    "driver": {
                      "name": "devenv",
                      "semanticVersion": "0.1.0",
                      "rules": [
                        {
                          "id": "ban-drop-table",
                          "shortDescription": {
                            "text": "ban-drop-table"
                          },
                          "help": {
                            "text": "release an app that does not use it first"
                          }
                        },
                        {
                          "id": "syntax"
                        },
                        {
                          "id": "task"
                        }
                      ]
                    }
                  },
                  "columnKind": "unicodeCodePoints",
                  "results": [
                    {
                      "ruleId": "ban-drop-table",
                      "ruleIndex": 0,
                      "level": "error",
                      "message": {
                        "text": "dropping a table may break existing clients\nhelp: release an app that does not use it first"
                      },
                      "locations": [
                        {
                          "physicalLocation": {
                            "artifactLocation": {
                              "uri": "apps/one/migrations/V2__new.sql",
                              "uriBaseId": "%SRCROOT%"
                            },
                            "region": {
                              "startLine": 2,
                              "startColumn": 1,
                              "snippet": {
                                "text": "drop table a;"
                              }
                            }
                          }
                        }
                      ]
                    },
                    {
                      "ruleId": "syntax",
                      "ruleIndex": 1,
                      "level": "warning",
                      "message": {
                        "text": "the SQL lint cannot read this statement: a,b:c 100%"
                      },
                      "locations": [
                        {
                          "physicalLocation": {
                            "artifactLocation": {
                              "uri": "apps/one/migrations/V3%20%C3%A9%23.sql",
                              "uriBaseId": "%SRCROOT%"
                            },
                            "region": {
                              "startLine": 1,
                              "startColumn": 7
                            }
                          }
                        }
                      ]
                    },
                    {
                      "ruleId": "task",
                      "ruleIndex": 2,
                      "level": "error",
                      "message": {
                        "text": "`make | check <all>` failed with code 2\nits last output:\n::error::x\n]]> ``` end"
                      },
                      "locations": [
                        {
                          "physicalLocation": {
                            "artifactLocation": {
                              "uri": "apps/one/devenv.toml",
                              "uriBaseId": "%SRCROOT%"
                            }
                          }
                        }
                      ]
                    }
                  ]
                }
              ]
            }
        "#]].assert_eq(&sarif(&testing::failed(), Path::new("apps/one")));
    }

    #[test]
    fn a_run_without_findings_is_a_log_without_results() {
        let log: Json = serde_json::from_str(&sarif(&Run::default(), Path::new(""))).expect("JSON");
        assert_eq!(log["runs"][0]["results"], json!([]));
        assert_eq!(log["runs"][0]["tool"]["driver"]["rules"], json!([]));
    }
}
