//! Answers the requests that come over the socket.

use std::{io, rc::Rc};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream, unix::OwnedWriteHalf},
};

use super::{Shared, records};
use crate::{
    config::StepId,
    runtime::process::protocol::{Answer, Request},
    sys::memory::release_program,
};

/// Goes on for ever.
pub async fn serve(shared: &Rc<Shared>, listener: &UnixListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors: connections end again.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let shared = shared.clone();
        shared.busy.set(shared.busy.get() + 1);
        shared.changed.notify_waiters();
        tokio::task::spawn_local(async move {
            // A client that has gone needs no answer.
            let _ = answer(&shared, stream).await;
            shared.busy.set(shared.busy.get() - 1);
            shared.changed.notify_waiters();
            if shared.busy.get() == 0 {
                release_program();
            }
        });
    }
}

async fn answer(shared: &Rc<Shared>, stream: UnixStream) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read);
    let mut line = String::new();
    read.read_line(&mut line).await?;
    let request: Request = serde_json::from_str(&line)?;
    let mut more = String::new();
    tokio::select! {
        done = fulfil(shared, request, &mut write) => done,
        // The client says no more: it can only have gone.
        gone = read.read_line(&mut more) => gone.map(drop),
    }
}

async fn fulfil(shared: &Rc<Shared>, request: Request, out: &mut OwnedWriteHalf) -> io::Result<()> {
    let answer = match request {
        Request::List => Answer::Records {
            records: records(shared),
        },
        Request::Start {
            step,
            launch,
            ports,
            inputs,
        } => {
            let action = format!("start `{step}`");
            let handle = shared.handle(&step);
            // Not given up when the client goes: an order that was begun is finished.
            let done =
                tokio::task::spawn_local(async move { handle.start(launch, ports, inputs).await });
            of_done(action, done.await)
        }
        Request::Restart { step } => {
            let handle = shared.handle(&step);
            let done = tokio::task::spawn_local(async move { handle.restart().await });
            of_done(format!("restart `{step}`"), done.await)
        }
        Request::Remove { step } => {
            let handle = shared.handle(&step);
            let done = tokio::task::spawn_local(async move { handle.remove().await });
            match of_done(format!("stop `{step}`"), done.await) {
                Answer::NotRunning => Answer::Done,
                answer => answer,
            }
        }
        Request::Ended { step } => ended(shared, &step).await,
        Request::Grown { step } => return grown(shared, &step, out).await,
    };
    say(out, &answer).await
}

fn of_done(
    action: String,
    done: Result<Result<Option<super::Record>, String>, tokio::task::JoinError>,
) -> Answer {
    match done {
        Ok(Ok(Some(record))) => Answer::Record {
            record: Box::new(record),
        },
        Ok(Ok(None)) => Answer::NotRunning,
        Ok(Err(cause)) => Answer::Failed { action, cause },
        Err(error) => Answer::Failed {
            action,
            cause: error.to_string(),
        },
    }
}

async fn ended(shared: &Rc<Shared>, step: &StepId) -> Answer {
    let mut watch = shared.handle(step).watch();
    loop {
        let code = match &*watch.borrow_and_update() {
            Some(record) => record.ended(),
            None => return Answer::NotRunning,
        };
        if let Some(code) = code {
            return Answer::Code { code };
        }
        if watch.changed().await.is_err() {
            return Answer::NotRunning;
        }
    }
}

async fn grown(shared: &Rc<Shared>, step: &StepId, out: &mut OwnedWriteHalf) -> io::Result<()> {
    let handle = shared.handle(step);
    let mut grown = handle.grown.clone();
    loop {
        grown.borrow_and_update();
        if !handle.goes_on() {
            return say(out, &Answer::Quiet).await;
        }
        say(out, &Answer::Grown).await?;
        if grown.changed().await.is_err() {
            return say(out, &Answer::Quiet).await;
        }
    }
}

async fn say(out: &mut OwnedWriteHalf, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    out.write_all(&line).await
}
