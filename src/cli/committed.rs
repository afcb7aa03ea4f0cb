//! Steps that change files which git tracks have passed for others than those: generated code that was forgotten, a format.

use std::path::{Path, PathBuf};

use crate::event::{Fault, quoted};

/// Lines of a diff that help; git shows all.
const SHOWN: usize = 60;

/// What the diff says, as git writes it from its top folder, of a project in this folder of it; `None` without any difference.
pub fn changed(diff: &str, project: &Path) -> Option<Fault> {
    let files: Vec<_> = diff.lines().filter_map(name).collect();
    let first = files.first()?;
    let shown: Vec<_> = diff.lines().take(SHOWN).collect();
    let fault = Fault::new(format!(
        "the steps wrote files that are committed otherwise: {}",
        quoted(&files)
    ));
    let fault = fault
        .at_file(from(project, Path::new(first)), line(diff), 1)
        .note(shown.join("\n"))
        .help("run the steps here (`devenv run STEP`), and commit what they write");
    Some(fault)
}

/// Of the line that begins the part of a file: the same name twice, as nothing is told as renamed.
fn name(line: &str) -> Option<&str> {
    let names = line.strip_prefix("diff --git ")?;
    let name = names.get(..names.len() / 2)?;
    Some(name.strip_prefix("a/").unwrap_or(name))
}

/// Where the first file begins to differ, as it is now.
fn line(diff: &str) -> usize {
    let mut lines = diff.lines().skip_while(|line| !line.starts_with("@@ "));
    let start = lines.next().and_then(|hunk| hunk.split_once(" +"));
    let start = start.and_then(|(_, rest)| rest.split([',', ' ']).next()?.parse().ok());
    let same = lines.take_while(|line| line.starts_with(' ')).count();
    (start.unwrap_or(1) + same).max(1)
}

fn from(project: &Path, file: &Path) -> PathBuf {
    match file.strip_prefix(project) {
        Ok(inside) => inside.to_owned(),
        Err(_) => project.iter().map(|_| "..").collect::<PathBuf>().join(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_each_file_and_the_place_of_the_first() {
        let diff = "diff --git a/apps/one/gen x.rs b/apps/one/gen x.rs\n\
            --- a/apps/one/gen x.rs\n+++ b/apps/one/gen x.rs\n@@ -7,4 +7,4 @@ fn a()\n a\n b\n-c\n+d\n\
            diff --git a/logo.png b/logo.png\nBinary files a/logo.png and b/logo.png differ\n";
        let at = |project: &str| {
            let fault = changed(diff, Path::new(project)).expect("it has two files");
            let files = fault.message.split_once(": ").expect("it names them").1;
            assert_eq!(files, "`apps/one/gen x.rs`, `logo.png`");
            fault.site.expect("it has a place").to_string()
        };
        assert_eq!(at("apps/one"), "gen x.rs:9:1");
        assert_eq!(at(""), "apps/one/gen x.rs:9:1");
        assert_eq!(at("apps/two"), "../../apps/one/gen x.rs:9:1");
        assert_eq!(changed("", Path::new("")), None);
    }
}
