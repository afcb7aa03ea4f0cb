//! Secrets that have been read, and what text looks like without them.

use std::sync::{Arc, Mutex, MutexGuard};

/// Shared by all who may show something. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    /// The longest first: of a secret that begins with another, nothing may remain.
    secrets: Arc<Mutex<Vec<String>>>,
}

impl Mask {
    /// Empty values are ignored.
    pub fn add(&self, secret: &str) {
        let mut secrets = self.lock();
        if secret.is_empty() || secrets.iter().any(|known| known == secret) {
            return;
        }
        let at = secrets.partition_point(|known| known.len() >= secret.len());
        secrets.insert(at, secret.to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_secret_that_begins_with_another_nothing_remains() {
        let mask = Mask::default();
        for secret in ["abc", "abcdef", "", "abc"] {
            mask.add(secret);
        }
        assert_eq!(mask.apply("abcdef abc ab"), "*** *** ab");
    }
}
