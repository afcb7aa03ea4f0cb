//! Names of migration files: `V<version>__<name>.sql`. Pure, but for reading the folder's names when a new one is made.

use std::path::Path;

use super::scan::entries;
use crate::event::{Explain, Fault, FaultClass};

/// What a valid file name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileName {
    pub version: i64,
    pub name: String,
}

/// Why a name is no migration's, and the name it should have where that can be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadName {
    #[error("is neither a migration nor documentation")]
    NotSql,
    #[error("is hidden and would be skipped in silence")]
    Hidden { rename: Option<String> },
    #[error("does not end in `.sql`")]
    Extension { rename: String },
    #[error("starts with `U`, which does not undo anything: it means \"may run out of order\"")]
    Unversioned { rename: String },
    #[error("starts with a lower-case `v` and would be skipped in silence")]
    LowerCase { rename: String },
    #[error("has no version: its name has to start with `V` and a number")]
    NoVersion,
    #[error("has a fraction in its version, and versions are whole numbers")]
    Fraction,
    #[error("has a version beyond {}", i64::MAX)]
    Overflow,
    #[error("has no `__` between version and name and would be skipped in silence")]
    Separator { rename: String },
    #[error("has no name behind `__`")]
    NoName,
    #[error("has `{found}` in its name and would be skipped in silence")]
    Character { found: char, rename: String },
}

impl BadName {
    pub fn help(&self) -> String {
        match self {
            Self::Hidden {
                rename: Some(rename),
            } => format!("rename it to `{rename}`, or move it out of the folder"),
            Self::Hidden { rename: None } | Self::NotSql => {
                "move it out of the folder, or name it `V<number>__<name>.sql`".into()
            }
            Self::Unversioned { rename } => format!(
                "rename it to `{rename}`; to undo a migration, write a new one that does the opposite"
            ),
            Self::Extension { rename }
            | Self::LowerCase { rename }
            | Self::Separator { rename }
            | Self::Character { rename, .. } => format!("rename it to `{rename}`"),
            Self::NoVersion => "name it `V<number>__<name>.sql`, such as `V1__users.sql`".into(),
            Self::Fraction => "use the next whole number".into(),
            Self::Overflow => "use the next number, or a timestamp of 14 digits".into(),
            Self::NoName => "say what it does, such as `V1__users.sql`".into(),
        }
    }
}

/// Documentation, dot files and what editors leave beside a file: nobody means them as migrations. A hidden `.sql` may be meant.
pub(super) fn is_no_migration(file: &str) -> bool {
    let is_documentation = file.ends_with(".md") || file == "README" || file == "README.txt";
    let is_saved_by_editor = file.ends_with('~') || (file.starts_with('#') && file.ends_with('#'));
    // Emacs' lock of a file that is being edited, and macOS' double of a file on a foreign file system.
    let is_double = file.starts_with(".#") || file.starts_with("._");
    let is_sql = file.to_ascii_lowercase().ends_with(".sql");
    is_documentation || is_saved_by_editor || (file.starts_with('.') && (is_double || !is_sql))
}

pub(super) fn parse(file: &str) -> Result<FileName, BadName> {
    if let Some(shown) = file.strip_prefix('.') {
        let rename = valid(shown).ok();
        return Err(BadName::Hidden { rename });
    }
    let Some((stem, extension)) = file.rsplit_once('.') else {
        return Err(BadName::NotSql);
    };
    if extension != "sql" {
        return Err(if extension.eq_ignore_ascii_case("sql") {
            match valid(&format!("{stem}.sql")) {
                Ok(rename) => BadName::Extension { rename },
                Err(worse) => worse,
            }
        } else {
            BadName::NotSql
        });
    }
    let Some(rest) = stem.strip_prefix('V') else {
        return Err(other_prefix(stem));
    };
    let digits = leading_digits(rest);
    if digits.is_empty() {
        return Err(BadName::NoVersion);
    }
    let rest = &rest[digits.len()..];
    if rest.starts_with('.') {
        return Err(BadName::Fraction);
    }
    let Some(name) = rest.strip_prefix("__") else {
        let name = slug(rest);
        return Err(if name.is_empty() {
            BadName::NoName
        } else {
            BadName::Separator {
                rename: format!("V{digits}__{name}.sql"),
            }
        });
    };
    if name.is_empty() {
        return Err(BadName::NoName);
    }
    if let Some(found) = name.chars().find(|c| !is_name_character(*c)) {
        let rename = format!("V{digits}__{}.sql", slug(name));
        return Err(BadName::Character { found, rename });
    }
    let version = digits.parse().map_err(|_| BadName::Overflow)?;
    Ok(FileName {
        version,
        name: name.to_owned(),
    })
}

fn other_prefix(stem: &str) -> BadName {
    let rest = stem.get(1..).unwrap_or_default();
    if leading_digits(rest).is_empty() {
        return BadName::NoVersion;
    }
    let rename = || valid(&format!("V{rest}.sql"));
    match stem.chars().next() {
        Some('U') => rename().map_or_else(|worse| worse, |rename| BadName::Unversioned { rename }),
        Some('v') => rename().map_or_else(|worse| worse, |rename| BadName::LowerCase { rename }),
        _ => BadName::NoVersion,
    }
}

/// The name itself, or what it would have to be; else what no other name cures.
fn valid(file: &str) -> Result<String, BadName> {
    match parse(file) {
        Ok(_) => Ok(file.to_owned()),
        Err(
            BadName::Hidden {
                rename: Some(rename),
            }
            | BadName::Extension { rename }
            | BadName::Unversioned { rename }
            | BadName::LowerCase { rename }
            | BadName::Separator { rename }
            | BadName::Character { rename, .. },
        ) => Ok(rename),
        Err(bad) => Err(bad),
    }
}

fn leading_digits(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    &text[..end]
}

/// A part of what refinery's `\w` matches.
fn is_name_character(c: char) -> bool {
    c.is_alphabetic() || c.is_ascii_digit() || c == '_'
}

/// Letters and digits, all else as single underscores: `add users!` → `add_users`.
fn slug(text: &str) -> String {
    let words: Vec<_> = text
        .split(|c: char| !is_name_character(c) || c == '_')
        .filter(|word| !word.is_empty())
        .collect();
    words.join("_")
}

#[derive(Debug, thiserror::Error)]
pub enum NameError {
    #[error("`{name}` holds no letter or digit to make a file name of")]
    Empty { name: String },
    #[error("`{file}` has the name `{slug}` already")]
    Taken { slug: String, file: String },
    #[error("no version is left after {last}")]
    Full { last: i64 },
    #[error("cannot list `{dir}`")]
    List {
        dir: String,
        #[source]
        source: std::io::Error,
    },
}

impl Explain for NameError {
    fn explain(&self) -> Fault {
        let fault = Fault::from_error(self);
        match self {
            Self::Empty { .. } => fault
                .class(FaultClass::Usage)
                .help("say what it does, such as `devenv migrate new add_users`"),
            Self::Taken { .. } => fault.class(FaultClass::Usage).help("choose another name"),
            Self::Full { .. } => fault.class(FaultClass::Usage),
            Self::List { .. } => fault.class(FaultClass::Environment),
        }
    }
}

/// The name of the folder's next migration, in the folder's own style: zero padding, or timestamps of 14 digits where the newest
/// version is one. `now` is the current time in that form, in UTC. A folder that does not exist counts as empty.
pub fn new_file_name(dir: &Path, name: &str, now: i64) -> Result<String, NameError> {
    let slug = slug(&name.to_lowercase());
    if slug.is_empty() {
        return Err(NameError::Empty {
            name: name.to_owned(),
        });
    }
    let files = match entries(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(source) => {
            let dir = dir.display().to_string();
            return Err(NameError::List { dir, source });
        }
    };
    let mut newest: Option<(i64, usize)> = None;
    for (file, _) in files {
        let Ok(parsed) = parse(&file) else { continue };
        if parsed.name.eq_ignore_ascii_case(&slug) {
            return Err(NameError::Taken { slug, file });
        }
        let width = leading_digits(&file[1..]).len();
        newest = newest.max(Some((parsed.version, width)));
    }
    let Some((last, width)) = newest else {
        return Ok(format!("V1__{slug}.sql"));
    };
    let next = last.checked_add(1).ok_or(NameError::Full { last })?;
    let version = if is_timestamp(last) {
        next.max(now)
    } else {
        next
    };
    Ok(format!("V{version:0width$}__{slug}.sql"))
}

/// `20260131235959`.
fn is_timestamp(version: i64) -> bool {
    (19_000_000_000_000..=99_991_231_235_959).contains(&version)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 20_261_121_102_030;

    fn next(files: &[&str], name: &str) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(dir.path().join(file), "select 1").unwrap();
        }
        new_file_name(dir.path(), name, NOW).map_err(|error| error.to_string())
    }

    #[test]
    fn the_next_version_in_the_folders_style() {
        assert_eq!(next(&[], "init").unwrap(), "V1__init.sql");
        assert_eq!(next(&["V2__b.sql", "V1__a.sql"], "c").unwrap(), "V3__c.sql");
        assert_eq!(
            next(&["V9__a.sql", "README.md"], "c").unwrap(),
            "V10__c.sql"
        );
        assert_eq!(next(&["V009__a.sql"], "c").unwrap(), "V010__c.sql");
        assert_eq!(
            next(&["V20250102030405__a.sql"], "c").unwrap(),
            "V20261121102030__c.sql"
        );
        assert_eq!(
            next(&["V20991231235959__a.sql"], "c").unwrap(),
            "V20991231235960__c.sql"
        );
    }

    #[test]
    fn names_become_valid() {
        assert_eq!(
            next(&[], "Add  users-table!").unwrap(),
            "V1__add_users_table.sql"
        );
        assert_eq!(next(&[], "größe").unwrap(), "V1__größe.sql");
        assert_eq!(
            next(&[], " -!").unwrap_err(),
            "` -!` holds no letter or digit to make a file name of"
        );
        for name in ["../../etc/x", "a²", "x.sql"] {
            parse(&next(&[], name).unwrap()).unwrap();
        }
    }

    #[test]
    fn a_name_is_used_once() {
        assert_eq!(
            next(&["V1__users.sql"], "Users").unwrap_err(),
            "`V1__users.sql` has the name `users` already"
        );
    }

    #[test]
    fn the_last_version_has_no_next() {
        let file = format!("V{}__a.sql", i64::MAX);
        assert!(
            next(&[&file], "b")
                .unwrap_err()
                .contains("no version is left")
        );
    }

    #[test]
    fn a_hint_names_what_is_accepted() {
        let help = |file| parse(file).unwrap_err().help();
        assert_eq!(help("v2_bad.sql"), "rename it to `V2__bad.sql`");
        assert_eq!(help("v2-so bad.SQL"), "rename it to `V2__so_bad.sql`");
        let undo = "rename it to `V1__a_b.sql`; to undo a migration, write a new one that does the opposite";
        assert_eq!(help("U1__a-b.sql"), undo);
        let hidden = "rename it to `V1__a.sql`, or move it out of the folder";
        assert_eq!(help(".v1a.sql"), hidden);
        assert_eq!(help(".a.sql"), BadName::NotSql.help());
        assert_eq!(help("v1.sql"), BadName::NoName.help());
        assert_eq!(help("v1.2__a.sql"), BadName::Fraction.help());
    }

    proptest::proptest! {
        /// What passes here is what refinery reads, with the same version and name.
        #[test]
        fn valid_names_are_refinerys(file in r"[VvU]?[0-9.]{0,21}_{0,3}[a-zé²_0-9-]{0,5}(\.sql)?") {
            if let Ok(parsed) = parse(&file) {
                let stem = file.strip_suffix(".sql").unwrap();
                let own = refinery_core::Migration::unapplied(stem, "").unwrap();
                assert_eq!((own.version(), own.name()), (parsed.version, parsed.name.as_str()));
            }
            if let Ok(name) = valid(&file) {
                assert!(parse(&name).is_ok(), "{name}");
            }
        }
    }
}
