//! `-- squawk-ignore RULE` and `-- squawk-ignore-file RULE`, for the findings that are not squawk's.

use squawk_linter::ignore::{IgnoreKind, ignore_rule_info};
use squawk_syntax::SyntaxNode;

use crate::event::Spot;

/// The comments of one file that accept something.
#[derive(Debug, Default)]
pub(super) struct Ignores(Vec<Ignore>);

#[derive(Debug)]
struct Ignore {
    kind: IgnoreKind,
    at: usize,
    line: usize,
    /// Empty where none is named.
    names: Vec<String>,
}

impl Ignores {
    pub(super) fn of(file: &SyntaxNode, text: &str) -> Self {
        let tokens = file
            .descendants_with_tokens()
            .filter_map(|one| one.into_token());
        let ignores = tokens.filter_map(|token| {
            let (names, range, kind) = ignore_rule_info(&token)?;
            let names = names.split(',').map(|name| name.trim().to_owned());
            Some(Ignore {
                kind,
                at: token.text_range().start().into(),
                line: Spot::of(text, range.start().into()).line,
                names: names.filter(|name| !name.is_empty()).collect(),
            })
        });
        Self(ignores.collect())
    }

    /// Whether a rule is accepted in the file, or above or on this line. As with squawk, only a whole file is accepted without a name.
    pub(super) fn accept(&self, rule: &str, line: usize) -> bool {
        self.0.iter().any(|ignore| {
            let named = ignore.names.iter().any(|name| name == rule);
            match ignore.kind {
                IgnoreKind::File => named || ignore.names.is_empty(),
                IgnoreKind::Line => named && (ignore.line == line || ignore.line + 1 == line),
            }
        })
    }

    /// Where a comment means one place and names no rule, which accepts nothing.
    pub(super) fn without_effect(&self) -> impl Iterator<Item = usize> {
        let bare = |one: &&Ignore| matches!(one.kind, IgnoreKind::Line) && one.names.is_empty();
        self.0.iter().filter(bare).map(|ignore| ignore.at)
    }
}
