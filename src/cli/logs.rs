//! `devenv logs`: lines of one or several steps, each with its step's name before it.

use std::{
    collections::BTreeSet,
    io::Write,
    pin::{Pin, pin},
    process::ExitCode,
    time::SystemTime,
};

use anstyle::{AnsiColor, Style};
use futures_util::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use jiff::Timestamp;
use serde::Serialize;

use super::{candidates, context::Context, interrupt, names, run_lock};
use crate::{
    config::{StepId, duration},
    engine::{Heeds, Signal},
    event::{Explain, Fault, FaultClass},
    runtime::{AnyRuntime, Followed, LogLine, LogOptions, LogStream, Runtime, RuntimeError},
    steps::Steps,
    sys::pipe::stdout_abandoned,
};

/// Show what the steps print.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Steps to show, by name (`hello`) or id (`app.hello`); all that run when absent.
    #[arg(add = candidates::running())]
    steps: Vec<String>,
    /// Go on until Ctrl-C, or until all is down; also with what is started in its place.
    #[arg(long, short)]
    follow: bool,
    /// Only the last lines of each step.
    #[arg(long, short = 'n', value_name = "LINES")]
    tail: Option<u64>,
    /// Only lines since a time ago ("10m") or a moment ("2026-01-31T12:00:00Z").
    #[arg(long, value_parser = parse_since)]
    since: Option<i64>,
    /// Show when each line was printed.
    #[arg(long, short)]
    timestamps: bool,
    /// Leave out the step's name before each line.
    #[arg(long)]
    no_prefix: bool,
}

const COLORS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::Red,
];

#[derive(Serialize)]
struct JsonLine<'a> {
    step: &'a StepId,
    stream: &'static str,
    line: &'a str,
}

pub async fn run(cx: &Context, args: Args) -> Result<ExitCode, Fault> {
    cx.needs_no_lock()?;
    let options = LogOptions {
        follow: args.follow,
        tail: args.tail,
        since: args.since,
        timestamps: args.timestamps,
        ..LogOptions::default()
    };
    let signals = interrupt::signals(Heeds::All)?;
    let mut steps = Vec::new();
    for name in &args.steps {
        steps.push(names::running(cx, name).await?);
    }
    show(cx, &steps, options, !args.no_prefix, signals).await?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the lines of these steps, of all that there are when none is named: those there are, or when followed until a signal comes,
/// nothing is left of them, or nobody reads any more.
pub async fn show(
    cx: &Context,
    wanted: &[StepId],
    options: LogOptions,
    prefix: bool,
    signals: impl Stream<Item = Signal>,
) -> Result<(), Fault> {
    let steps = steps_to_show(cx, wanted).await?;
    let events = cx.silent_events();
    let masking = cx.steps(events)?;
    masking.mask_secrets(&steps).await;
    let printer = Printer {
        masking,
        json: cx.json(),
        // One step that was asked for by name needs no name before its lines.
        prefix: prefix && (steps.len() != 1 || wanted.is_empty()),
        width: steps.iter().map(|s| s.to_string().len()).max().unwrap_or(0),
    };
    let lines = open(&cx.runtime()?, &steps, &options);
    let mut signals = pin!(signals);
    tokio::select! {
        shown = print_all(cx, &steps, &printer, lines) => shown,
        _ = signals.next() => Ok(()),
        // Also when nothing more is printed, so that no write would tell.
        () = stdout_abandoned() => Ok(()),
    }
}

async fn steps_to_show(cx: &Context, wanted: &[StepId]) -> Result<Vec<StepId>, Fault> {
    if !wanted.is_empty() {
        return Ok(wanted.to_vec());
    }
    let listing = cx.runtime()?.list().await;
    let listing = listing.map_err(|error| error.explain())?;
    let mut steps: Vec<_> = listing.instances.into_iter().map(|i| i.step).collect();
    steps.sort();
    match steps.is_empty() {
        false => Ok(steps),
        true => Err(Fault::new("nothing runs, so there are no logs")
            .class(FaultClass::Environment)
            .help("run `devenv up` first")),
    }
}

fn open(
    runtime: &AnyRuntime,
    steps: &[StepId],
    options: &LogOptions,
) -> BoxStream<'static, StepLine> {
    let streams = steps.iter().enumerate().map(|(index, step)| {
        let step = step.clone();
        let lines = match options.follow {
            true => runtime.follow(&step, options.clone()),
            false => {
                let lines = runtime.logs(&step, options.clone());
                lines.map_ok(Followed::Line).boxed()
            }
        };
        lines.map(move |line| (index, step.clone(), line)).boxed()
    });
    match options.follow {
        // A step that writes nothing must not hold the others.
        true => stream::select_all(streams).boxed(),
        false => in_order(streams.collect()),
    }
}

/// Until the lines end, nobody reads them any more, or nothing is left of the steps.
async fn print_all(
    cx: &Context,
    steps: &[StepId],
    printer: &Printer,
    mut lines: BoxStream<'static, StepLine>,
) -> Result<(), Fault> {
    let mut gone = BTreeSet::new();
    while let Some((index, step, happened)) = lines.next().await {
        match happened.map_err(|error| error.explain())? {
            Followed::Begins(with) => {
                gone.remove(&step);
                printer.masking.mask_made_with(&step, &with);
            }
            Followed::Line(line) => {
                // Mostly the reader has gone, as with `| head`.
                if let Err(error) = printer.print(index, &step, &line) {
                    cx.not_written(&error);
                    return Ok(());
                }
            }
            Followed::Ended => {
                gone.remove(&step);
                anstream::eprintln!("{step} has ended; it is followed when it starts again");
            }
            Followed::Gone => {
                gone.insert(step);
            }
        }
        if gone.len() == steps.len() && are_down(cx, steps).await? {
            anstream::eprintln!("All that was followed is down; `devenv up` starts it again");
            return Ok(());
        }
    }
    Ok(())
}

/// Whether nothing is left of these steps once no run is at work: a restart removes them for a moment as well.
async fn are_down(cx: &Context, steps: &[StepId]) -> Result<bool, Fault> {
    run_lock::until_free(cx).await?;
    let listing = cx.runtime()?.list().await;
    let listing = listing.map_err(|error| error.explain())?;
    let mut instances = listing.instances.iter();
    Ok(!instances.any(|instance| steps.contains(&instance.step)))
}

type StepLine = (usize, StepId, Result<Followed, RuntimeError>);

/// Lines of one step each, in order of time.
type Lines = stream::Peekable<BoxStream<'static, StepLine>>;

/// All that the steps have written, by time.
fn in_order(streams: Vec<BoxStream<'static, StepLine>>) -> BoxStream<'static, StepLine> {
    let streams = streams.into_iter().map(StreamExt::peekable).collect();
    stream::unfold(streams, earliest).boxed()
}

async fn earliest(mut streams: Vec<Lines>) -> Option<(StepLine, Vec<Lines>)> {
    let mut first: Option<(Option<Timestamp>, usize)> = None;
    for (index, stream) in streams.iter_mut().enumerate() {
        let Some((_, _, line)) = Pin::new(stream).peek().await else {
            continue;
        };
        // A failure comes at once, as what has no time does.
        let written = match line {
            Ok(Followed::Line(line)) => line.written,
            Ok(Followed::Begins(_) | Followed::Ended | Followed::Gone) | Err(_) => None,
        };
        let at = (written, index);
        first = Some(first.map_or(at, |first| first.min(at)));
    }
    let (_, index) = first?;
    Some((streams[index].next().await?, streams))
}

struct Printer {
    /// Knows what to mask.
    masking: Steps,
    json: bool,
    prefix: bool,
    width: usize,
}

impl Printer {
    fn print(&self, index: usize, step: &StepId, line: &LogLine) -> std::io::Result<()> {
        let mut out = anstream::stdout().lock();
        let text = &self.masking.events.masked(&line.text);
        if self.json {
            let line = JsonLine {
                step,
                stream: match line.stream {
                    LogStream::Stdout => "stdout",
                    LogStream::Stderr => "stderr",
                },
                line: text,
            };
            return writeln!(out, "{}", serde_json::json!(line));
        }
        if !self.prefix {
            return writeln!(out, "{text}");
        }
        let style = Style::new().fg_color(Some(COLORS[index % COLORS.len()].into()));
        let name = step.to_string();
        writeln!(
            out,
            "{style}{name:width$} |{style:#} {text}",
            width = self.width
        )
    }
}

/// Seconds since the Unix epoch of a duration ago or a moment.
fn parse_since(text: &str) -> Result<i64, String> {
    if let Some(ago) = duration::parse(text) {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_err(|error| error.to_string())?;
        return Ok(now.saturating_sub(ago).as_secs() as i64);
    }
    text.parse::<Timestamp>()
        .map(Timestamp::as_second)
        .map_err(|_| {
            "expected a duration such as `10m` or a time such as `2026-01-31T12:00:00Z`".into()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_of_several_steps_come_in_order_of_time() {
        let step: StepId = "app.hello".parse().expect("a step id");
        let lines = |index: usize, seconds: &[i64]| {
            let lines: Vec<_> = seconds
                .iter()
                .map(|second| {
                    let line = LogLine {
                        written: Timestamp::from_second(*second).ok(),
                        stream: LogStream::Stdout,
                        text: second.to_string(),
                    };
                    (index, step.clone(), Ok(Followed::Line(line)))
                })
                .collect();
            stream::iter(lines).boxed()
        };
        let merged = in_order(vec![
            lines(0, &[3, 4, 9]),
            lines(1, &[]),
            lines(2, &[1, 4, 5]),
        ]);
        let shown: Vec<_> = merged
            .map(|(index, _, line)| match line {
                Ok(Followed::Line(line)) => (index, line.text),
                other => panic!("{other:?}"),
            })
            .collect()
            .await;
        let texts: Vec<_> = shown.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["1", "3", "4", "4", "5", "9"]);
        assert_eq!((shown[2].0, shown[3].0), (0, 2));
    }
}
