//! What a builder says while it builds, turned into step output, and kept for the error.

use std::collections::{HashMap, HashSet, VecDeque};

use bollard::models::{BuildInfo, BuildInfoAux};

use crate::event::StepEvents;

/// Lines in the error.
const TAIL: usize = 15;
/// Lines kept over all steps of the build, which run at once.
const KEPT: usize = 400;

/// Follows one build.
pub(super) struct Trace<'a> {
    events: &'a StepEvents,
    kept: VecDeque<(String, String)>,
    /// Unfinished line of each vertex.
    partial: HashMap<String, String>,
    started: HashSet<String>,
    failed: Option<Failed>,
    /// The last `Step 2/3 : RUN …` of the classic builder.
    step: Option<(usize, String)>,
}

struct Failed {
    vertex: String,
    name: String,
    error: String,
}

/// What is known of a failed build.
pub(super) struct Failure {
    /// The instruction, as the builder names it.
    pub said: Option<String>,
    /// Its place among all instructions, counting from 1.
    pub step: Option<usize>,
    pub cause: String,
    pub tail: Vec<String>,
}

impl<'a> Trace<'a> {
    pub(super) fn new(events: &'a StepEvents) -> Self {
        Self {
            events,
            kept: VecDeque::new(),
            partial: HashMap::new(),
            started: HashSet::new(),
            failed: None,
            step: None,
        }
    }

    pub(super) fn apply(&mut self, info: BuildInfo) {
        if let Some(BuildInfoAux::BuildKit(status)) = info.aux {
            for vertex in status.vertexes {
                let fresh = vertex.started.is_some() && self.started.insert(vertex.digest.clone());
                if fresh && !vertex.name.starts_with("[internal]") {
                    let cached = if vertex.cached { "CACHED " } else { "" };
                    self.events.message(vertex.name.clone());
                    self.events.log(format!("{cached}{}", vertex.name));
                }
                // A step cancelled because another failed says so too.
                if !vertex.error.is_empty()
                    && self.failed.is_none()
                    && !vertex.error.ends_with("context canceled")
                {
                    self.failed = Some(Failed {
                        vertex: vertex.digest,
                        name: vertex.name,
                        error: vertex.error,
                    });
                }
            }
            for log in status.logs {
                self.output(&log.vertex, &String::from_utf8_lossy(&log.msg));
            }
        }
        if let Some(text) = info.stream {
            self.output("", &text);
        }
        if let Some(status) = info.status {
            self.events.message(status);
        }
    }

    fn output(&mut self, vertex: &str, text: &str) {
        let mut whole = self.partial.remove(vertex).unwrap_or_default();
        whole.push_str(text);
        let mut lines: Vec<_> = whole.split('\n').collect();
        let rest = lines.pop().unwrap_or_default().to_owned();
        for line in lines {
            self.line(vertex, line);
        }
        self.partial.insert(vertex.to_owned(), rest);
    }

    fn line(&mut self, vertex: &str, line: &str) {
        let line = plain(line);
        let line = line
            .rsplit('\r')
            .find(|part| !part.is_empty())
            .unwrap_or("");
        if line.trim().is_empty() {
            return;
        }
        self.events.log(line);
        if let Some(step) = classic_step(line).filter(|_| vertex.is_empty()) {
            self.events.message(line.to_owned());
            self.step = Some(step);
            self.kept.clear();
            return;
        }
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((vertex.to_owned(), line.to_owned()));
    }

    /// The build has failed with this message.
    pub(super) fn fail(mut self, message: String) -> Failure {
        for (vertex, rest) in std::mem::take(&mut self.partial) {
            self.line(&vertex, &rest);
        }
        let vertex = self.failed.as_ref().map_or("", |failed| &failed.vertex);
        // The classic builder names its containers: `---> Running in 0123`.
        let lines = self
            .kept
            .iter()
            .filter(|(of, line)| of == vertex && !is_classic_note(line));
        let lines: Vec<_> = lines.map(|(_, line)| line.clone()).collect();
        let tail = lines[lines.len().saturating_sub(TAIL)..].to_vec();
        match (self.failed, self.step) {
            (Some(failed), _) => Failure {
                said: failed
                    .name
                    .split_once("] ")
                    .map(|(_, said)| said.to_owned()),
                step: None,
                cause: failed.error,
                tail,
            },
            (None, Some((step, said))) => Failure {
                said: Some(said),
                step: Some(step),
                cause: message,
                tail,
            },
            (None, None) => Failure {
                said: None,
                step: None,
                cause: message,
                tail,
            },
        }
    }
}

/// `Step 2/3 : RUN false`
fn classic_step(line: &str) -> Option<(usize, String)> {
    let (numbers, said) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let (step, _) = numbers.split_once('/')?;
    Some((step.parse().ok()?, said.to_owned()))
}

/// Without escape sequences: the classic builder colours what comes from stderr.
fn plain(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| ('@'..='~').contains(&c));
        text.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    text
}

fn is_classic_note(line: &str) -> bool {
    line.starts_with(" ---> ") || line.starts_with("Removing intermediate container")
}

/// `dockerfile parse error line 3: …`, `Dockerfile:3`
pub(super) fn line_in(message: &str) -> Option<usize> {
    let (_, rest) = message.split_once("parse error")?;
    let (_, rest) = rest.split_once("line ")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{StepId, StepKind},
        event::Events,
    };

    #[test]
    fn keeps_the_output_of_the_failing_step() {
        let (events, _receiver) = Events::channel();
        let events = events.of(&StepId::new(StepKind::Build, "x"));
        let mut trace = Trace::new(&events);
        for text in [
            "Step 1/2 : FROM a\n",
            " ---> 01\n",
            "Step 2/2 : RUN x\n",
            " ---> Running in 02\nno",
            "pe\n",
            "end",
        ] {
            trace.apply(BuildInfo {
                stream: Some(text.into()),
                ..BuildInfo::default()
            });
        }
        let failure = trace.fail("returned 1".into());
        assert_eq!(failure.step, Some(2));
        assert_eq!(failure.said.as_deref(), Some("RUN x"));
        assert_eq!(failure.tail, ["nope", "end"]);
    }

    #[test]
    fn finds_the_line_of_a_syntax_error() {
        assert_eq!(
            line_in("dockerfile parse error line 3: unknown instruction: FOO"),
            Some(3)
        );
        assert_eq!(line_in("Dockerfile parse error on line 12: x"), Some(12));
        assert_eq!(line_in("something else on line 4"), None);
    }
}
