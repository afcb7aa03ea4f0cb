//! The sample app: birthdays over HTTP JSON and gRPC, kept in one Postgres.
//!
//! `domain` is pure, `store` is SQL, `greeter` joins the two, `http` and `grpc` translate; this file starts and stops them.

mod config;
mod domain;
mod greeter;
mod grpc;
mod http;
mod log;
mod store;

use std::{error::Error, process::ExitCode, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tonic::transport::server::{Server, TcpIncoming};

use config::Config;
use greeter::Greeter;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error("cannot run", &[("error", error.to_string().into())]);
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), BoxError> {
    let config = Config::from_env()?;
    // Before the ports open: a signal is never met by the default action once the app answers.
    let stop = stop_signal()?;
    let http = bind("HTTP_ADDR", config.http).await?;
    let grpc = bind("GRPC_ADDR", config.grpc).await?;
    log::info(
        "listening",
        &[
            ("http", http.local_addr()?.to_string().into()),
            ("grpc", grpc.local_addr()?.to_string().into()),
        ],
    );

    let store = config.store.clone();
    let greeter = Greeter::new(config.store);
    let router = http::router(greeter.clone());
    let http = axum::serve(http, router).with_graceful_shutdown(stopped(stop.clone()));
    let grpc = Server::builder()
        .add_service(grpc::service(greeter))
        .serve_with_incoming_shutdown(TcpIncoming::from(grpc), stopped(stop.clone()));
    let servers = async {
        tokio::try_join!(async { http.await.map_err(BoxError::from) }, async {
            grpc.await.map_err(BoxError::from)
        },)
    };
    tokio::select! {
        result = servers => {
            result?;
            log::info("stopped", &[]);
        }
        () = overdue(stop, config.drain) => log::error(
            "stopped with requests in flight",
            &[("waited_s", config.drain.as_secs().into())],
        ),
    }
    store.close();
    Ok(())
}

async fn bind(name: &str, address: std::net::SocketAddr) -> Result<TcpListener, BoxError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {address}, see {name}: {error}").into())
}

/// Becomes true at the first SIGTERM or SIGINT.
fn stop_signal() -> Result<watch::Receiver<bool>, BoxError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        log::info("stopping", &[("signal", name.into())]);
        // The receiver lives as long as the servers.
        let _ = sender.send(true);
    });
    Ok(receiver)
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means the sender has gone without a signal, which only the end of the process does.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn overdue(stop: watch::Receiver<bool>, drain: Duration) {
    stopped(stop).await;
    tokio::time::sleep(drain).await;
}
