//! Image references: `host:port/path:tag@digest`.
//!
//! Grammar: <https://pkg.go.dev/github.com/distribution/reference>.

/// The registry a reference without a host means.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// A reference taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Registry, [`DEFAULT_REGISTRY`] when none is named.
    pub registry: String,
    /// What stands before the tag, as written.
    pub name: String,
    pub tag: Option<String>,
    pub digest: Option<String>,
}

impl Reference {
    pub fn parse(text: &str) -> Self {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        let slash = rest.rfind('/').map_or(0, |index| index + 1);
        let (name, tag) = match rest[slash..].find(':') {
            Some(colon) => (
                &rest[..slash + colon],
                Some(rest[slash + colon + 1..].to_owned()),
            ),
            None => (rest, None),
        };
        let registry = match name.split_once('/') {
            Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
            _ => DEFAULT_REGISTRY,
        };
        Self {
            registry: registry.to_owned(),
            name: name.to_owned(),
            tag,
            digest,
        }
    }

    /// The tag to pull when neither tag nor digest is named.
    pub fn tag_or_latest(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }

    /// Whether both name the same image, however they are spelled.
    pub fn is(&self, other: &Self) -> bool {
        let (tag, digest) = (self.tag_or_latest(), &self.digest);
        self.familiar() == other.familiar()
            && tag == other.tag_or_latest()
            && *digest == other.digest
    }

    /// The name as the engine lists it, without the default registry.
    fn familiar(&self) -> &str {
        let name = self.name.strip_prefix("docker.io/").unwrap_or(&self.name);
        name.strip_prefix("library/").unwrap_or(name)
    }
}

/// The digest among `name@sha256:…` entries that belongs to this reference's name.
pub fn digest_of(reference: &str, repo_digests: &[String]) -> Option<String> {
    let wanted = Reference::parse(reference);
    repo_digests.iter().find_map(|entry| {
        let entry = Reference::parse(entry);
        (entry.familiar() == wanted.familiar()).then_some(entry.digest)?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, registry: &str, name: &str, tag: Option<&str>, digest: Option<&str>) {
        let expected = Reference {
            registry: registry.into(),
            name: name.into(),
            tag: tag.map(Into::into),
            digest: digest.map(Into::into),
        };
        assert_eq!(Reference::parse(text), expected);
    }

    #[test]
    fn takes_references_apart() {
        check("postgres", "docker.io", "postgres", None, None);
        check("postgres:15", "docker.io", "postgres", Some("15"), None);
        check("a/b:1", "docker.io", "a/b", Some("1"), None);
        check("localhost/b", "localhost", "localhost/b", None, None);
        check("[::1]:5/b:x", "[::1]:5", "[::1]:5/b", Some("x"), None);
        check(
            "h:5000/a/b@sha256:0",
            "h:5000",
            "h:5000/a/b",
            None,
            Some("sha256:0"),
        );
    }

    #[test]
    fn finds_its_own_digest() {
        let digests = ["other@sha256:1".to_owned(), "postgres@sha256:2".to_owned()];
        let two = Some("sha256:2".to_owned());
        assert_eq!(digest_of("postgres:15", &digests), two);
        assert_eq!(digest_of("docker.io/library/postgres", &digests), two);
        assert_eq!(digest_of("redis", &digests), None);
    }
}
