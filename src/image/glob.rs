//! Patterns of .dockerignore.
//!
//! Rules: <https://docs.docker.com/build/concepts/context/#dockerignore-files>: Go's `filepath.Match`, `**`, `!`, the last match wins,
//! a matched folder takes all below it.

/// The patterns of one file, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    pattern: Vec<char>,
    keep: bool,
}

impl Ignore {
    pub(super) fn parse(text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}');
        Self {
            rules: text.lines().filter_map(rule).collect(),
        }
    }

    /// Whether the path, with `/` between its parts, is left out.
    pub(super) fn excludes(&self, path: &str) -> bool {
        let mut out = false;
        for rule in &self.rules {
            // A rule that would not change the answer need not be tried.
            if out == rule.keep && rule.covers(path) {
                out = !rule.keep;
            }
        }
        out
    }

    /// Whether something below an excluded folder may still be kept.
    pub(super) fn may_keep_below(&self, folder: &str) -> bool {
        let folder = format!("{folder}/");
        self.rules.iter().filter(|rule| rule.keep).any(|rule| {
            let fixed: String = rule
                .pattern
                .iter()
                .take_while(|c| !['*', '?', '[', '\\'].contains(c))
                .collect();
            fixed.starts_with(&folder) || folder.starts_with(&fixed)
        })
    }
}

impl Rule {
    /// It matches the path or a folder above it.
    fn covers(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(index, _)| index);
        ends.chain([path.len()]).any(|end| {
            let text: Vec<char> = path[..end].chars().collect();
            matches(&self.pattern, &text)
        })
    }
}

fn rule(line: &str) -> Option<Rule> {
    if line.starts_with('#') {
        return None;
    }
    let line = line.trim();
    let (line, keep) = match line.strip_prefix('!') {
        Some(rest) => (rest.trim(), true),
        None => (line, false),
    };
    let parts: Vec<_> = line
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let mut clean: Vec<&str> = Vec::new();
    for part in parts {
        match part {
            ".." => drop(clean.pop()),
            part => clean.push(part),
        }
    }
    let pattern = clean.join("/");
    (!pattern.is_empty()).then(|| Rule {
        pattern: pattern.chars().collect(),
        keep,
    })
}

fn matches(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', '*', rest @ ..] => {
            // `**/` stands for any number of folders, none too; `**` at the end for anything.
            let rest = rest.strip_prefix(&['/']).unwrap_or(rest);
            if rest.is_empty() {
                return true;
            }
            let starts = (0..text.len()).filter(|i| *i == 0 || text[i - 1] == '/');
            let whole = starts
                .into_iter()
                .any(|start| matches(rest, &text[start..]));
            whole
                || (pattern.get(2) != Some(&'/')
                    && (0..=text.len()).any(|i| matches(rest, &text[i..])))
        }
        ['*', rest @ ..] => {
            let end = text.iter().position(|c| *c == '/').unwrap_or(text.len());
            (0..=end).any(|i| matches(rest, &text[i..]))
        }
        ['?', rest @ ..] => {
            matches!(text, [c, after @ ..] if *c != '/' && matches(rest, after))
        }
        ['[', rest @ ..] => match (class(rest), text) {
            (Some((accepts, rest)), [c, after @ ..]) => {
                *c != '/' && accepts(*c) && matches(rest, after)
            }
            _ => false,
        },
        ['\\', literal, rest @ ..] | [literal, rest @ ..] => {
            matches!(text, [c, after @ ..] if c == literal && matches(rest, after))
        }
    }
}

/// What stands after `[`: whether a character is in the class, and the pattern after `]`.
fn class(pattern: &[char]) -> Option<(impl Fn(char) -> bool, &[char])> {
    let (negated, body) = match pattern {
        ['^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let end = body.iter().skip(1).position(|c| *c == ']')? + 1;
    let mut ranges = Vec::new();
    let mut inside = &body[..end];
    while let [first, rest @ ..] = inside {
        if let ['-', last, after @ ..] = rest {
            ranges.push((*first, *last));
            inside = after;
        } else {
            ranges.push((*first, *first));
            inside = rest;
        }
    }
    let accepts = move |c: char| ranges.iter().any(|(a, b)| (*a..=*b).contains(&c)) != negated;
    Some((accepts, &body[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of the paths are left out.
    fn check(ignore: &str, paths: &[&str], out: &[&str]) {
        let ignore = Ignore::parse(ignore);
        let excluded: Vec<_> = paths
            .iter()
            .copied()
            .filter(|path| ignore.excludes(path))
            .collect();
        assert_eq!(excluded, out);
    }

    #[test]
    fn follows_dockers_rules() {
        let paths = [
            "a.md",
            "README.md",
            "src/a.md",
            "src/b.rs",
            "target/x/y",
            "x.tmp",
        ];
        check("*.md\n!README.md", &paths, &["a.md"]);
        check("**/*.md", &paths, &["a.md", "README.md", "src/a.md"]);
        check("# *.md\n/target/\n", &paths, &["target/x/y"]);
        check("*/*.rs\n?.tmp", &paths, &["src/b.rs", "x.tmp"]);
        check("**", &paths, &paths);
        check(
            "**\n!src\nsrc/a.md",
            &paths,
            &["a.md", "README.md", "src/a.md", "target/x/y", "x.tmp"],
        );
        check("[a-r]*.md", &paths, &["a.md"]);
        check("[^a]*.tmp", &paths, &["x.tmp"]);
        check("./src/../src/b.*", &paths, &["src/b.rs"]);
        check("**/y", &paths, &["target/x/y"]);
        check("target/**", &paths, &["target/x/y"]);
        check("tar**", &paths, &["target/x/y"]);
    }

    #[test]
    fn a_folder_is_walked_when_something_in_it_may_stay() {
        let ignore = Ignore::parse("target\n!target/keep/me");
        assert!(ignore.may_keep_below("target"));
        assert!(!ignore.may_keep_below("other"));
        assert!(Ignore::parse("*\n!**/*.rs").may_keep_below("src"));
    }
}
