//! Users of this machine, and becoming one of them.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

/// A line of `/etc/passwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
    pub home: String,
}

impl User {
    /// By its name or number.
    pub fn named(name: &str) -> io::Result<Self> {
        let table = fs::read_to_string("/etc/passwd")?;
        let (name, group) = match name.split_once(':') {
            Some((name, group)) => (name, group.parse().ok()),
            None => (name, None),
        };
        let number: Option<u32> = name.parse().ok();
        let mut users = table.lines().filter_map(Self::parse);
        let found = users.find(|user| user.name == name || Some(user.uid) == number);
        let user = found.or_else(|| {
            // A number needs no name.
            number.map(|uid| Self {
                name: uid.to_string(),
                uid,
                gid: uid,
                home: "/".into(),
            })
        });
        let user = user.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("there is no user `{name}`"),
            )
        })?;
        Ok(Self {
            gid: group.unwrap_or(user.gid),
            ..user
        })
    }

    /// Its name, else its number.
    pub fn name_of(uid: u32) -> String {
        let table = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let mut users = table.lines().filter_map(Self::parse);
        let found = users.find(|user| user.uid == uid);
        found.map_or_else(|| uid.to_string(), |user| user.name)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        Some(Self {
            name: fields.next()?.to_owned(),
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
            home: fields.nth(1)?.to_owned(),
        })
    }
}

/// The user who has the folder, when that is not this process' own.
pub fn other_owner(path: &Path) -> Option<String> {
    let uid = path.metadata().ok()?.uid();
    (uid != rustix::process::geteuid().as_raw()).then(|| User::name_of(uid))
}

/// User and group of what this process makes.
pub fn own_ids() -> (u32, u32) {
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    (uid.as_raw(), gid.as_raw())
}

/// Whether this process is root's.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_name_number_and_group() {
        let root = User::named("root").expect("there is a root");
        assert_eq!((root.uid, root.gid), (0, 0));
        assert_eq!(User::named("0").expect("root"), root);
        let other = User::named("65532:12").expect("a number");
        assert_eq!((other.uid, other.gid), (65532, 12));
        assert_eq!(User::name_of(0), "root");
        assert_eq!(User::name_of(4_000_000), "4000000");
        let error = User::named("no-such-user").expect_err("nobody");
        assert_eq!(error.to_string(), "there is no user `no-such-user`");
    }
}
