//! This process' standard streams and terminal, for a command that runs somewhere else.

use std::{
    io::{self, Read, Write},
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    thread,
};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, watch},
};
use tokio_util::io::StreamReader;

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

/// Where the streams of a command go.
pub struct Stdio {
    pub input: Option<Box<dyn AsyncRead + Send + Sync + Unpin>>,
    pub output: Box<dyn AsyncWrite + Send + Sync + Unpin>,
    pub errors: Box<dyn AsyncWrite + Send + Sync + Unpin>,
    /// The terminal's size and its changes; without it there is no terminal.
    pub size: Option<watch::Receiver<Size>>,
    /// Restores the terminal when the command has ended.
    raw: Option<RawMode>,
    /// The streams of this process themselves.
    pub is_terminal: bool,
}

impl Stdio {
    /// The streams of this process. With `terminal`, standard input becomes raw until this is dropped.
    pub fn of_process(terminal: bool, input: bool) -> io::Result<Self> {
        let (size, raw) = match terminal {
            true => (Some(sizes()?), Some(RawMode::enter()?)),
            false => (None, None),
        };
        Ok(Self {
            input: (terminal || input).then(|| Box::new(read_stdin()) as _),
            output: Box::new(Unbuffered(io::stdout())),
            errors: Box::new(Unbuffered(io::stderr())),
            size,
            raw,
            is_terminal: false,
        })
    }

    /// The terminal itself, for a program of this machine: it is used as if started from there.
    pub fn of_terminal() -> Self {
        Self {
            is_terminal: true,
            ..Self::null()
        }
    }

    /// No input; both outputs in one buffer.
    pub fn capture() -> (Self, Captured) {
        let captured = Captured::default();
        let stdio = Self {
            input: None,
            output: Box::new(captured.clone()),
            errors: Box::new(captured.clone()),
            size: None,
            raw: None,
            is_terminal: false,
        };
        (stdio, captured)
    }

    /// No input, and nobody reads the output.
    pub fn null() -> Self {
        Self {
            input: None,
            output: Box::new(tokio::io::sink()),
            errors: Box::new(tokio::io::sink()),
            size: None,
            raw: None,
            is_terminal: false,
        }
    }

    /// Output goes there instead.
    pub fn with_output(mut self, output: impl AsyncWrite + Send + Sync + Unpin + 'static) -> Self {
        self.output = Box::new(output);
        self
    }

    /// Errors go there instead.
    pub fn with_errors(mut self, errors: impl AsyncWrite + Send + Sync + Unpin + 'static) -> Self {
        self.errors = Box::new(errors);
        self
    }

    pub fn with_input(mut self, input: impl AsyncRead + Send + Sync + Unpin + 'static) -> Self {
        self.input = Some(Box::new(input));
        self
    }

    pub fn has_terminal(&self) -> bool {
        self.raw.is_some() || self.size.is_some()
    }
}

/// A stream of this process: what arrives is seen at once. Writes block, as those of any program on a terminal.
struct Unbuffered<W>(W);

impl<W: Write + Unpin> AsyncWrite for Unbuffered<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(self.0.write(bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.0.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

/// What a captured command wrote so far.
#[derive(Clone, Default)]
pub struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().expect("no panic while the lock is held"))
            .into_owned()
    }
}

impl AsyncWrite for Captured {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = self.0.lock().expect("no panic while the lock is held");
        buffer.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Keystrokes reach the program as they are, until dropped.
struct RawMode {
    before: Termios,
}

impl RawMode {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nothing is left to do when the terminal has gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// The terminal's size, followed on SIGWINCH for as long as somebody listens.
fn sizes() -> io::Result<watch::Receiver<Size>> {
    let mut changes =
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::window_change())?;
    let (sender, receiver) = watch::channel(size()?);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                change = changes.recv() => if change.is_none() { return },
                () = sender.closed() => return,
            }
            if let Ok(size) = size() {
                sender.send_replace(size);
            }
        }
    });
    Ok(receiver)
}

/// How many columns standard output has; `None` when it is no terminal.
pub fn output_columns() -> Option<usize> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

fn size() -> io::Result<Size> {
    let size = tcgetwinsize(io::stdin())?;
    Ok(Size {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}

/// Standard input, read on a thread of its own: tokio's would keep the process from ending until the next key.
fn read_stdin() -> impl AsyncRead + Send + Sync + Unpin {
    let (sender, receiver) = mpsc::channel::<io::Result<tokio_util::bytes::Bytes>>(4);
    thread::spawn(move || {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let chunk = match io::stdin().read(&mut buffer) {
                Ok(0) => return,
                Ok(count) => Ok(tokio_util::bytes::Bytes::copy_from_slice(&buffer[..count])),
                Err(error) => Err(error),
            };
            let failed = chunk.is_err();
            if sender.blocking_send(chunk).is_err() || failed {
                return;
            }
        }
    });
    let chunks = futures_util::stream::unfold(receiver, |mut receiver| async move {
        Some((receiver.recv().await?, receiver))
    });
    StreamReader::new(Box::pin(chunks))
}
