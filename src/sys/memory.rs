//! Memory of this process that it need not keep.

use std::io;

/// Gives back what is in memory of the files that are this program: what was needed to start is not needed to wait. The kernel takes
/// pages that are used again from its cache. Nothing happens where the system does not tell of them.
#[cfg(target_os = "linux")]
pub fn release_program() {
    if let Ok(smaps) = std::fs::read_to_string("/proc/self/smaps") {
        // What stays in memory does no harm.
        let _ = untouched(&smaps).try_for_each(release);
    }
}

#[cfg(not(target_os = "linux"))]
pub fn release_program() {}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no crate does this behind a safe function")]
fn release(range: std::ops::Range<usize>) -> io::Result<()> {
    use rustix::mm::{Advice, madvise};
    let start = std::ptr::with_exposed_provenance_mut(range.start);
    // SAFETY: the range is a mapping that nobody can write and no page of which differs from its file, so what is read there afterwards
    // is what was there before: the kernel maps the same pages of the file again.
    unsafe { madvise(start, range.len(), Advice::LinuxDontNeed) }?;
    Ok(())
}

/// Mappings of files that cannot be written and have no page of their own, as `proc_pid_smaps(5)` tells them.
#[cfg(target_os = "linux")]
fn untouched(smaps: &str) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut mapping = None;
    smaps.lines().filter_map(move |line| {
        if let Some(range) = range_of(line) {
            mapping = is_read_only_file(line).then_some(range);
            return None;
        }
        match line.strip_prefix("Anonymous:")?.trim() {
            "0 kB" => mapping.take(),
            _ => None,
        }
    })
}

/// `55d0c0e00000-55d0c1000000 r-xp 00200000 fe:00 1835 /usr/bin/devenv`
#[cfg(target_os = "linux")]
fn range_of(line: &str) -> Option<std::ops::Range<usize>> {
    let (range, _) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some(number(start)?..number(end)?)
}

#[cfg(target_os = "linux")]
fn is_read_only_file(line: &str) -> bool {
    let mut words = line.split_whitespace().skip(1);
    let mode = words.next().unwrap_or_default();
    let path = words.nth(3).unwrap_or_default();
    mode.starts_with("r-") && mode.ends_with('p') && path.starts_with('/')
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_as_in_its_file_is_released() {
        let smaps = "\
1000-3000 r--p 00000000 fe:00 1835 /usr/bin/devenv
Rss:                   8 kB
Anonymous:             0 kB
3000-5000 r-xp 00002000 fe:00 1835 /usr/bin/devenv (deleted)
Anonymous:             0 kB
VmFlags: rd ex mr mw me sd
5000-6000 r--p 00004000 fe:00 1835 /usr/bin/devenv
Anonymous:             4 kB
6000-7000 rw-p 00005000 fe:00 1835 /usr/bin/devenv
Anonymous:             0 kB
7000-8000 r--s 00000000 fe:00 77 /var/cache/shared
Anonymous:             0 kB
8000-9000 rw-p 00000000 00:00 0 [heap]
Anonymous:             4 kB
9000-a000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
";
        let found: Vec<_> = untouched(smaps).collect();
        assert_eq!(found, [0x1000..0x3000, 0x3000..0x5000]);
    }
}
