//! How durations, sizes, counts and reasons read. Pure text, no colour.

use crate::{
    event::{Progress, Unit},
    plan::{Action, Decision, Reason},
};

/// `54 ms`, `1.2s`, `3m 05s`, `2h 03m`.
pub fn duration(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        _ => elapsed(ms),
    }
}

/// As [`duration`], but always in seconds at least, so that a running clock keeps its shape: `0.3s`.
pub fn elapsed(ms: u64) -> String {
    let tenths = ms.saturating_add(50) / 100;
    let seconds = ms.saturating_add(500) / 1000;
    match seconds {
        _ if tenths < 600 => format!("{}.{}s", tenths / 10, tenths % 10),
        0..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// `999 B`, `3.1 MB`, `1.2 GB`: powers of 1000.
pub fn bytes(count: u64) -> String {
    let (divisor, unit) = byte_unit(count);
    format!("{} {unit}", in_unit(count, divisor))
}

/// `Downloading 3.1/10.4 MB`, `Applying V2__index 2/7`, `Waiting for readiness`.
pub fn progress(progress: &Progress) -> String {
    let amount = match (progress.unit, progress.done, progress.total) {
        (_, None, None) => return progress.message.clone(),
        (Unit::Items, Some(done), Some(total)) => format!("{done}/{total}"),
        (Unit::Items, Some(done), None) => done.to_string(),
        (Unit::Bytes, Some(done), Some(total)) => {
            let (divisor, unit) = byte_unit(total);
            let (done, total) = (in_unit(done, divisor), in_unit(total, divisor));
            format!("{done}/{total} {unit}")
        }
        (Unit::Bytes, Some(done), None) => bytes(done),
        (Unit::Items, None, Some(total)) => format!("of {total}"),
        (Unit::Bytes, None, Some(total)) => format!("of {}", bytes(total)),
    };
    format!("{} {amount}", progress.message).trim().to_owned()
}

/// At most two reasons, then how many there are besides. Empty without reasons.
pub fn reasons(reasons: &[Reason]) -> String {
    let mut shown: Vec<String> = reasons.iter().take(2).map(Reason::to_string).collect();
    if reasons.len() > shown.len() {
        shown.push(format!("and {} more", reasons.len() - shown.len()));
    }
    clean(&shown.join(", "))
}

/// `recreate: env.LOG_LEVEL changed`.
pub fn decision(decision: &Decision) -> String {
    // Why it is not as it was says nothing of where it comes from.
    let action = match decision.action == Action::Restore {
        true => "restore its kept result",
        false => decision.action.as_str(),
    };
    match reasons(&decision.reasons) {
        reasons if reasons.is_empty() => action.to_owned(),
        reasons => format!("{action}: {reasons}"),
    }
}

/// What an action is called once it is done.
pub fn past(action: Action) -> &'static str {
    match action {
        Action::Skip => "Up to date",
        Action::Run => "Ran",
        Action::Restore => "Restored",
        Action::Install => "Installed",
        Action::Pull => "Pulled",
        Action::Build => "Built",
        Action::Start => "Started",
        Action::Restart => "Restarted",
        Action::Recreate => "Recreated",
        Action::Apply => "Applied",
        Action::Remove => "Removed",
    }
}

/// A line of foreign output as it may be shown: no escape sequences, no control characters.
pub fn clean(line: &str) -> String {
    // A program that redraws its line means what it wrote last.
    let line = line.trim_end();
    let line = line.rsplit('\r').next().unwrap_or(line);
    let text = anstream::adapter::strip_str(line).to_string();
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(plain).collect()
}

fn byte_unit(count: u64) -> (u64, &'static str) {
    match count {
        0..1_000 => (1, "B"),
        1_000..1_000_000 => (1_000, "kB"),
        1_000_000..1_000_000_000 => (1_000_000, "MB"),
        _ => (1_000_000_000, "GB"),
    }
}

fn in_unit(count: u64, divisor: u64) -> String {
    if divisor == 1 {
        return count.to_string();
    }
    let tenths = count / (divisor / 10);
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Change;

    #[test]
    fn durations_read_well_at_every_size() {
        let shown = [
            0, 999, 1000, 1249, 59_949, 59_950, 185_000, 3_599_499, 7_380_000,
        ]
        .map(duration);
        assert_eq!(
            shown,
            [
                "0 ms", "999 ms", "1.0s", "1.2s", "59.9s", "1m 00s", "3m 05s", "59m 59s", "2h 03m"
            ]
        );
        assert_eq!(elapsed(340), "0.3s");
        assert!(!duration(u64::MAX).is_empty());
    }

    #[test]
    fn sizes_are_powers_of_a_thousand() {
        let shown = [0, 999, 1000, 3_141_592, 12_000_000_000].map(bytes);
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "3.1 MB", "12.0 GB"]);
        assert!(!bytes(u64::MAX).is_empty());
    }

    #[test]
    fn progress_shows_what_is_known() {
        let show = |done, total, unit| {
            progress(&Progress {
                message: "Loading".to_owned(),
                done,
                total,
                unit,
            })
        };
        assert_eq!(show(None, None, Unit::Items), "Loading");
        assert_eq!(show(Some(2), Some(7), Unit::Items), "Loading 2/7");
        assert_eq!(
            show(Some(310_000), Some(10_400_000), Unit::Bytes),
            "Loading 0.3/10.4 MB"
        );
        assert_eq!(show(Some(310_000), None, Unit::Bytes), "Loading 310.0 kB");
    }

    #[test]
    fn at_most_two_reasons_are_named() {
        let field = |field: &str| Reason::Field {
            field: field.to_owned(),
            change: Change::Added,
        };
        let all = [field("a"), field("b"), field("c"), field("d")];
        assert_eq!(reasons(&[]), "");
        assert_eq!(reasons(&all[..2]), "a added, b added");
        assert_eq!(reasons(&all), "a added, b added, and 2 more");
    }

    #[test]
    fn what_is_restored_is_named() {
        let what = "finished run here".to_owned();
        let new = Decision::of(Action::Restore, vec![Reason::New { what }]);
        assert_eq!(
            decision(&new),
            "restore its kept result: no finished run here yet"
        );
    }

    #[test]
    fn foreign_lines_cannot_move_the_cursor() {
        assert_eq!(
            clean("10%\r\x1b[2K\x1b[31m99%\x1b[0m\tdone\r\n"),
            "99% done"
        );
    }
}
