//! What plain text must obey, checked where it is read so that the error has its span.

use std::{
    path::{Component, Path},
    sync::LazyLock,
};

use regex::Regex;

pub(in crate::config) trait Rule {
    /// Reads after "is not".
    const WHAT: &'static str;
    /// For the schema, where a regular expression says it all.
    const PATTERN: Option<&'static str> = None;
    const HELP: Option<&'static str> = None;

    /// The error is the label of the marked place.
    fn check(text: &str) -> Result<(), String>;
}

/// Keys that may be anything.
pub(in crate::config) enum Anything {}

impl Rule for Anything {
    const WHAT: &'static str = "a key";

    fn check(_: &str) -> Result<(), String> {
        Ok(())
    }
}

/// Names of tables and ports. They become host names, labels and ids.
pub(in crate::config) enum TableName {}

impl Rule for TableName {
    const WHAT: &'static str = "a name";
    const PATTERN: Option<&'static str> = Some("^[a-z][a-z0-9_-]{0,62}$");

    fn check(text: &str) -> Result<(), String> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err("must start with a lower-case letter".into());
        }
        if text.len() > 63 {
            return Err("at most 63 characters".into());
        }
        match text.chars().all(fits) {
            true => Ok(()),
            false => Err("only lower-case letters, digits, `-` and `_`".into()),
        }
    }
}

/// Names of environment variables.
pub(in crate::config) enum EnvName {}

impl Rule for EnvName {
    const WHAT: &'static str = "a name of an environment variable";
    const PATTERN: Option<&'static str> = Some("^[A-Za-z_][A-Za-z0-9_]*$");

    fn check(text: &str) -> Result<(), String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match text.chars().all(fits)
            && !text.is_empty()
            && !text.starts_with(|c: char| c.is_ascii_digit())
        {
            true => Ok(()),
            false => Err("only letters, digits and `_`, no digit first".into()),
        }
    }
}

/// A path in a container or image.
pub(in crate::config) enum AbsolutePath {}

impl Rule for AbsolutePath {
    const WHAT: &'static str = "an absolute path";
    const PATTERN: Option<&'static str> = Some("^/");

    fn check(text: &str) -> Result<(), String> {
        match text.starts_with('/') {
            true => Ok(()),
            false => Err("must start with `/`".into()),
        }
    }
}

/// A path that stays inside the project.
pub(in crate::config) enum InsidePath {}

impl Rule for InsidePath {
    const WHAT: &'static str = "a path inside the project";

    fn check(text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Err("expected a path".into());
        }
        let mut depth = 0i32;
        for component in Path::new(text).components() {
            match component {
                Component::Normal(_) => depth += 1,
                Component::ParentDir => depth -= 1,
                Component::CurDir => {}
                Component::RootDir | Component::Prefix(_) => {
                    return Err("must be relative to the project".into());
                }
            }
            if depth < 0 {
                return Err("leaves the project".into());
            }
        }
        Ok(())
    }
}

/// A file or folder that something of the project writes. `[` stays: names of pages and routes do hold it.
pub(in crate::config) enum OutputPath {}

impl Rule for OutputPath {
    const WHAT: &'static str = "a file or folder of the project";
    const HELP: Option<&'static str> =
        Some("outputs are no globs: name each file, or the folder that they are in");

    fn check(text: &str) -> Result<(), String> {
        match text.contains(['*', '?']) {
            true => Err("has a wildcard".into()),
            false => InsidePath::check(text),
        }
    }
}

/// A glob over files of the project.
pub(in crate::config) enum Glob {}

impl Rule for Glob {
    const WHAT: &'static str = "a valid glob";

    fn check(text: &str) -> Result<(), String> {
        InsidePath::check(text)?;
        globset::Glob::new(text)
            .map(drop)
            .map_err(|error| error.kind().to_string())
    }
}

/// Text that must not be empty.
pub(in crate::config) enum NotEmpty {}

impl Rule for NotEmpty {
    const WHAT: &'static str = "a usable value";
    const PATTERN: Option<&'static str> = Some(".");

    fn check(text: &str) -> Result<(), String> {
        match text.trim().is_empty() {
            true => Err("expected a value".into()),
            false => Ok(()),
        }
    }
}

/// A major version such as `15`.
pub(in crate::config) enum MajorVersion {}

impl Rule for MajorVersion {
    const WHAT: &'static str = "a major version";
    const PATTERN: Option<&'static str> = Some("^[1-9][0-9]{0,2}$");
    const HELP: Option<&'static str> =
        Some("a minor version or variant goes into the image: `image = \"postgres:15.4-alpine\"`");

    fn check(text: &str) -> Result<(), String> {
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match digits && (1..=3).contains(&text.len()) && !text.starts_with('0') {
            true => Ok(()),
            false => Err("expected a number such as `15`".into()),
        }
    }
}

/// A SHA-256 digest in hexadecimal.
pub(in crate::config) enum Sha256 {}

impl Rule for Sha256 {
    const WHAT: &'static str = "a SHA-256 digest";
    const PATTERN: Option<&'static str> = Some("^[0-9a-f]{64}$");

    fn check(text: &str) -> Result<(), String> {
        match text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            true => Ok(()),
            false => Err(format!(
                "expected 64 lower-case hexadecimal digits, found {} characters",
                text.chars().count()
            )),
        }
    }
}

/// An image reference such as `postgres:15`.
pub(in crate::config) enum ImageRef {}

impl Rule for ImageRef {
    const WHAT: &'static str = "an image reference";
    /// Registry and port, name, tag, digest: <https://pkg.go.dev/github.com/distribution/reference>.
    const PATTERN: Option<&'static str> = Some(IMAGE_REF);

    fn check(text: &str) -> Result<(), String> {
        static PATTERN: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(IMAGE_REF).expect("a pattern of this file"));
        if PATTERN.is_match(text) {
            return Ok(());
        }
        let (registry, rest) = match text.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) => (format!("{host}/"), rest),
            Some(_) | None => (String::new(), text),
        };
        let (name, tag) = rest.split_at(rest.find([':', '@']).unwrap_or(rest.len()));
        let lower = format!("{registry}{}{tag}", name.to_lowercase());
        Err(match PATTERN.is_match(&lower) {
            true => format!("its name must be lower-case: `{lower}`"),
            false => "expected such as `redis:7`".into(),
        })
    }
}

const IMAGE_REF: &str = concat!(
    "^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:[0-9]+)?/)?",
    "[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*",
    "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?",
    "(@[a-z][a-z0-9]*([+._-][a-z0-9]+)*:[0-9a-f]{32,})?$"
);

/// The path of a URL.
pub(in crate::config) enum UrlPath {}

impl Rule for UrlPath {
    const WHAT: &'static str = "a path of a URL";
    const PATTERN: Option<&'static str> = Some("^/[^\\s]*$");

    fn check(text: &str) -> Result<(), String> {
        match text.starts_with('/') && !text.contains(char::is_whitespace) {
            true => Ok(()),
            false => Err("must start with `/` and hold no spaces".into()),
        }
    }
}

/// Where something is reached: the characters are those of <https://www.rfc-editor.org/rfc/rfc3986#section-2>.
pub(in crate::config) enum HttpUrl {}

impl Rule for HttpUrl {
    const WHAT: &'static str = "an HTTP URL";
    const PATTERN: Option<&'static str> =
        Some("^https?://[A-Za-z0-9._~:/?#\\[\\]@!$&'()*+,;=%-]+$");

    fn check(text: &str) -> Result<(), String> {
        let rest = ["http://", "https://"]
            .iter()
            .find_map(|scheme| text.strip_prefix(scheme));
        let fits = |c: char| c.is_ascii_alphanumeric() || "._~:/?#[]@!$&'()*+,;=%-".contains(c);
        match rest {
            None => Err("must start with `https://` or `http://`".into()),
            Some(rest) if rest.starts_with(['/', '?', '#']) || rest.is_empty() => {
                Err("has no host".into())
            }
            Some(rest) => match rest.chars().find(|c| !fits(*c)) {
                Some(c) => Err(format!("must not hold `{c}`")),
                None => Ok(()),
            },
        }
    }
}

/// The method of a request.
pub(in crate::config) enum HttpMethod {}

impl Rule for HttpMethod {
    const WHAT: &'static str = "a method";
    const PATTERN: Option<&'static str> = Some("^[A-Z]+$");

    fn check(text: &str) -> Result<(), String> {
        match text.bytes().all(|byte| byte.is_ascii_uppercase()) && !text.is_empty() {
            true => Ok(()),
            false => Err("expected such as `GET`, in capitals".into()),
        }
    }
}

/// The name of a header: a token of <https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2>.
pub(in crate::config) enum HeaderName {}

impl Rule for HeaderName {
    const WHAT: &'static str = "a name of a header";
    const PATTERN: Option<&'static str> = Some("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$");

    fn check(text: &str) -> Result<(), String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+.^_`|~-".contains(c);
        match text.chars().all(fits) && !text.is_empty() {
            true => Ok(()),
            false => Err("only letters, digits and dashes".into()),
        }
    }
}

/// The name of a volume.
pub(in crate::config) enum VolumeName {}

impl Rule for VolumeName {
    const WHAT: &'static str = "a name of a volume";
    const PATTERN: Option<&'static str> = Some("^[A-Za-z0-9][A-Za-z0-9_.-]*$");

    fn check(text: &str) -> Result<(), String> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        match text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(fits) {
            true => Ok(()),
            false => Err("only letters, digits, `_`, `.` and `-`".into()),
        }
    }
}
