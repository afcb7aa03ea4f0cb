//! Where this machine gets its packages: apt's sources, and what they mean for another suite.
//!
//! Formats: sources.list(5), one-line and deb822; os-release(5).

use std::{fs, path::Path};

/// One stanza or line of apt's sources that is enabled and has binary packages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Entry {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<String>,
    trusted: bool,
}

/// What this machine says of itself and its mirrors.
#[derive(Debug, Clone, Default)]
pub(super) struct Machine {
    entries: Vec<Entry>,
    /// `debian`, `ubuntu`, …
    distribution: String,
    /// `bookworm`
    codename: String,
}

/// Suites that have neither updates nor security beside them.
const ROLLING: [&str; 5] = ["sid", "unstable", "experimental", "rc-buggy", "testing"];
/// Debian's suites whose security archive is named `<suite>/updates`.
const OLD_SECURITY: [&str; 5] = ["wheezy", "jessie", "stretch", "buster", "oldoldoldstable"];
/// Enough to tell a distribution's suites apart where no list of releases is installed.
const DEBIAN: [&str; 13] = [
    "stable",
    "oldstable",
    "testing",
    "unstable",
    "sid",
    "experimental",
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "rc-buggy",
];
const UBUNTU: [&str; 5] = ["focal", "jammy", "noble", "plucky", "questing"];

impl Machine {
    /// Reads `/etc`; whatever cannot be read is as if it were not there.
    pub(super) fn read() -> Self {
        Self::read_from(Path::new("/"))
    }

    fn read_from(root: &Path) -> Self {
        let apt = root.join("etc/apt");
        let mut entries = Vec::new();
        let mut files: Vec<_> = fs::read_dir(apt.join("sources.list.d"))
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        files.sort();
        files.insert(0, apt.join("sources.list"));
        for file in files {
            let text = fs::read_to_string(&file).unwrap_or_default();
            match file.extension().and_then(|ext| ext.to_str()) {
                Some("list") => entries.extend(text.lines().filter_map(one_line)),
                Some("sources") => entries.extend(deb822(&text)),
                _ => {}
            }
        }
        let release = fs::read_to_string(root.join("etc/os-release")).unwrap_or_default();
        let field = |name: &str| {
            let line = release
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        Self {
            entries,
            distribution: field("ID"),
            codename: field("VERSION_CODENAME"),
        }
    }

    /// Lines of sources.list for the suite, from this machine's own mirrors; none when they cannot have it.
    pub(super) fn mirrors(&self, suite: &str) -> Vec<String> {
        if distribution_of(suite).is_some_and(|wanted| wanted != self.distribution) {
            return Vec::new();
        }
        let Some(archive) = self.archive() else {
            return Vec::new();
        };
        let mut lines = archive.lines(&self.distribution, &[suite.to_owned()]);
        if ROLLING.contains(&suite) {
            return lines;
        }
        if archive.has("updates", self) || self.find("updates").is_some() {
            lines.extend(archive.lines(&self.distribution, &[format!("{suite}-updates")]));
        }
        if let Some(security) = self.find("security") {
            let named = if self.distribution == "debian" && OLD_SECURITY.contains(&suite) {
                format!("{suite}/updates")
            } else {
                format!("{suite}-security")
            };
            lines.extend(security.lines(&self.distribution, &[named]));
        }
        lines
    }

    /// The distribution's own archive. A third party's repository for the same suite has no updates pocket and rarely `main`.
    fn archive(&self) -> Option<&Entry> {
        let main = |entry: &&Entry| {
            entry.suites.contains(&self.codename) && entry.components.iter().any(|c| c == "main")
        };
        let candidates = || self.entries.iter().filter(main);
        candidates()
            .find(|entry| entry.has("updates", self))
            .or_else(|| {
                let updates = self.find("updates")?;
                candidates().find(|entry| entry.uris == updates.uris)
            })
            .or_else(|| candidates().next())
    }

    /// The entry of a pocket: `bookworm-security`.
    fn find(&self, pocket: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.has(pocket, self))
    }
}

impl Entry {
    fn has(&self, pocket: &str, machine: &Machine) -> bool {
        let wanted = format!("{}-{pocket}", machine.codename);
        self.suites.contains(&wanted)
    }

    fn lines(&self, distribution: &str, suites: &[String]) -> Vec<String> {
        let keyring = || {
            let path = format!("/usr/share/keyrings/{distribution}-archive-keyring.gpg");
            Path::new(&path).exists().then_some(path)
        };
        let options = match (&self.signed_by, self.trusted) {
            (_, true) => "[trusted=yes] ".to_owned(),
            (Some(path), false) => format!("[signed-by={path}] "),
            (None, false) => keyring()
                .map(|path| format!("[signed-by={path}] "))
                .unwrap_or_default(),
        };
        let Some(uri) = self.uris.first() else {
            return Vec::new();
        };
        let components = self.components.join(" ");
        suites
            .iter()
            .map(|suite| format!("deb {options}{uri} {suite} {components}"))
            .collect()
    }
}

/// Whose suite it is; `None` when nobody knows.
fn distribution_of(suite: &str) -> Option<&'static str> {
    let listed = |name: &str| {
        let path = format!("/usr/share/distro-info/{name}.csv");
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .skip(1)
            .any(|line| line.split(',').nth(2) == Some(suite))
    };
    if DEBIAN.contains(&suite) || listed("debian") {
        Some("debian")
    } else if UBUNTU.contains(&suite) || listed("ubuntu") {
        Some("ubuntu")
    } else {
        None
    }
}

/// `deb [ option=value … ] uri suite component …`
fn one_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?;
    let rest = rest.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let option = |name: &str| {
        options
            .split_whitespace()
            .find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Entry {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: option("signed-by").map(str::to_owned),
        trusted: option("trusted") == Some("yes"),
    })
}

/// Stanzas of `Key: value` with continuation lines, parted by empty lines.
fn deb822(text: &str) -> Vec<Entry> {
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    lines
        .split(|line| line.trim().is_empty())
        .filter_map(stanza)
        .collect()
}

fn stanza(lines: &[&str]) -> Option<Entry> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in lines {
        if line.starts_with([' ', '\t']) {
            let (_, value) = fields.last_mut()?;
            value.push('\n');
            value.push_str(line);
        } else {
            let (key, value) = line.split_once(':')?;
            fields.push((key.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    let field = |name: &str| {
        let found = fields.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
    let words = |name: &str| -> Vec<String> {
        let value = field(name).unwrap_or_default();
        value.split_whitespace().map(str::to_owned).collect()
    };
    let off = field("enabled").is_some_and(|value| ["no", "false", "0"].contains(&value));
    if off || !words("types").iter().any(|kind| kind == "deb") {
        return None;
    }
    Some(Entry {
        uris: words("uris"),
        suites: words("suites"),
        components: words("components"),
        // A key in the stanza itself has no path to name on a line.
        signed_by: field("signed-by")
            .filter(|value| value.starts_with('/') && !value.contains('\n'))
            .map(|value| value.split_whitespace().collect::<Vec<_>>().join(",")),
        trusted: field("trusted") == Some("yes"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> Machine {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Machine::read_from(dir.path())
    }

    const RELEASE: (&str, &str) = ("etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n");

    #[test]
    fn another_suite_comes_from_the_machines_own_mirrors() {
        let machine = machine(&[
            RELEASE,
            (
                "etc/apt/sources.list.d/debian.sources",
                "Types: deb deb-src\n# a comment\nURIs: http://mirror.test/debian\nSuites: bookworm bookworm-updates\nComponents: main\nSigned-By: /keys.gpg\n\n\
                 Types: deb\nURIs: http://mirror.test/security\nSuites: bookworm-security\nComponents: main\nSigned-By: /keys.gpg\n",
            ),
            (
                "etc/apt/sources.list.d/a-third-party.list",
                "deb [arch=amd64 signed-by=/t.gpg] https://third.test/x bookworm main\n",
            ),
        ]);
        expect_test::expect![[r#"
            deb [signed-by=/keys.gpg] http://mirror.test/debian trixie main
            deb [signed-by=/keys.gpg] http://mirror.test/debian trixie-updates main
            deb [signed-by=/keys.gpg] http://mirror.test/security trixie-security main"#]]
        .assert_eq(&machine.mirrors("trixie").join("\n"));
        assert_eq!(
            machine.mirrors("sid"),
            ["deb [signed-by=/keys.gpg] http://mirror.test/debian sid main"]
        );
        assert_eq!(machine.mirrors("noble"), Vec::<String>::new());
    }

    #[test]
    fn one_line_sources_and_disabled_ones() {
        let machine = machine(&[
            RELEASE,
            (
                "etc/apt/sources.list",
                "# deb http://off.test/debian bookworm main\n\
                 deb [trusted=yes] http://on.test/debian bookworm main contrib # why\n\
                 deb-src http://on.test/debian bookworm main\n\
                 deb [trusted=yes] http://on.test/debian bookworm-updates main\n",
            ),
            (
                "etc/apt/sources.list.d/off.sources",
                "Enabled: no\nTypes: deb\nURIs: http://off.test\nSuites: bookworm-security\nComponents: main\n",
            ),
        ]);
        expect_test::expect![[r#"
            deb [trusted=yes] http://on.test/debian bullseye main contrib
            deb [trusted=yes] http://on.test/debian bullseye-updates main contrib"#]]
        .assert_eq(&machine.mirrors("bullseye").join("\n"));
    }

    #[test]
    fn no_sources_no_mirrors() {
        assert_eq!(machine(&[]).mirrors("bookworm"), Vec::<String>::new());
    }
}
