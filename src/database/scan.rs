//! Reads a folder of migrations strictly: every file that refinery would skip in silence or choke on is an error with its fix.
//!
//! Needs no database. All problems of a folder are reported at once.

mod problem;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::event::Spot;

pub use problem::{Problem, ScanError};

use super::{
    name::{self, FileName},
    sql::{self, Control, Split},
};

/// One migration of the folder, valid in itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    pub version: i64,
    pub name: String,
    /// Relative to the project: `migrations/V1__users.sql`.
    pub file: PathBuf,
    /// With line ends as LF, whatever the checkout made of them.
    pub sql: String,
    /// False when its leading comment says `-- devenv: no-transaction`.
    pub transactional: bool,
    /// Refinery's own, of name, version and text.
    pub checksum: u64,
}

impl Migration {
    /// `V1__users`.
    pub fn stem(&self) -> String {
        format!("V{}__{}", self.version, self.name)
    }

    pub(super) fn unapplied(&self) -> refinery_core::Migration {
        refinery_core::Migration::unapplied(&self.stem(), &self.sql)
            .expect("checked in scan: the name has refinery's form")
    }
}

/// All migrations of the folder `dir`, a path relative to the project at `root`, by rising version.
pub fn scan(root: &Path, dir: &str) -> Result<Vec<Migration>, ScanError> {
    let mut scan = Scan {
        dir: PathBuf::from(dir),
        problems: Vec::new(),
    };
    let entries = entries(&root.join(dir)).map_err(|error| problem::unreadable(dir, &error))?;
    let mut migrations = Vec::new();
    for (name, path) in entries {
        migrations.extend(scan.entry(&name, &path));
    }
    scan.duplicates(&migrations);
    if !scan.problems.is_empty() {
        scan.problems
            .sort_by(|a, b| (&a.file, a.spot.line).cmp(&(&b.file, b.spot.line)));
        return Err(ScanError::Files {
            dir: scan.dir,
            problems: scan.problems,
        });
    }
    migrations.sort_by_key(|migration| migration.version);
    Ok(migrations)
}

/// Names and paths of a folder's entries, sorted. Names that are no UTF-8 are shown with replacement characters.
pub(super) fn entries(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut entries = fs::read_dir(dir)?
        .map(|entry| {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Ok((name, entry.path()))
        })
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}

struct Scan {
    dir: PathBuf,
    problems: Vec<Problem>,
}

impl Scan {
    fn problem(&mut self, file: &str, what: impl Into<String>, help: impl Into<String>) {
        self.problem_at(file, Spot::START, what, help);
    }

    fn problem_at(
        &mut self,
        file: &str,
        spot: Spot,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problems.push(Problem {
            file: self.dir.join(file),
            spot,
            what: what.into(),
            help: help.into(),
        });
    }

    fn entry(&mut self, file: &str, path: &Path) -> Option<Migration> {
        if name::is_no_migration(file) && !path.is_dir() {
            return None;
        }
        if path.is_dir() {
            // A dot folder, such as an editor's, is nobody's migration.
            if !file.starts_with('.') {
                self.problem(
                    file,
                    "is a folder, and migrations are read from one folder only",
                    format!(
                        "move its files up into `{}`, or the folder elsewhere",
                        self.dir.display()
                    ),
                );
            }
            return None;
        }
        if !path.exists() {
            self.problem(
                file,
                "is a link to nothing",
                "correct where it points to, or remove it",
            );
            return None;
        }
        if !path.is_file() {
            self.problem(
                file,
                "is no regular file",
                "remove it, or replace it by a file",
            );
            return None;
        }
        match name::parse(file) {
            Ok(parsed) => self.file(file, path, parsed),
            Err(error) => {
                self.problem(file, error.to_string(), error.help());
                None
            }
        }
    }

    fn file(&mut self, file: &str, path: &Path, parsed: FileName) -> Option<Migration> {
        let sql = self.text(file, path)?;
        let directive = self.directive(file, &sql);
        let split = match sql::split(&sql) {
            Ok(split) => split,
            Err(error) => {
                self.problem_at(
                    file,
                    Spot::of(&sql, error.at),
                    format!("has {error}"),
                    "migrations are plain SQL as the server reads it: correct it here",
                );
                return None;
            }
        };
        let transactional = directive.is_none();
        self.statements(file, &sql, &split, transactional);
        self.late_directives(file, &sql, &split);
        let mut migration = Migration {
            version: parsed.version,
            name: parsed.name,
            file: self.dir.join(file),
            sql,
            transactional,
            checksum: 0,
        };
        migration.checksum = migration.unapplied().checksum();
        Some(migration)
    }

    fn text(&mut self, file: &str, path: &Path) -> Option<String> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problem(file, format!("cannot be read: {error}"), "make it readable");
                return None;
            }
        };
        if bytes.starts_with(b"\xef\xbb\xbf") {
            self.problem(
                file,
                "begins with a byte order mark, which Postgres takes for a syntax error",
                "save it as UTF-8 without a byte order mark",
            );
            return None;
        }
        match String::from_utf8(bytes) {
            Ok(text) if text.contains('\0') => {
                self.problem(file, "holds a zero byte", "save it as plain UTF-8 text");
                None
            }
            Ok(text) => Some(text.replace("\r\n", "\n")),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(error.as_bytes());
                self.problem_at(
                    file,
                    // What is valid comes first, and is the same in both.
                    Spot::of(&text, valid),
                    "is not UTF-8 from here on",
                    "save it as UTF-8",
                );
                None
            }
        }
    }

    /// The directive of the leading comment lines. An unknown one is a problem.
    fn directive(&mut self, file: &str, sql: &str) -> Option<()> {
        let mut found = None;
        for (index, line) in sql.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with("--") {
                break;
            }
            match directive(line) {
                Some(NO_TRANSACTION) => found = Some(()),
                Some(other) => self.problem_at(
                    file,
                    Spot::line(sql, index + 1),
                    format!("has an unknown directive `{other}`"),
                    format!("the only one is `-- devenv: {NO_TRANSACTION}`"),
                ),
                None => {}
            }
        }
        found
    }

    /// A directive below the first statement would have no effect.
    fn late_directives(&mut self, file: &str, sql: &str, split: &Split) {
        let Some(first) = split.statements.first() else {
            return;
        };
        let late = split
            .comments
            .iter()
            .filter(|comment| comment.start > first.span.start)
            .filter(|comment| directive(&sql[(*comment).clone()]).is_some());
        for comment in late {
            self.problem_at(
                file,
                Spot::of(sql, comment.start),
                "has its directive below the first statement, where it has no effect",
                "move it to the first line",
            );
        }
    }

    fn statements(&mut self, file: &str, sql: &str, split: &Split, transactional: bool) {
        if split.statements.is_empty() {
            self.problem(
                file,
                "is empty: it holds no statement yet",
                "write its SQL into it, or remove the file",
            );
        }
        let mut open = None;
        for statement in &split.statements {
            let place = Spot::of(sql, statement.span.start);
            if statement.copies_stdin() {
                self.problem_at(
                    file,
                    place.clone(),
                    "copies from stdin, and a migration has none",
                    "write the rows as `insert` statements (`pg_dump --inserts`)",
                );
            }
            match statement.control() {
                Some(_) if transactional => self.problem_at(
                    file,
                    place,
                    format!("controls the transaction with `{}`, which would leave half of it on failure", first_word(sql, statement)),
                    format!("delete it: the file already runs in one transaction; or put `-- devenv: {NO_TRANSACTION}` on the first line"),
                ),
                Some(Control::Begin) => open = Some(place),
                Some(Control::End) => open = None,
                None => {}
            }
        }
        if let Some(place) = open {
            self.problem_at(
                file,
                place,
                "opens a transaction that is never committed",
                "add `commit;`",
            );
        }
    }

    fn duplicates(&mut self, migrations: &[Migration]) {
        let mut files: BTreeMap<i64, Vec<&Migration>> = BTreeMap::new();
        for migration in migrations {
            files.entry(migration.version).or_default().push(migration);
        }
        let next = files.keys().last().map_or(1, |last| last.saturating_add(1));
        for (version, same) in files {
            let [first, others @ ..] = same.as_slice() else {
                continue;
            };
            for other in others {
                self.problems.push(Problem {
                    file: other.file.clone(),
                    spot: Spot::START,
                    what: format!("has version {version}, and so has `{}`", first.file.display()),
                    help: format!(
                        "give the one that is not applied anywhere yet the next number, such as `V{next}__{}.sql`",
                        other.name
                    ),
                });
            }
        }
    }
}

const NO_TRANSACTION: &str = "no-transaction";

/// The text behind `-- devenv:`.
fn directive(line: &str) -> Option<&str> {
    let text = line.trim().strip_prefix("--")?.trim_start();
    Some(text.strip_prefix("devenv:")?.trim())
}

fn first_word<'a>(sql: &'a str, statement: &sql::Statement) -> &'a str {
    let text = &sql[statement.span.clone()];
    text.split(|c: char| !c.is_alphabetic())
        .next()
        .unwrap_or(text)
}

#[cfg(test)]
mod tests;
