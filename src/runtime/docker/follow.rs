//! A step's log beyond the life of one container: on with the one that is started again, or in its place.
//!
//! Whether there is another run is looked up, never concluded from an event: the engine's events only say when to look.

use std::collections::HashMap;

use bollard::{models::EventMessage, query_parameters::EventsOptionsBuilder};
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;

use super::{Docker, container::made_with, engine::status, exited::started_at, label::STEP};
use crate::{
    config::StepId,
    runtime::{Followed, LogLine, LogOptions, MadeWith, Runs, RuntimeError},
};

/// One run of a container.
#[derive(Clone, PartialEq, Eq)]
struct Run {
    container: String,
    /// When it began; `None` when it has not yet.
    started: Option<Timestamp>,
}

/// What was found when a run was looked for.
enum Seen {
    /// And when its container was made, and with what.
    New(Run, Option<Timestamp>, MadeWith),
    /// The one whose lines have been shown, or one that has not begun.
    Same,
    Nothing,
}

struct Follow {
    docker: Docker,
    step: StepId,
    options: LogOptions,
    /// The run whose lines were shown last.
    run: Option<Run>,
    /// No event before this is of interest.
    since: Option<Timestamp>,
    /// The latest line shown.
    last: Option<Timestamp>,
    lines: Option<BoxStream<'static, Result<LogLine, RuntimeError>>>,
    /// Opened when there is something to wait for.
    events: Option<BoxStream<'static, Result<EventMessage, RuntimeError>>>,
    /// What was said of the end of the latest run.
    told: Option<Followed>,
}

impl Docker {
    pub(super) fn follow_lines(
        &self,
        step: &StepId,
        options: LogOptions,
    ) -> BoxStream<'static, Result<Followed, RuntimeError>> {
        let follow = Follow {
            docker: self.clone(),
            step: step.clone(),
            options,
            run: None,
            since: None,
            last: None,
            lines: None,
            events: None,
            told: None,
        };
        stream::try_unfold(follow, |mut follow| async move {
            let next = follow.next().await?;
            Ok(Some((next, follow)))
        })
        .boxed()
    }
}

impl Follow {
    async fn next(&mut self) -> Result<Followed, RuntimeError> {
        loop {
            if let Some(lines) = &mut self.lines {
                match lines.next().await {
                    Some(Ok(line)) => {
                        self.last = self.last.max(line.written);
                        return Ok(Followed::Line(line));
                    }
                    // It was removed just now, which the next look sees.
                    Some(Err(RuntimeError::NotRunning { .. })) | None => self.lines = None,
                    Some(Err(error)) => return Err(error),
                }
            }
            let ended = match self.look().await? {
                Seen::New(run, created, with) => {
                    self.since = run.started.or(created);
                    self.begin(run).await?;
                    return Ok(Followed::Begins(with));
                }
                Seen::Same => Followed::Ended,
                Seen::Nothing if self.run.is_none() && self.told.is_none() => {
                    return Err(RuntimeError::NotRunning {
                        step: self.step.clone(),
                    });
                }
                Seen::Nothing => Followed::Gone,
            };
            if self.told.as_ref() != Some(&ended) {
                self.told = Some(ended.clone());
                return Ok(ended);
            }
            self.something_happens().await?;
        }
    }

    async fn look(&mut self) -> Result<Seen, RuntimeError> {
        let name = self.docker.container_name(&self.step);
        let container = match self.docker.engine().inspect(&name).await {
            Ok(container) => container,
            Err(error) if status(&error) == Some(404) => return Ok(Seen::Nothing),
            Err(error) => return Err(self.fail(error)),
        };
        let created = container
            .created
            .and_then(|at| Timestamp::from_nanosecond(at.unix_timestamp_nanos()).ok());
        let run = Run {
            container: container.id.unwrap_or(name),
            started: container.state.as_ref().and_then(started_at),
        };
        // The first one is shown in any state: its lines may be all there is.
        let is_new = match &self.run {
            Some(shown) => run.started.is_some() && *shown != run,
            None => true,
        };
        Ok(match is_new {
            true => Seen::New(run, created, made_with(container.config)),
            false => Seen::Same,
        })
    }

    /// Opens the lines of a run: at first those asked for, then all that were not shown yet.
    async fn begin(&mut self, run: Run) -> Result<(), RuntimeError> {
        let earlier = self.run.as_ref();
        let is_first = earlier.is_none();
        let same_container = earlier.is_some_and(|earlier| earlier.container == run.container);
        let after = match (same_container, self.last) {
            (false, _) => None,
            (true, Some(last)) => Some(last),
            (true, None) => self.docker.last_end(&self.step, Runs::Last).await?,
        };
        let options = LogOptions {
            follow: true,
            tail: self.options.tail.filter(|_| is_first),
            since: self.options.since.filter(|_| is_first),
            ..self.options.clone()
        };
        let docker = self.docker.clone();
        let lines = docker.lines_after(self.step.clone(), &run.container, options, after);
        self.lines = Some(lines.boxed());
        self.run = Some(run);
        (self.events, self.told) = (None, None);
        Ok(())
    }

    /// Waits until a container of this step is started or removed, or was since the run that was shown began.
    async fn something_happens(&mut self) -> Result<(), RuntimeError> {
        if self.events.is_none() {
            self.events = Some(self.events());
        }
        let events = self.events.as_mut().expect("opened just now");
        match events.try_next().await? {
            Some(_) => Ok(()),
            None => {
                let action = format!("wait for the next start of `{}`", self.step);
                let cause = "its stream of events has ended";
                Err(self.docker.engine().gone(action, cause))
            }
        }
    }

    /// From the beginning of the shown run on, by the engine's own clock: nothing that came after it is missed.
    fn events(&self) -> BoxStream<'static, Result<EventMessage, RuntimeError>> {
        let labels = vec![
            self.docker.labels().identity_filter(),
            format!("{STEP}={}", self.step),
        ];
        // Podman filters by its own names, and answers with Docker's.
        let events = ["start", "destroy", "remove"].map(str::to_owned);
        let filters = HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("label", labels),
            ("event", events.into()),
        ]);
        let mut options = EventsOptionsBuilder::default().filters(&filters);
        if let Some(since) = self.since {
            let nanos = since.subsec_nanosecond();
            options = options.since(&format!("{}.{nanos:09}", since.as_second()));
        }
        let events = self.docker.engine().patient().events(Some(options.build()));
        let (docker, step) = (self.docker.clone(), self.step.clone());
        let fail = move |error| {
            let action = format!("follow the log of `{step}`");
            docker.engine().fail(action, error)
        };
        events.map_err(fail).boxed()
    }

    fn fail(&self, error: bollard::errors::Error) -> RuntimeError {
        let action = format!("follow the log of `{}`", self.step);
        self.docker.engine().fail(action, error)
    }
}
