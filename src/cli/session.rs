//! What every command that runs steps shares: events, the one renderer, the run log, signals and the exit code.
//!
//! [`Session::open`] comes before the project's lock is taken, so that waiting for it is seen; [`Session::close`] comes last and
//! returns only when every event has been shown and written.

use std::{
    collections::BTreeSet,
    io::{self, IsTerminal, stderr},
    process::ExitCode,
    sync::Arc,
};

use tokio::{
    runtime::Handle,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::{JoinHandle, spawn_blocking},
};
use tokio_util::sync::CancellationToken;

use super::{OutputFormat, ci::system, context::Context, exit, interrupt};
use crate::{
    config::StepId,
    engine::{self, Heeds, Options, RunResult, Work},
    event::{Event, Events, Explain, Fault, Record},
    plan::Plan,
    report::{self, Format, Renderer, Setting, Timings},
    store::RunLog,
};

/// Whether lines that steps write are shown as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    Shown,
    Hidden,
    /// As is all else but failures.
    Failures,
}

/// What came of a session, for what is told after it.
#[derive(Debug, Default)]
pub struct Seen {
    /// Those of steps and runs.
    pub records: Vec<Record>,
    /// What became of each step.
    pub run: report::Run,
}

pub struct Session {
    command: String,
    events: Events,
    closing: CancellationToken,
    /// Ends when everything was shown and written; gives the records that timings need.
    fan_out: JoinHandle<(Seen, io::Result<()>)>,
}

impl Session {
    /// Starts to show and log what is sent to [`Session::events`].
    pub fn open(cx: &Context, command: &str, logs: Logs) -> Result<Self, Fault> {
        let config = cx.config()?;
        let setting = Setting {
            format: match cx.output {
                _ if logs == Logs::Failures => Format::Failures,
                OutputFormat::Auto => Format::Auto,
                OutputFormat::Plain => Format::Plain,
                OutputFormat::Json => Format::Json,
            },
            is_terminal: stderr().is_terminal() && !is("TERM", "dumb"),
            ci: is_ci(),
            verbose: logs == Logs::Shown,
            folds: system::folds(&cx.root()?),
            source: Some(config.source.clone()),
        };
        let (events, records) = Events::channel();
        events.locate_in(config.source.clone());
        let log = match cx.store()?.start_run_log(command) {
            Ok(log) => Some(log),
            Err(error) => {
                // A run without its log is better than none.
                let fault = error.explain();
                events.notice(format!("this run is not logged: {fault}"));
                None
            }
        };
        let closing = CancellationToken::new();
        let renderer = Renderer::choose(setting);
        Ok(Self {
            command: command.to_owned(),
            events,
            fan_out: tokio::spawn(fan_out(records, renderer, log, closing.clone())),
            closing,
        })
    }

    pub fn events(&self) -> &Events {
        &self.events
    }

    /// The usual options for this command.
    pub fn options(&self) -> Options {
        Options::new(&self.command)
    }

    /// Runs the goals and what they need. Ctrl-C, SIGTERM and SIGHUP go to the run from now on, as far as it heeds them.
    pub async fn run(
        &self,
        plan: &Plan,
        goals: &BTreeSet<StepId>,
        work: Arc<impl Work>,
        options: Options,
        heeds: Heeds,
    ) -> Result<RunResult, Fault> {
        let signals = interrupt::signals(heeds)?;
        Ok(engine::run(plan, goals, work, &self.events, signals, options).await)
    }

    /// Returns once all events were shown and written; the terminal is the caller's again.
    pub async fn close(self, cx: &Context) -> Seen {
        self.closing.cancel();
        let Ok((seen, written)) = self.fan_out.await else {
            return Seen::default();
        };
        if let Err(error) = written {
            cx.not_written(&error);
        }
        seen
    }
}

/// The exit code of a run whose failures have been shown.
pub fn exit_code(result: &RunResult) -> ExitCode {
    result.class().map_or(ExitCode::SUCCESS, exit::code)
}

/// All failures of a run as one; `None` when it succeeded.
pub fn failure(result: &RunResult) -> Option<Fault> {
    let class = result.class()?;
    let mut faults = result.faults.iter().map(|(_, fault)| fault.clone());
    Some(match faults.next() {
        Some(first) => first.after(faults),
        None => Fault::new("interrupted").class(class),
    })
}

/// Where the time of the run went, from the records of [`Seen`].
pub fn timings(records: &[Record], plan: &Plan) -> Timings {
    let needs = plan
        .steps
        .iter()
        .map(|(id, step)| (id.clone(), step.needs.clone()));
    Timings::of(records, &needs.collect())
}

/// Hands every record to the renderer and to the log, each at its own pace, until `closing`; then waits for both. Lines of
/// output do not pile up here: who reads a program waits for room, see `event::room`.
async fn fan_out(
    mut records: UnboundedReceiver<Record>,
    renderer: Renderer,
    log: Option<RunLog>,
    closing: CancellationToken,
) -> (Seen, io::Result<()>) {
    let (to_screen, screen) = unbounded_channel();
    let (to_disk, disk) = unbounded_channel();
    // A terminal that is held with Ctrl-S, or a slow reader of a pipe, holds a program that prints, not the run.
    let screen = spawn_blocking(move || Handle::current().block_on(renderer.run(screen)));
    let disk = spawn_blocking(move || write_log(log, disk));
    let mut seen = Seen::default();
    loop {
        let record = tokio::select! {
            biased;
            () = closing.cancelled(), if !records.is_closed() => {
                // What was sent until now still comes out; what a left-over task sends later does not.
                records.close();
                continue;
            }
            record = records.recv() => record,
        };
        match record {
            Some(record) => pass_on(record, &to_screen, &to_disk, &mut seen),
            None => break,
        }
    }
    drop((to_screen, to_disk));
    let (shown, _) = tokio::join!(screen, disk);
    (seen, shown.unwrap_or(Ok(())))
}

fn pass_on(
    record: Record,
    to_screen: &UnboundedSender<Record>,
    to_disk: &UnboundedSender<Record>,
    seen: &mut Seen,
) {
    // Both receivers live until their senders are dropped.
    let _ = to_screen.send(record.clone());
    seen.run.take(&record.event);
    match record.event {
        Event::RunStarted { .. }
        | Event::StepStarted { .. }
        | Event::StepFinished { .. }
        | Event::RunFinished { .. } => seen.records.push(record.clone()),
        Event::Waiting { .. }
        | Event::StepProgress { .. }
        | Event::StepLog { .. }
        | Event::Notice { .. }
        | Event::Cancelling { .. } => {}
    }
    let _ = to_disk.send(record);
}

/// A full disk ends the log, not the run.
fn write_log(mut log: Option<RunLog>, mut records: UnboundedReceiver<Record>) {
    while let Some(record) = records.blocking_recv() {
        if log.as_mut().is_some_and(|log| log.write(&record).is_err()) {
            log = None;
        }
    }
}

pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

fn is(name: &str, value: &str) -> bool {
    std::env::var(name).is_ok_and(|found| found == value)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        cli::Global,
        engine::{ActContext, Class},
        event::{FaultClass, Outcome},
        plan::{Acted, Action, Decision, Digest, Inputs, Outputs, Reason, Step, Verdict},
        store::Store,
    };

    /// Each step writes two lines; `task.bad` fails.
    struct Lines(Events);

    impl Work for Lines {
        fn class(&self, _: &StepId) -> Class {
            Class::Light
        }

        async fn decide(
            &self,
            _: &StepId,
            _: &Outputs,
            _: &CancellationToken,
        ) -> Result<Verdict, Fault> {
            let decision = Decision::of(Action::Run, vec![Reason::Asked]);
            Ok(Verdict::Act(decision))
        }

        async fn act(
            &self,
            step: &StepId,
            _: &Decision,
            _: &Outputs,
            _: ActContext,
        ) -> Result<Acted, Fault> {
            let events = self.0.of(step);
            events.log("first");
            events.log("the token is hunter2");
            match step.name.as_str() {
                "bad" => Err(Fault::new("refused hunter2").class(FaultClass::Environment)),
                _ => Ok(Acted::default()),
            }
        }
    }

    fn plan(name: &str) -> Plan {
        let id: StepId = name.parse().expect("a step id");
        let step = Step {
            kind: id.kind,
            site: id.key_path(),
            needs: BTreeSet::new(),
            feeds: BTreeSet::new(),
            definition: Inputs::default(),
            aside: Inputs::default(),
            writes: BTreeSet::new(),
            id: id.clone(),
        };
        Plan {
            project: "test".to_owned(),
            steps: [(id, step)].into(),
            hash: Digest::of("plan"),
        }
    }

    fn project() -> (tempfile::TempDir, Context) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let text = "[project]\nname = \"test\"\n";
        fs::write(dir.path().join("devenv.toml"), text).expect("written");
        let global = Global {
            directory: Some(dir.path().to_owned()),
            output: OutputFormat::Plain,
            verbose: false,
            runtime: None,
        };
        (dir, Context::new(&global))
    }

    fn logged(dir: &tempfile::TempDir) -> Vec<Record> {
        let logs = Store::new(dir.path()).run_logs();
        let text = fs::read_to_string(&logs[0]).expect("the log");
        let record = |line| serde_json::from_str(line).expect("a record");
        text.lines().map(record).collect()
    }

    async fn run(cx: &Context, step: &str) -> (RunResult, Vec<Record>, Events) {
        let session = Session::open(cx, "up", Logs::Hidden).expect("a session");
        let events = session.events().clone();
        events.mask("hunter2");
        let work = Arc::new(Lines(events.clone()));
        let plan = plan(step);
        let goals = plan.steps.keys().cloned().collect();
        let options = session.options();
        let result = session.run(&plan, &goals, work, options, Heeds::All).await;
        let seen = session.close(cx).await;
        (result.expect("signals"), seen.records, events)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_event_is_on_disk_when_the_session_is_closed() {
        let (dir, cx) = project();
        let (result, records, events) = run(&cx, "task.good").await;
        assert_eq!(exit_code(&result), ExitCode::SUCCESS);
        // A sender that is still there neither holds the session nor adds to it.
        events.send(Event::Waiting {
            holder: "late".to_owned(),
        });

        let logged = logged(&dir);
        let kinds: Vec<_> = logged.iter().map(|record| kind(&record.event)).collect();
        assert_eq!(
            kinds,
            [
                "run started",
                "started",
                "log",
                "log",
                "finished",
                "run finished"
            ]
        );
        assert_eq!(records.len(), 4, "logs are not kept in memory");
        assert_eq!(timings(&records, &plan("task.good")).spans.len(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_failed_run_has_its_exit_code_and_no_secret_on_disk() {
        let (dir, cx) = project();
        let (result, _, _) = run(&cx, "task.bad").await;
        assert_eq!(exit_code(&result), ExitCode::from(3));
        assert_eq!(result.faults[0].1.message, "refused ***");
        let log = fs::read_to_string(&Store::new(dir.path()).run_logs()[0]).expect("the log");
        assert!(
            log.contains("the token is ***") && !log.contains("hunter2"),
            "{log}"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_run_that_cannot_be_logged_still_runs() {
        let (dir, cx) = project();
        fs::write(dir.path().join(".devenv"), "a file").expect("written");
        let (result, records, _) = run(&cx, "task.good").await;
        assert_eq!(exit_code(&result), ExitCode::SUCCESS);
        let last = records.last().expect("records");
        let done = |event: &Event| {
            matches!(
                event,
                Event::RunFinished {
                    outcome: Outcome::Done { .. },
                    ..
                }
            )
        };
        assert!(done(&last.event));
    }

    fn kind(event: &Event) -> &'static str {
        match event {
            Event::RunStarted { .. } => "run started",
            Event::Waiting { .. } => "waiting",
            Event::StepStarted { .. } => "started",
            Event::StepProgress { .. } => "progress",
            Event::StepLog { .. } => "log",
            Event::StepFinished { .. } => "finished",
            Event::Notice { .. } => "notice",
            Event::Cancelling { .. } => "cancelling",
            Event::RunFinished { .. } => "run finished",
        }
    }
}
