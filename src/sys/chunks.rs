//! A request body written by blocking code, a few chunks ahead of the network: nothing large is ever held in memory.

use std::io::{self, Write};

use futures_util::{Stream, stream};
use hyper::body::Bytes;
use tokio::sync::mpsc;

const CHUNK: usize = 256 * 1024;
const AHEAD: usize = 4;

/// Runs `write` on a blocking thread and streams what it writes.
pub fn produced<F>(write: F) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static
where
    F: FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        let mut chunks = Chunks {
            sender: sender.clone(),
            buffer: Vec::with_capacity(CHUNK),
        };
        let result = write(&mut chunks).and_then(|()| chunks.flush());
        if let Err(error) = result {
            // Nobody listens any more when the request has ended.
            let _ = sender.blocking_send(Err(error));
        }
    });
    stream::poll_fn(move |cx| receiver.poll_recv(cx))
}

struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK - self.buffer.len();
        let taken = room.min(bytes.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == CHUNK {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK));
        self.sender
            .blocking_send(Ok(Bytes::from(chunk)))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn carries_all_bytes_in_order_and_then_the_error() {
        let whole = vec![7; CHUNK * 3 + 5];
        let sent = whole.clone();
        let got: Vec<Bytes> = produced(move |out| out.write_all(&sent))
            .try_collect()
            .await
            .unwrap();
        assert_eq!(got.concat(), whole);

        let failed: io::Result<Vec<Bytes>> = produced(|_| Err(io::Error::other("gone")))
            .try_collect()
            .await;
        assert_eq!(failed.unwrap_err().to_string(), "gone");
    }
}
