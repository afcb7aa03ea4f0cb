//! Lines of a process' log as a stream: those there are, then those that come.

use std::io;

use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{
    Process,
    client::Conversation,
    log::{Filter, Reader},
    protocol::{Answer, Request},
};
use crate::{
    config::StepId,
    runtime::{LogLine, LogOptions, RuntimeError},
};

impl Process {
    /// The lines there are, and with `follow` those that come; of runs from this number on.
    pub(super) async fn open_log(
        &self,
        step: &StepId,
        options: LogOptions,
        from_run: u64,
    ) -> Result<BoxStream<'static, Result<LogLine, RuntimeError>>, RuntimeError> {
        let record = self.known(step).await?;
        let request = Request::Grown { step: step.clone() };
        let growth = match options.follow {
            true => self.client.ask(&request).await,
            false => Ok(None),
        };
        let growth = growth.map_err(self.failed("ask the supervisor"))?;
        let mut reader = Reader::new(&self.client.files.log(step));
        let filter = Filter::of(&options, record.run, record.first_run).from(from_run);
        let first = reader.read().map_err(self.failed("read a log"))?;
        let first = first.into_iter().filter_map(|kept| filter.apply(kept));
        let mut first: Vec<LogLine> = first.collect();
        if let Some(tail) = options.tail {
            let tail = usize::try_from(tail).unwrap_or(usize::MAX);
            first.drain(..first.len().saturating_sub(tail));
        }
        let first = stream::iter(first.into_iter().map(Ok));
        let Some(growth) = growth else {
            return Ok(first.boxed());
        };
        let follow = Follow {
            growth: Some(growth),
            reader,
            filter,
        };
        Ok(first.chain(follow.lines()).boxed())
    }
}

/// What comes after the first lines.
struct Follow {
    /// `None` when it does not grow any more.
    growth: Option<Conversation>,
    reader: Reader,
    filter: Filter,
}

impl Follow {
    fn lines(self) -> BoxStream<'static, Result<LogLine, RuntimeError>> {
        let batches = stream::unfold(self, |mut follow| async move {
            let batch = follow.batch().await?;
            let lines = match batch {
                Ok(lines) => lines.into_iter().map(Ok).collect(),
                Err(error) => {
                    follow.growth = None;
                    vec![Err(RuntimeError::Supervisor {
                        action: "read a log".into(),
                        cause: error.to_string(),
                    })]
                }
            };
            Some((stream::iter(lines), follow))
        });
        batches.flatten().boxed()
    }

    async fn batch(&mut self) -> Option<io::Result<Vec<LogLine>>> {
        match self.growth.as_mut()?.next().await {
            Ok(Some(Answer::Grown)) => {}
            Ok(_) => self.growth = None,
            Err(error) => return Some(Err(error)),
        }
        let lines = self.reader.read().map(|lines| {
            let lines = lines.into_iter();
            lines.filter_map(|kept| self.filter.apply(kept)).collect()
        });
        Some(lines)
    }
}
