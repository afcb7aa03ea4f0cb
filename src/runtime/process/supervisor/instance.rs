//! The task of one step: owns its instance, does what is asked one after the other, and starts it again as its policy says.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io,
    rc::Rc,
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Shared,
    child::{Child, Output},
};
use crate::{
    config::StepId,
    plan::Inputs,
    runtime::process::{
        group::Group,
        launch,
        log::{self, Writer},
        record::{Backoff, Launch, Next, Phase, Record},
    },
    sys::random,
};

/// Something to be done with the instance of a step.
enum Order {
    Start {
        launch: Launch,
        ports: BTreeMap<String, u16>,
        inputs: Inputs,
    },
    Restart,
    /// Stays known.
    Stop,
    Remove,
}

type Done = Result<Option<Record>, String>;

/// What others see of the task.
#[derive(Clone)]
pub struct Handle {
    orders: mpsc::UnboundedSender<(Order, oneshot::Sender<Done>)>,
    record: watch::Receiver<Option<Record>>,
    pub grown: watch::Receiver<u64>,
}

impl Handle {
    pub fn record(&self) -> Option<Record> {
        self.record.borrow().clone()
    }

    /// What is known of the instance, and each change of it.
    pub fn watch(&self) -> watch::Receiver<Option<Record>> {
        self.record.clone()
    }

    /// It runs, or will.
    pub fn goes_on(&self) -> bool {
        let record = self.record.borrow();
        let phase = record.as_ref().map(|record| &record.phase);
        phase.is_some_and(|phase| !matches!(phase, Phase::Exited { .. }))
    }

    pub async fn start(
        &self,
        launch: Launch,
        ports: BTreeMap<String, u16>,
        inputs: Inputs,
    ) -> Done {
        self.order(Order::Start {
            launch,
            ports,
            inputs,
        })
        .await
    }

    pub async fn restart(&self) -> Done {
        self.order(Order::Restart).await
    }

    pub async fn stop(&self) -> Done {
        self.order(Order::Stop).await
    }

    pub async fn remove(&self) -> Done {
        self.order(Order::Remove).await
    }

    async fn order(&self, order: Order) -> Done {
        let (sender, done) = oneshot::channel();
        let gone = || "the supervisor is ending".to_owned();
        self.orders.send((order, sender)).map_err(|_| gone())?;
        done.await.map_err(|_| gone())?
    }
}

/// Begins the task of a step, with what is known of it from before.
pub fn begin(shared: Rc<Shared>, step: StepId, known: Option<Record>) -> Handle {
    let (orders, inbox) = mpsc::unbounded_channel();
    let (publish, record) = watch::channel(known);
    let (grown, growth) = watch::channel(0);
    let task = Task {
        last_run: log::last_run(&shared.files.log(&step)),
        shared,
        step,
        publish,
        grown,
        output: None,
        backoff: Backoff::default(),
    };
    tokio::task::spawn_local(task.run(inbox));
    Handle {
        orders,
        record,
        grown: growth,
    }
}

struct Task {
    shared: Rc<Shared>,
    step: StepId,
    publish: watch::Sender<Option<Record>>,
    grown: watch::Sender<u64>,
    output: Option<Output>,
    backoff: Backoff,
    last_run: u64,
}

/// What the task has in hand.
enum Hand {
    Nothing,
    Running(Box<Child>, Instant),
    /// To be started again after this.
    Waiting(Duration),
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<(Order, oneshot::Sender<Done>)>) {
        let mut hand = Hand::Nothing;
        loop {
            let order = match &mut hand {
                Hand::Nothing => inbox.recv().await,
                Hand::Running(child, since) => tokio::select! {
                    order = inbox.recv() => order,
                    code = child.ended() => {
                        let ran = since.elapsed();
                        hand = self.ended(code, ran);
                        continue;
                    }
                },
                Hand::Waiting(pause) => tokio::select! {
                    order = inbox.recv() => order,
                    () = tokio::time::sleep(*pause) => {
                        hand = self.again();
                        continue;
                    }
                },
            };
            let Some((order, reply)) = order else { return };
            let (next, done) = self.obey(order, hand).await;
            hand = next;
            let _ = reply.send(done);
            self.shared.changed.notify_waiters();
        }
    }

    async fn obey(&mut self, order: Order, hand: Hand) -> (Hand, Done) {
        let known = self.publish.borrow().clone();
        match order {
            Order::Start {
                launch,
                ports,
                inputs,
            } => {
                let same = known.filter(|known| known.inputs == inputs);
                if let (Some(known), Hand::Running(..)) = (&same, &hand) {
                    // Wanted from now on: how it ended before its policy brought it back is over.
                    let known = Record {
                        last_code: None,
                        ..known.clone()
                    };
                    self.save(known.clone());
                    return (hand, Ok(Some(known)));
                }
                self.end(hand).await;
                let (id, created) = match same {
                    Some(known) => (known.id, known.created),
                    None => (new_id(), milliseconds()),
                };
                let record = Record {
                    id,
                    created,
                    started: created,
                    step: self.step.clone(),
                    launch,
                    ports,
                    inputs,
                    phase: Phase::Waiting,
                    run: 0,
                    first_run: 0,
                    last_code: None,
                };
                self.start(record)
            }
            Order::Restart => {
                let Some(known) = known else {
                    return (hand, Ok(None));
                };
                self.end(hand).await;
                self.start(known)
            }
            Order::Stop => {
                self.end(hand).await;
                (Hand::Nothing, Ok(self.publish.borrow().clone()))
            }
            Order::Remove => {
                self.end(hand).await;
                let forgotten = self.shared.files.forget(&self.step);
                log::remove(&self.shared.files.log(&self.step));
                self.output = None;
                self.publish.send_replace(None);
                let forgotten = forgotten.map_err(|error| error.to_string());
                (Hand::Nothing, forgotten.map(|()| None))
            }
        }
    }

    /// Starts it on purpose: as if it had never failed.
    fn start(&mut self, record: Record) -> (Hand, Done) {
        self.backoff = Backoff::default();
        let record = Record {
            first_run: self.last_run + 1,
            last_code: None,
            ..record
        };
        match self.launch(record) {
            Ok(hand) => (hand, Ok(self.publish.borrow().clone())),
            Err(error) => (Hand::Nothing, Err(error.to_string())),
        }
    }

    /// By its restart policy.
    fn again(&mut self) -> Hand {
        let Some(record) = self.publish.borrow().clone() else {
            return Hand::Nothing;
        };
        match self.launch(record) {
            Ok(hand) => hand,
            // What could be started once fails now: as if it had ended at once.
            Err(_) => self.ended(127, Duration::ZERO),
        }
    }

    fn launch(&mut self, mut record: Record) -> io::Result<Hand> {
        self.last_run += 1;
        record.run = self.last_run;
        record.started = milliseconds();
        let output = self.output()?;
        let group = self.group(&record.id);
        let child = Child::start(&self.shared, &record.launch, group, record.run, &output)?;
        record.phase = Phase::Running {
            leader: child.leader.clone(),
            pipes: child.group.pipes.clone(),
        };
        self.save(record);
        Ok(Hand::Running(Box::new(child), Instant::now()))
    }

    fn ended(&mut self, code: i64, ran: Duration) -> Hand {
        let Some(mut record) = self.publish.borrow().clone() else {
            return Hand::Nothing;
        };
        record.last_code = Some(code);
        let next = self.backoff.next(record.launch.restart, code, ran);
        let (phase, hand) = match next {
            Next::Stay => (Phase::Exited { code }, Hand::Nothing),
            Next::StartIn(pause) => (Phase::Waiting, Hand::Waiting(pause)),
        };
        record.phase = phase;
        self.save(record);
        hand
    }

    /// Ends what runs; what was to be started again is not.
    async fn end(&mut self, hand: Hand) {
        let Some(mut record) = self.publish.borrow().clone() else {
            return;
        };
        let code = match hand {
            Hand::Nothing => return,
            Hand::Waiting(_) => record.last_code.unwrap_or(0),
            Hand::Running(mut child, _) => {
                let launch = &record.launch;
                let signal = launch::signal(&launch.stop_signal);
                child.stop(signal, launch.stop_grace).await
            }
        };
        record.last_code = Some(code);
        record.phase = Phase::Exited { code };
        self.save(record);
    }

    fn save(&self, record: Record) {
        // A full disk must not end what runs. Its processes are found by their mark all the same.
        let _ = self.shared.files.save(&record);
        self.publish.send_replace(Some(record));
        // For whoever follows its output: it may have been the last.
        self.grown.send_modify(|grown| *grown += 1);
        self.shared.changed.notify_waiters();
    }

    fn output(&mut self) -> io::Result<Output> {
        if let Some(output) = &self.output {
            return Ok(output.clone());
        }
        let log = Writer::open(&self.shared.files.log(&self.step))?;
        let output = Output {
            log: Rc::new(RefCell::new(log)),
            grown: self.grown.clone(),
        };
        Ok(self.output.insert(output).clone())
    }

    fn group(&self, id: &str) -> Group {
        Group::new(format!("{}/{}/{id}", self.shared.identity, self.step))
    }
}

fn new_id() -> String {
    let key = random::key().unwrap_or_default();
    hex::encode(&key[..8])
}

fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
