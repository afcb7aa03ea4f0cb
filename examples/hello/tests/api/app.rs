//! The app as a process, with what it logs. It ends with the value.

use std::{
    env,
    ffi::OsString,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Request, StatusCode, body::Bytes};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct App {
    child: Child,
    logs: Lines<BufReader<ChildStdout>>,
    pub http: String,
    pub grpc: String,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl App {
    /// A running app on ports of its own.
    pub async fn start(database_url: &str) -> Self {
        Self::start_with(database_url, &[]).await
    }

    pub async fn start_with(database_url: &str, env: &[(&str, &str)]) -> Self {
        let mut child = command()
            .env("DATABASE_URL", database_url)
            .env("HTTP_ADDR", "127.0.0.1:0")
            .env("GRPC_ADDR", "127.0.0.1:0")
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the app runs");
        let stdout = child.stdout.take().expect("piped");
        let mut app = Self {
            child,
            logs: BufReader::new(stdout).lines(),
            http: String::new(),
            grpc: String::new(),
        };
        let line = app.logged("listening").await;
        app.http = line["http"].as_str().expect("an address").to_owned();
        app.grpc = line["grpc"].as_str().expect("an address").to_owned();
        app
    }

    /// The next log line with this message. Every line on the way must be a JSON object.
    pub async fn logged(&mut self, message: &str) -> Value {
        timeout(PATIENCE, async {
            while let Some(line) = self.logs.next_line().await.expect("UTF-8") {
                let line: Value =
                    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert!(
                    line["time"].is_string() && line["level"].is_string(),
                    "{line}"
                );
                if line["message"] == message {
                    return line;
                }
            }
            panic!("the app ended without logging `{message}`");
        })
        .await
        .unwrap_or_else(|_| panic!("no log line `{message}`"))
    }

    pub fn signal(&self, signal: Signal) {
        let id = self.child.id().expect("not yet waited for");
        let pid = Pid::from_raw(id as i32).expect("not zero");
        kill_process(pid, signal).expect("a running app");
    }

    pub async fn exited(&mut self) -> ExitStatus {
        timeout(PATIENCE, self.child.wait())
            .await
            .expect("the app ends")
            .expect("a child of ours")
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, None, "").await
    }

    /// PUT of JSON.
    pub async fn put(&self, path: &str, body: &str) -> Answer {
        self.request("PUT", path, Some("application/json"), body)
            .await
    }

    pub async fn request(
        &self,
        method: &str,
        path: &str,
        content_type: Option<&str>,
        body: &str,
    ) -> Answer {
        request(&self.http, method, path, content_type, body).await
    }
}

pub async fn request(
    address: &str,
    method: &str,
    path: &str,
    content_type: Option<&str>,
    body: &str,
) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{address}{path}"));
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    let request = request
        .body(Full::new(Bytes::from(body.to_owned())))
        .expect("a request");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let exchange = async {
        let response = client.request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(bytes.to_vec()).expect("UTF-8"),
        }
    };
    timeout(PATIENCE, exchange)
        .await
        .expect("an answer in time")
}

impl Answer {
    #[track_caller]
    pub fn is(&self, status: u16, body: &str) {
        assert_eq!((self.status.as_u16(), self.body.as_str()), (status, body));
        if !body.is_empty() {
            assert_eq!(self.headers["content-type"], "application/json");
        }
    }

    #[track_caller]
    pub fn is_error(&self, status: u16, message: &str) {
        self.is(status, &serde_json::json!({ "error": message }).to_string());
    }
}

/// The app's binary with nothing of the app's settings in its environment.
pub fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hello"));
    let path: OsString = env::var_os("PATH").unwrap_or_default();
    command.env_clear().env("PATH", path).kill_on_drop(true);
    command
}
