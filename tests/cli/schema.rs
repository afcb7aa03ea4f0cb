//! `devenv schema` and the copy of it that is committed for editors.

use crate::support::Project;

#[test]
fn the_committed_schema_is_this_one() {
    let printed = Project::new("").ok(&["schema"]).stdout;
    let committed = include_str!("../../src/config/devenv.schema.json");
    assert!(
        printed == committed,
        "the schema has changed: run `devenv schema > src/config/devenv.schema.json`"
    );
}
