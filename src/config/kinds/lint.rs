use serde::Serialize;
use serde_json::{Value as Json, json};
use toml::de::DeValue;

use crate::config::{
    decode::{Cx, Node, Record, Rule, Shape, Text, record, schema::Object},
    suggest::nearest,
};

/// `lint` of a `[migrate.X]`: which rules its migrations obey.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// `lint = false` leaves the checks of names and text, which no migration can do without.
    pub enabled: bool,
    /// Names of rules, sorted, each once.
    pub exclude: Vec<String>,
    pub include: Vec<String>,
}

record! {
    /// `lint = { exclude = ["prefer-text-field"] }`
    #[derive(Debug, Clone, Default)]
    pub struct LintKeys {
        /// Rules that are on by default and not wanted.
        pub exclude: Vec<String> as Vec<Text<RuleName>>,
        /// Rules that are off by default and wanted.
        pub include: Vec<String> as Vec<Text<RuleName>>,
    }
}

impl Shape for Lint {
    type Value = Lint;

    fn decode(node: &Node<'_>, cx: &mut Cx<'_>) -> Option<Lint> {
        let (enabled, keys) = match node.get_ref() {
            DeValue::Boolean(enabled) => (*enabled, LintKeys::default()),
            DeValue::Table(_) => (true, LintKeys::decode(node, cx)?),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => {
                cx.wrong_type(node, "`true`, `false` or a table")
                    .help("such as { exclude = [\"prefer-text-field\"] }");
                return None;
            }
        };
        let [exclude, include] = [keys.exclude, keys.include].map(|mut names| {
            names.sort();
            names.dedup();
            names
        });
        Some(Lint {
            enabled,
            exclude,
            include,
        })
    }

    fn encode(value: &Lint) -> Json {
        if !value.enabled || value.exclude.is_empty() && value.include.is_empty() {
            return value.enabled.into();
        }
        LintKeys::encode(&LintKeys {
            exclude: value.exclude.clone(),
            include: value.include.clone(),
        })
    }

    fn schema() -> Json {
        let mut table = Object::new(LintKeys::DOC);
        LintKeys::describe_keys(&mut table);
        json!({ "anyOf": [{ "type": "boolean" }, table.into_json()] })
    }
}

/// The name of a rule of squawk, or of devenv's own.
enum RuleName {}

impl Rule for RuleName {
    const WHAT: &'static str = "a rule of the SQL lint";
    const HELP: Option<&'static str> = Some(
        "`devenv migrate lint` names the rule of each finding, and squawkhq.com/docs has them all",
    );

    fn check(text: &str) -> Result<(), String> {
        if LINT_RULES.contains(&text) {
            return Ok(());
        }
        Err(match nearest(text, LINT_RULES.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "it is not known".to_owned(),
        })
    }
}

/// All rules of squawk 2.68 and the two that are devenv's own, sorted. `database::lint` checks that there are no others.
pub const LINT_RULES: &[&str] = &[
    "adding-field-with-default",
    "adding-foreign-key-constraint",
    "adding-not-nullable-field",
    "adding-required-field",
    "adding-serial-primary-key-field",
    "ban-add-column",
    "ban-add-composite-attribute",
    "ban-add-enum-value",
    "ban-alter-database-options",
    "ban-alter-domain-with-add-constraint",
    "ban-alter-extension",
    "ban-alter-function-options",
    "ban-alter-generated-expression",
    "ban-alter-identity",
    "ban-alter-policy-condition",
    "ban-alter-policy-roles",
    "ban-alter-role-options",
    "ban-alter-row-level-security",
    "ban-alter-sequence-values",
    "ban-alter-system-options",
    "ban-alter-view-options",
    "ban-char-field",
    "ban-concurrent-index-creation-in-transaction",
    "ban-create-domain-with-constraint",
    "ban-create-policy",
    "ban-detach-inheritance",
    "ban-disable-trigger",
    "ban-drop-column",
    "ban-drop-constraint",
    "ban-drop-database",
    "ban-drop-default",
    "ban-drop-domain",
    "ban-drop-extension",
    "ban-drop-function",
    "ban-drop-generated-expression",
    "ban-drop-index",
    "ban-drop-not-null",
    "ban-drop-policy",
    "ban-drop-schema",
    "ban-drop-sequence",
    "ban-drop-table",
    "ban-drop-trigger",
    "ban-drop-type",
    "ban-drop-view",
    "ban-duplicate-column-assignments",
    "ban-new-write-restriction",
    "ban-replace-view-function",
    "ban-replica-identity",
    "ban-revoke",
    "ban-set-default",
    "ban-set-schema",
    "ban-truncate-cascade",
    "ban-uncommitted-transaction",
    "changing-column-type",
    "constraint-missing-not-valid",
    "disallowed-unique-constraint",
    "identifier-too-long",
    "not-in-transaction",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-repack",
    "prefer-robust-stmts",
    "prefer-text-field",
    "prefer-timestamp-tz",
    "renaming-column",
    "renaming-object",
    "renaming-table",
    "require-concurrent-index-creation",
    "require-concurrent-index-deletion",
    "require-concurrent-partition-detach",
    "require-concurrent-reindex",
    "require-enum-value-ordering",
    "require-lock-timeout",
    "require-statement-timeout",
    "require-table-schema",
    "require-timeout-settings",
    "syntax",
    "transaction-nesting",
];
