//! What a process that stays costs: memory, and how often it wakes.

use std::{fs, io, path::Path};

use crate::Error;

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All pages it has in memory, also those of files that others have too.
    pub rss: u64,
    /// The same, with each shared page divided by how many share it.
    pub pss: u64,
    /// Pages that nobody else has mapped just now.
    pub private: u64,
    /// Pages of no file, which the kernel cannot read again: what it takes from others at any rate.
    pub anonymous: u64,
}

impl Memory {
    pub fn of(pid: u32) -> Result<Self, Error> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text =
            fs::read_to_string(&path).map_err(|error| format!("cannot read `{path}`: {error}"))?;
        Self::parse(&text).ok_or_else(|| format!("`{path}` has no memory").into())
    }

    fn parse(text: &str) -> Option<Self> {
        Some(Self {
            rss: kilobytes(text, "Rss")?,
            pss: kilobytes(text, "Pss")?,
            private: kilobytes(text, "Private_Clean")? + kilobytes(text, "Private_Dirty")?,
            anonymous: kilobytes(text, "Anonymous")?,
        })
    }
}

/// `Rss:   9876 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let value = field(text, name)?.strip_suffix("kB")?;
    Some(value.trim().parse::<u64>().ok()? * 1024)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(other, _)| *other == name)?;
    Some(value.trim())
}

/// How often the threads of a process have been given a processor and left it again, since they began.
pub fn switches(pid: u32) -> Result<u64, Error> {
    let tasks = Path::new("/proc").join(pid.to_string()).join("task");
    let failed = |error| format!("cannot read `{}`: {error}", tasks.display());
    let mut sum = 0;
    for task in fs::read_dir(&tasks).map_err(failed)? {
        match fs::read_to_string(task?.path().join("status")) {
            Ok(status) => {
                sum += switches_of(&status).ok_or("the kernel counts no context switches")?;
            }
            // A thread may end after the folder was read.
            Err(error) if has_ended(&error) => {}
            Err(error) => return Err(failed(error).into()),
        }
    }
    Ok(sum)
}

fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

fn switches_of(status: &str) -> Option<u64> {
    let count = |name| field(status, name)?.parse::<u64>().ok();
    Some(count("voluntary_ctxt_switches")? + count("nonvoluntary_ctxt_switches")?)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn reads_memory() {
        let text = "55d0-7fff ---p 00000000 00:00 0                  [rollup]\n\
                    Rss:                9000 kB\nPss:                5000 kB\nPss_Dirty:          1000 kB\n\
                    Shared_Clean:       4000 kB\nPrivate_Clean:      1000 kB\nPrivate_Dirty:      2000 kB\n\
                    Anonymous:          1500 kB\n";
        let memory = Memory {
            rss: 9000 * 1024,
            pss: 5000 * 1024,
            private: 3000 * 1024,
            anonymous: 1500 * 1024,
        };
        assert_eq!(Memory::parse(text), Some(memory));
        assert_eq!(Memory::parse(""), None);
        let own = Memory::of(std::process::id()).expect("this process has memory");
        assert!(own.private <= own.pss && own.pss <= own.rss, "{own:?}");
    }

    #[test]
    fn counts_switches_of_both_kinds() {
        let status =
            "Threads:\t1\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t45\n";
        assert_eq!(switches_of(status), Some(195));
        assert_eq!(switches_of("Threads:\t1\n"), None);
    }

    #[test]
    fn threads_may_end_while_they_are_counted() {
        let ends: Vec<_> = (0..200).map(|_| thread::spawn(|| {})).collect();
        for _ in 0..100 {
            switches(std::process::id()).expect("this process is counted");
        }
        for end in ends {
            end.join().expect("does nothing");
        }
        assert!(switches(0).is_err(), "no process has this id");
    }
}
