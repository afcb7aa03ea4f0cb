//! Secrets that have been read, and what text looks like without them.

use std::sync::{Arc, Mutex, MutexGuard};

/// What is shorter hides nothing but other words: `***` in the place of every `db` would even tell it.
const SHORTEST: usize = 4;

/// Whether text can be masked at all. Nothing has nothing to hide.
pub fn is_too_short(secret: &str) -> bool {
    (1..SHORTEST).contains(&secret.trim().len())
}

/// Shared by all who may show something. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    /// The longest first: of a secret that begins with another, nothing may remain.
    secrets: Arc<Mutex<Vec<String>>>,
}

impl Mask {
    /// Hides the value, each of its lines (output comes line by line), and both as they stand in a URL. Values of fewer than four
    /// bytes are ignored.
    pub fn add(&self, secret: &str) {
        let mut secrets = self.lock();
        for part in std::iter::once(secret).chain(secret.lines()) {
            for text in [part.trim().to_owned(), percent_encode(part.trim())] {
                if text.len() < SHORTEST || secrets.contains(&text) {
                    continue;
                }
                let at = secrets.partition_point(|known| known.len() >= text.len());
                secrets.insert(at, text);
            }
        }
    }

    /// The text with `***` for each secret.
    pub fn apply(&self, text: &str) -> String {
        let secrets = self.lock();
        let masked = |text: String, secret: &String| text.replace(secret, "***");
        secrets.iter().fold(text.to_owned(), masked)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        self.secrets
            .lock()
            .expect("no panic while the lock is held")
    }
}

/// As a value stands in a URL: all but RFC 3986's unreserved characters as `%XX`.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_secret_that_begins_with_another_nothing_remains() {
        let mask = Mask::default();
        for secret in ["abcd", "abcdef", "", "abcd"] {
            mask.add(secret);
        }
        assert_eq!(mask.apply("abcdef abcd abc"), "*** *** abc");
    }

    #[test]
    fn lines_of_a_key_and_passwords_in_urls_are_hidden() {
        let mask = Mask::default();
        mask.add("-----BEGIN KEY-----\nMIIEvQ\n-----END KEY-----\n");
        mask.add("p/x@y z");
        assert_eq!(mask.apply("MIIEvQ"), "***");
        assert_eq!(mask.apply("key: -----END KEY-----"), "key: ***");
        assert_eq!(
            mask.apply("postgres://u:p%2Fx%40y%20z@h/d"),
            "postgres://u:***@h/d"
        );
    }

    #[test]
    fn what_is_very_short_is_not_hidden() {
        let mask = Mask::default();
        mask.add("db");
        assert_eq!(mask.apply("postgres.db"), "postgres.db");
        let short = ["", "db", "abc\n", "abcd"].map(is_too_short);
        assert_eq!(short, [false, true, true, false]);
    }
}
