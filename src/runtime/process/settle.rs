//! What a supervisor left that was killed: its programs are ended, and what is known of them says so.

use std::{io, time::Duration};

use super::{
    files::Files,
    group::Group,
    launch,
    record::{Phase, Record},
};
use crate::sys::processes::boot_id;

/// Exit code of what was ended with its supervisor: as if killed.
const KILLED: i64 = 137;
const KILL: Duration = Duration::from_secs(10);
/// Of what is known by its mark alone.
const UNKNOWN_GRACE: Duration = Duration::from_secs(10);

/// Ends what runs without a supervisor. To be called by the one who holds the supervisor's lock.
pub async fn settle(files: &Files, identity: &str) -> io::Result<()> {
    for record in files.records()? {
        if let Phase::Exited { .. } = record.phase {
            continue;
        }
        end(&record, identity).await;
        files.save(&without_supervisor(record))?;
    }
    // What could not be written down when it was started: the disk was full. The kernel has told it to end.
    let rest = Group::of_worktree(identity);
    empty_within(&rest, UNKNOWN_GRACE).await;
    rest.kill(KILL).await;
    Ok(())
}

/// Asks the program to end, and ends it with all that it started when its grace is over.
async fn end(record: &Record, identity: &str) {
    let mut group = Group::new(format!("{identity}/{}/{}", record.step, record.id));
    group.cgroup = group.cgroup.filter(|dir| dir.is_dir());
    if let Phase::Running { leader, pipes } = &record.phase
        && leader.boot == boot_id()
    {
        group.pipes.clone_from(pipes);
    }
    let launch = &record.launch;
    if group.signal(launch::signal(&launch.stop_signal)) > 0 {
        empty_within(&group, launch.stop_grace).await;
    }
    group.kill(KILL).await;
}

async fn empty_within(group: &Group, grace: Duration) {
    let until = tokio::time::Instant::now() + grace;
    while !group.is_empty() && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// As its supervisor would tell it, were it there.
pub fn without_supervisor(mut record: Record) -> Record {
    if !matches!(record.phase, Phase::Exited { .. }) {
        record.phase = Phase::Exited { code: KILLED };
        record.last_code = Some(KILLED);
    }
    record
}
