//! The keys of a tool fit where it comes from.

use super::Report;
use crate::config::{KeyPath, Tool, ToolSource, decode::words::Words, suggest};

use ToolSource::{Apt, Cargo, Http, Pip, System};

/// Keys that mean something only for some sources.
const KEYS: [(&str, &[ToolSource]); 10] = [
    ("version", &[System, Http, Cargo, Pip]),
    ("package", &[Cargo, Pip, Apt]),
    ("url", &[Http]),
    ("sha256", &[Http]),
    ("platforms", &[Http]),
    ("os", &[Http]),
    ("arch", &[Http]),
    ("bin", &[Http]),
    ("features", &[Cargo]),
    ("version_args", &[System]),
];
const PLACEHOLDERS: [&str; 3] = ["version", "os", "arch"];

pub(super) fn check(report: &mut Report<'_>, at: &KeyPath, tool: &Tool) {
    for (key, sources) in KEYS {
        let path = at.join(key);
        if report.source.contains(&path) && !sources.contains(&tool.from) {
            foreign(report, &path, key, sources, tool.from);
        }
    }
    match tool.from {
        System => range(report, at, tool),
        Http => {
            url(report, at, tool);
            bin(report, at, tool);
        }
        Cargo => exact(report, at, tool),
        Pip => required(report, at, "version", tool.version.is_some()),
        Apt => {}
    }
    for platform in tool.platforms.iter().enumerate() {
        let (index, name) = platform;
        check_platform(report, &at.join("platforms").join(index.to_string()), name);
    }
    for name in tool.sha256.keys() {
        check_platform(report, &at.join("sha256").join(name), name);
    }
}

fn foreign(
    report: &mut Report<'_>,
    path: &KeyPath,
    key: &str,
    sources: &[ToolSource],
    from: ToolSource,
) {
    let sources: Vec<_> = sources.iter().map(|source| source.as_str()).collect();
    let error = report.at_key(
        path,
        format!("`{key}` means nothing with `from = \"{}\"`", from.as_str()),
    );
    match (key, from) {
        ("version", Apt) => error.help("the machine's own package has the version of its release"),
        _ => error.help(format!("it belongs to {}", suggest::list(&sources, "or"))),
    };
}

fn required(report: &mut Report<'_>, at: &KeyPath, key: &str, is_there: bool) {
    if !is_there {
        report
            .at_key(at, format!("missing key `{key}` in `[{at}]`"))
            .label(format!("`{key}` is required"));
    }
}

fn range(report: &mut Report<'_>, at: &KeyPath, tool: &Tool) {
    let Some(version) = &tool.version else {
        return;
    };
    if let Err(error) = semver::VersionReq::parse(version) {
        report
            .at_value(
                &at.join("version"),
                format!("`{version}` is not a range of versions"),
            )
            .label(error.to_string())
            .help("write such as \">=1.90\" or \">=1.90, <2\"");
    }
}

fn exact(report: &mut Report<'_>, at: &KeyPath, tool: &Tool) {
    required(report, at, "version", tool.version.is_some());
    let Some(version) = &tool.version else {
        return;
    };
    if let Err(error) = semver::Version::parse(version) {
        report
            .at_value(
                &at.join("version"),
                format!("`{version}` is not an exact version"),
            )
            .label(error.to_string())
            .help("write all three numbers, such as \"1.75.0\"");
    }
}

fn url(report: &mut Report<'_>, at: &KeyPath, tool: &Tool) {
    required(report, at, "url", tool.url.is_some());
    let Some(url) = &tool.url else {
        return;
    };
    let path = at.join("url");
    if !url.starts_with("https://") && !url.starts_with("http://") {
        report
            .at_value(&path, format!("`{url}` is not an address"))
            .label("must start with `https://`");
    }
    known(report, &path, "url", url);
    if url.contains("{version}") {
        required(report, at, "version", tool.version.is_some());
    }
}

fn bin(report: &mut Report<'_>, at: &KeyPath, tool: &Tool) {
    for (index, bin) in tool.bin.iter().enumerate() {
        let path = at.join("bin").join(index.to_string());
        known(report, &path, "bin", bin);
        if bin.contains("{version}") {
            required(report, at, "version", tool.version.is_some());
        }
    }
}

/// What stands in braces can be filled in.
fn known(report: &mut Report<'_>, path: &KeyPath, key: &str, text: &str) {
    for name in placeholders(text) {
        if !PLACEHOLDERS.contains(&name) {
            report
                .at_value(path, format!("`{{{name}}}` is not known in `{key}`"))
                .help("known are `{version}`, `{os}` and `{arch}`");
        }
    }
}

fn placeholders(text: &str) -> impl Iterator<Item = &str> {
    text.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name)
}

fn check_platform(report: &mut Report<'_>, path: &KeyPath, name: &str) {
    let word = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if !name
        .split_once('-')
        .is_some_and(|(os, arch)| word(os) && word(arch))
    {
        report
            .at_key(path, format!("`{name}` is not a platform"))
            .label("expected such as `linux-x86_64`");
    }
}
