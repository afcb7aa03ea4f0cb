//! A file server on loopback that can also do what servers should not: cut a file off, hold it back.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::Duration,
};

/// Longer than any test may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a path answers.
#[derive(Clone)]
pub enum Reply {
    File(Vec<u8>),
    /// The first half, though the header promised all.
    Half(Vec<u8>),
    /// The first half, and the rest when the test says so.
    Held(Vec<u8>),
}

#[derive(Default)]
struct State {
    replies: HashMap<String, Reply>,
    requests: Vec<String>,
    holding: usize,
    released: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let server = Self {
            address: listener.local_addr().expect("an address"),
            shared: Arc::default(),
        };
        let shared = server.shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                thread::spawn(move || shared.answer(stream));
            }
        });
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// From now on the path answers this; other paths answer 404.
    pub fn put(&self, path: &str, reply: Reply) {
        self.shared.lock().replies.insert(format!("/{path}"), reply);
    }

    /// The paths that were asked for, since the last call.
    pub fn requests(&self) -> Vec<String> {
        let mut requests = std::mem::take(&mut self.shared.lock().requests);
        requests.sort();
        requests
    }

    /// Waits until a download has come to the middle of a [`Reply::Held`].
    pub fn wait_until_held(&self) {
        self.shared.wait(|state| state.holding > 0);
    }

    /// Lets every held download go on.
    pub fn release(&self) {
        self.shared.lock().released = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.release();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|error| error.into_inner())
    }

    fn wait(&self, mut until: impl FnMut(&State) -> bool) {
        let state = self.lock();
        let waited = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| !until(state))
            .unwrap_or_else(|error| error.into_inner());
        assert!(!waited.1.timed_out(), "the server waited in vain");
    }

    fn answer(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
        let mut head = String::new();
        while reader.read_line(&mut head).is_ok_and(|count| count > 2) {}
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let reply = {
            let mut state = self.lock();
            state.requests.push(path.clone());
            state.replies.get(&path).cloned()
        };
        // A client that was killed is no failure of the server.
        let _ = self.write(&mut stream, reply);
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn write(&self, stream: &mut TcpStream, reply: Option<Reply>) -> std::io::Result<()> {
        let Some(reply) = reply else {
            return stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        };
        let (Reply::File(bytes) | Reply::Half(bytes) | Reply::Held(bytes)) = &reply;
        let length = bytes.len();
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        )?;
        let (first, second) = bytes.split_at(length / 2);
        stream.write_all(first)?;
        match reply {
            Reply::File(_) => {}
            Reply::Half(_) => return Ok(()),
            Reply::Held(_) => {
                stream.flush()?;
                self.lock().holding += 1;
                self.changed.notify_all();
                self.wait(|state| state.released);
            }
        }
        stream.write_all(second)
    }
}
