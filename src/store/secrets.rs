//! Whether a secret still has the value that a container was started with, told without keeping the value.
//!
//! Kept are keyed digests, with a key made for that one start: equal values do not look equal, and what stands here matches
//! nothing anywhere else. Who can read the file can try out guesses, so only its owner can.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{Store, StoreError, remove_file};
use crate::{
    config::StepId,
    sys::{fs::write_private, random},
};

/// Name of a secret → its value.
type Values = BTreeMap<String, String>;

#[derive(Serialize, Deserialize)]
struct Seals {
    key: [u8; 32],
    /// Name of a secret → digest of its value under the key, as hex digits.
    digests: BTreeMap<String, String>,
}

impl Seals {
    fn digest(&self, value: &str) -> String {
        let digest = blake3::keyed_hash(&self.key, value.as_bytes());
        digest.to_hex().to_string()
    }
}

impl Store {
    /// Names of those secrets that had another value when the step was last started. One that was not known then, or of which
    /// the file is gone, has not changed.
    pub fn changed_secrets(&self, step: &StepId, now: &Values) -> Vec<String> {
        if now.is_empty() {
            return Vec::new();
        }
        let Some(seals) = self.read::<Seals>(&self.secrets_path(step)) else {
            return Vec::new();
        };
        let changed = now.iter().filter(|(name, value)| {
            let old = seals.digests.get(*name);
            old.is_some_and(|old| *old != seals.digest(value))
        });
        changed.map(|(name, _)| name.clone()).collect()
    }

    /// Names of the secrets of which it is known what the step was last started with.
    pub fn sealed_secrets(&self, step: &StepId) -> BTreeSet<String> {
        let seals = self.read::<Seals>(&self.secrets_path(step));
        let digests = seals.map(|seals| seals.digests).unwrap_or_default();
        digests.into_keys().collect()
    }

    /// Remembers what the step was started with.
    pub fn save_secrets(&self, step: &StepId, values: &Values) -> Result<(), StoreError> {
        let path = self.secrets_path(step);
        if values.is_empty() {
            return remove_file(path);
        }
        self.prepare()?;
        let mut seals = Seals {
            key: random::key().map_err(|source| StoreError::Random { source })?,
            digests: BTreeMap::new(),
        };
        let digests = values
            .iter()
            .map(|(name, value)| (name.clone(), seals.digest(value)));
        seals.digests = digests.collect();
        let bytes = serde_json::to_vec(&seals).expect("numbers and strings serialise");
        write_private(&path, &bytes).map_err(|source| StoreError::Write { path, source })
    }

    fn secrets_path(&self, step: &StepId) -> PathBuf {
        self.dir.join("secrets").join(format!("{step}.json"))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::store::testing::store;

    fn values(values: &[(&str, &str)]) -> Values {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        values.iter().map(owned).collect()
    }

    #[test]
    fn a_changed_value_is_named_and_no_other() {
        let (_dir, store) = store();
        let step: StepId = "app.hello".parse().unwrap();
        let started = values(&[("one", "hunter2"), ("two", "hunter2")]);
        assert!(store.changed_secrets(&step, &started).is_empty(), "unknown");
        assert!(!store.dir().exists(), "to look changes nothing");

        store.save_secrets(&step, &started).unwrap();
        assert!(store.changed_secrets(&step, &started).is_empty());
        let now = values(&[("one", "hunter3"), ("two", "hunter2"), ("new", "x")]);
        assert_eq!(store.changed_secrets(&step, &now), ["one"]);
        let other: StepId = "service.hello".parse().unwrap();
        assert!(store.changed_secrets(&other, &now).is_empty());

        store.save_secrets(&step, &now).unwrap();
        assert!(store.changed_secrets(&step, &now).is_empty());
        assert!(store.sealed_secrets(&step).iter().eq(now.keys()));
        assert!(store.sealed_secrets(&other).is_empty());
        store.save_secrets(&step, &Values::new()).unwrap();
        assert!(!store.secrets_path(&step).exists());
    }

    #[test]
    fn what_is_kept_is_private_and_tells_nothing_of_the_value() {
        let (_dir, store) = store();
        let steps: [StepId; 2] = ["app.a", "app.b"].map(|id| id.parse().unwrap());
        let mut kept = Vec::new();
        for step in &steps {
            let same = values(&[("one", "hunter2"), ("two", "hunter2")]);
            store.save_secrets(step, &same).unwrap();
            let path = store.secrets_path(step);
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            kept.push(fs::read_to_string(path).unwrap());
        }
        assert_ne!(kept[0], kept[1], "each start has its own key");
        let plain = crate::plan::Digest::of("hunter2");
        for text in &kept {
            assert!(!text.contains("hunter2") && !text.contains(&plain.to_hex()));
        }
    }

    #[test]
    fn a_broken_file_is_as_none() {
        let (_dir, store) = store();
        let step: StepId = "app.hello".parse().unwrap();
        store.save_secrets(&step, &values(&[("one", "a")])).unwrap();
        fs::write(store.secrets_path(&step), "{\"key\":[1],").unwrap();
        let now = values(&[("one", "b")]);
        assert!(store.changed_secrets(&step, &now).is_empty());
    }
}
