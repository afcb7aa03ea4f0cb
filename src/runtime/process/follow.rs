//! A log that is followed also into the next run, and into what takes the place of what ran.

use std::time::Duration;

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{
    Process,
    record::{Phase, Record},
};
use crate::{
    config::StepId,
    runtime::{Followed, LogLine, LogOptions, RuntimeError},
};

/// Between two looks whether it runs again. Only whoever follows looks.
const LOOK: Duration = Duration::from_millis(100);

type Line = Result<Followed, RuntimeError>;

/// Never ends by itself, but after a failure.
pub fn follow(process: Process, step: StepId, options: LogOptions) -> BoxStream<'static, Line> {
    let state = Follow {
        process,
        step,
        options: LogOptions {
            follow: true,
            ..options
        },
        at: At::Begin,
    };
    stream::unfold(state, |mut follow| async move {
        let line = follow.next().await;
        Some((line, follow))
    })
    .boxed()
}

struct Follow {
    process: Process,
    step: StepId,
    options: LogOptions,
    at: At,
}

enum At {
    Begin,
    Lines {
        lines: BoxStream<'static, Result<LogLine, RuntimeError>>,
        seen: Seen,
    },
    /// Its next run is waited for.
    Ended(Seen),
    Gone,
}

/// What follows from what is known of it now.
enum Then {
    Fail,
    Wait,
    TellGone,
    Open { from_run: u64 },
}

impl At {
    fn then(&self, now: Option<&Record>) -> Then {
        match (self, now) {
            (At::Begin, None) => Then::Fail,
            (At::Gone, None) => Then::Wait,
            (At::Ended(_) | At::Lines { .. }, None) => Then::TellGone,
            (At::Ended(seen), Some(now)) if now.id == seen.id && now.run == seen.run => Then::Wait,
            (At::Ended(seen), Some(_)) => Then::Open {
                from_run: seen.run + 1,
            },
            (At::Begin | At::Gone | At::Lines { .. }, Some(_)) => Then::Open { from_run: 0 },
        }
    }
}

/// Instance and run that were followed last.
#[derive(Clone)]
struct Seen {
    id: String,
    run: u64,
}

impl Seen {
    fn of(record: &Record) -> Self {
        Self {
            id: record.id.clone(),
            run: record.run,
        }
    }
}

impl Follow {
    async fn next(&mut self) -> Line {
        loop {
            if let At::Lines { lines, seen } = &mut self.at {
                if let Some(line) = lines.next().await {
                    return line.map(Followed::Line);
                }
                self.at = At::Ended(seen.clone());
                let record = self.process.record(&self.step).await?;
                if let Some(record) = record.filter(|record| !runs(record)) {
                    self.at = At::Ended(Seen::of(&record));
                    return Ok(Followed::Ended);
                }
            }
            let record = self.process.record(&self.step).await?;
            match (self.at.then(record.as_ref()), record) {
                (Then::Fail, _) => {
                    let step = self.step.clone();
                    return Err(RuntimeError::NotRunning { step });
                }
                (Then::TellGone, _) => {
                    self.at = At::Gone;
                    return Ok(Followed::Gone);
                }
                (Then::Open { from_run }, Some(record)) => {
                    self.open(&record, from_run).await?;
                    return Ok(Followed::Begins(record.made_with()));
                }
                (Then::Wait | Then::Open { .. }, _) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// What was chosen of the past is the first run's affair alone.
    async fn open(&mut self, record: &Record, from: u64) -> Result<(), RuntimeError> {
        let options = match &self.at {
            At::Begin => self.options.clone(),
            At::Lines { .. } | At::Ended(_) | At::Gone => LogOptions {
                tail: None,
                since: None,
                ..self.options.clone()
            },
        };
        let lines = self.process.open_log(&self.step, options, from).await?;
        self.at = At::Lines {
            lines,
            seen: Seen::of(record),
        };
        Ok(())
    }
}

fn runs(record: &Record) -> bool {
    !matches!(record.phase, Phase::Exited { .. })
}
