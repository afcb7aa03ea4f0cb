//! Waits for a server from outside, as a browser would.

use std::time::{Duration, Instant};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::Error;

const BETWEEN: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(120);

/// Resolves when GET of the path answers 200 on this port of this machine.
pub async fn answers(port: u16, path: &str) -> Result<Instant, Error> {
    let waiting = async {
        loop {
            // A connection that hangs must not outlast the moment the app is there.
            if let Ok(Ok(true)) = timeout(Duration::from_millis(250), get(port, path)).await {
                return Instant::now();
            }
            sleep(BETWEEN).await;
        }
    };
    let late = || {
        format!(
            "nothing answered on port {port} within {} s",
            PATIENCE.as_secs()
        )
    };
    timeout(PATIENCE, waiting).await.map_err(|_| late().into())
}

async fn get(port: u16, path: &str) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(&status == b"HTTP/1.1 200")
}
