//! Whether anybody still reads what this process writes.

use std::{future::pending, io, os::fd::AsFd, thread};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::retry_on_intr,
};
use tokio::sync::oneshot;

/// Resolves when standard output is a pipe that nobody can read from any more, as after `| head`, or a terminal that was closed.
pub async fn stdout_abandoned() {
    abandoned(io::stdout()).await;
}

/// Never for a file: it takes everything.
async fn abandoned(output: impl AsFd + Send + 'static) {
    let (told, hears) = oneshot::channel();
    // Errors alone, which a poll always tells. The thread is none of the runtime's, which would wait for it in the end.
    let wait = move || {
        let mut polled = [PollFd::new(&output, PollFlags::empty())];
        if retry_on_intr(|| poll(&mut polled, None)).is_ok() {
            let _ = told.send(());
        }
    };
    // Without one, the next line tells.
    let _ = thread::Builder::new().spawn(wait);
    if hears.await.is_err() {
        pending().await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use std::{io::Write, pin::pin};

    use super::*;

    #[tokio::test]
    async fn a_pipe_is_abandoned_when_its_reader_has_gone() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let mut abandoned = pin!(abandoned(writer.try_clone().expect("another end")));
        assert!(poll!(&mut abandoned).is_pending());
        writer.write_all(b"unread").expect("written");
        assert!(poll!(&mut abandoned).is_pending());
        drop(reader);
        abandoned.await;
    }

    #[tokio::test]
    async fn one_that_was_so_before_and_a_file_that_never_is() {
        let (reader, writer) = io::pipe().expect("a pipe");
        drop(reader);
        abandoned(writer).await;
        let file = tempfile::tempfile().expect("a file");
        assert!(poll!(pin!(abandoned(file))).is_pending());
    }
}
