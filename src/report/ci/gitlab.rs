//! GitLab's collapsible sections (<https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections>).
//!
//! A mark is a line with `\r` and an escape sequence; all other text goes without control characters, so that it can be none.

use crate::{config::StepId, report::words};

pub(in crate::report) struct Gitlab;

impl Gitlab {
    /// `at` counts seconds since 1970.
    pub fn start(step: &StepId, at: u64, title: &str) -> String {
        let name = section(step);
        let title = words::clean(title);
        format!("\x1b[0Ksection_start:{at}:{name}[collapsed=true]\r\x1b[0K{title}\n")
    }

    pub fn end(step: &StepId, at: u64) -> String {
        format!("\x1b[0Ksection_end:{at}:{}\r\x1b[0K\n", section(step))
    }

    /// Lines without control characters.
    pub fn inert(text: &str) -> String {
        let lines = text.lines().map(|line| words::clean(line) + "\n");
        lines.collect()
    }
}

/// Letters, digits, `_`, `.` and `-`. A name may be used again once its section has ended.
fn section(step: &StepId) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let name = step.to_string();
    name.chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_names_that_gitlab_takes() {
        let image = StepId::new(crate::config::StepKind::Image, "registry:5000/a b");
        assert_eq!(
            Gitlab::start(&image, 7, "pull\r\u{1b}[0Kx") + &Gitlab::end(&image, 9),
            "\u{1b}[0Ksection_start:7:image.registry_5000_a_b[collapsed=true]\r\u{1b}[0Kx\n\
             \u{1b}[0Ksection_end:9:image.registry_5000_a_b\r\u{1b}[0K\n"
        );
    }

    #[test]
    fn no_other_text_is_a_mark() {
        let mark = "a\n\u{1b}[0Ksection_end:1:task.a\r\u{1b}[0Kb\n";
        assert_eq!(Gitlab::inert(mark), "a\nb\n");
    }
}
