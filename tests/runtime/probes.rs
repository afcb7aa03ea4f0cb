use std::time::Duration;

use devenv::{
    config::Probe,
    event::{Explain, FaultClass},
    runtime::{ProbeError, ProbeTarget, Runtime, RuntimeError, Spec, Started, look, probe},
};
use tokio_util::sync::CancellationToken;

use super::world::{World, port};

super::conformance! {
    http_waits_for_the_server,
    http_tells_the_last_status,
    tcp_is_not_fooled_by_a_forwarder,
    tcp_is_ready_with_a_silent_server,
    exec_waits_for_success,
    exec_tells_the_last_output,
    log_waits_for_the_line,
    log_does_not_find_lines_of_an_earlier_run,
    an_exit_is_reported_at_once,
    an_exit_before_a_restart_is_reported_at_once,
    cancelling_ends_it,
    an_unknown_port_is_an_error,
    a_look_lets_a_try_end_and_makes_no_other,
}

impl World {
    fn target(&self, spec: &Spec, started: &Started, probe: Probe) -> ProbeTarget {
        ProbeTarget {
            step: spec.step.clone(),
            host: self.runtime.host().to_owned(),
            ports: started.ports.clone(),
            probe,
            timeout: Duration::from_secs(30),
            stays_open: Duration::from_millis(100),
        }
    }

    async fn ready(&self, target: &ProbeTarget) -> Result<(), ProbeError> {
        probe(&self.runtime, target, &CancellationToken::new()).await
    }

    pub async fn probe_http(
        &self,
        spec: &Spec,
        started: &Started,
        path: &str,
    ) -> Result<(), ProbeError> {
        let probe = Probe::Http {
            path: path.into(),
            port: "http".into(),
        };
        self.ready(&self.target(spec, started, probe)).await
    }
}

fn with_port(world: &World, script: &str) -> Spec {
    let mut spec = world.script("app.hello", script);
    spec.ports = vec![port("http", 80, &[], (24000, 24999))];
    spec
}

fn exec(script: &str) -> Probe {
    Probe::Exec {
        command: ["sh", "-c", script].map(str::to_owned).into(),
    }
}

async fn http_waits_for_the_server(world: World) {
    let spec = with_port(
        &world,
        "sleep 0.5; exec busybox httpd -f -p ${PORT_HTTP:-80} -h /etc",
    );
    let started = world.start(&spec).await;
    world.probe_http(&spec, &started, "/passwd").await.unwrap();
}

async fn http_tells_the_last_status(world: World) {
    let spec = with_port(&world, "exec busybox httpd -f -p ${PORT_HTTP:-80} -h /etc");
    let started = world.start(&spec).await;
    let probe = Probe::Http {
        path: "/readyz".into(),
        port: "http".into(),
    };
    let mut target = world.target(&spec, &started, probe);
    target.timeout = Duration::from_secs(1);
    let fault = world.ready(&target).await.unwrap_err().explain();
    assert_eq!(fault.message, "`app.hello` was not ready after 1s");
    assert_eq!(fault.label.unwrap(), "`GET /readyz`: 404");
}

async fn tcp_is_not_fooled_by_a_forwarder(world: World) {
    // The engine's forwarder accepts from the start; the server listens later, and proves it by a file.
    let spec = with_port(
        &world,
        "sleep 0.7; touch listens; exec busybox nc -ll -p ${PORT_HTTP:-80} -e cat",
    );
    let started = world.start(&spec).await;
    let probe = Probe::Tcp {
        port: "http".into(),
    };
    world
        .ready(&world.target(&spec, &started, probe))
        .await
        .unwrap();
    assert_eq!(world.sh("app.hello", "test -e listens").await.0, 0);
}

async fn tcp_is_ready_with_a_silent_server(world: World) {
    let spec = with_port(
        &world,
        "exec busybox nc -ll -p ${PORT_HTTP:-80} -e sleep 1000",
    );
    let started = world.start(&spec).await;
    let probe = Probe::Tcp {
        port: "http".into(),
    };
    world
        .ready(&world.target(&spec, &started, probe))
        .await
        .unwrap();
}

async fn exec_waits_for_success(world: World) {
    let spec = with_port(&world, "sleep 0.4; touch ready; exec sleep 1000");
    let started = world.start(&spec).await;
    let target = world.target(&spec, &started, exec("test -e ready"));
    world.ready(&target).await.unwrap();
}

async fn exec_tells_the_last_output(world: World) {
    let spec = with_port(&world, "exec sleep 1000");
    let started = world.start(&spec).await;
    let mut target = world.target(&spec, &started, exec("echo not yet >&2; exit 2"));
    target.timeout = Duration::from_secs(2);
    let label = world
        .ready(&target)
        .await
        .unwrap_err()
        .explain()
        .label
        .unwrap();
    assert_eq!(
        label,
        "`sh -c echo not yet >&2; exit 2`: exit code 2: not yet"
    );
}

async fn log_waits_for_the_line(world: World) {
    let spec = with_port(
        &world,
        "echo starting; sleep 0.3; echo now ready to serve >&2; exec sleep 1000",
    );
    let started = world.start(&spec).await;
    let text = |text: &str| Probe::Log { text: text.into() };
    let target = world.target(&spec, &started, text("ready to serve"));
    world.ready(&target).await.unwrap();
    let mut target = world.target(&spec, &started, text("never said"));
    target.timeout = Duration::from_millis(500);
    let label = world
        .ready(&target)
        .await
        .unwrap_err()
        .explain()
        .label
        .unwrap();
    assert_eq!(
        label,
        "log line with `never said`: last line: now ready to serve"
    );
}

async fn log_does_not_find_lines_of_an_earlier_run(world: World) {
    let spec = with_port(
        &world,
        "test -e x || { touch x; echo ready; }; exec sleep 1000",
    );
    let started = world.start(&spec).await;
    let mut target = world.target(
        &spec,
        &started,
        Probe::Log {
            text: "ready".into(),
        },
    );
    world.ready(&target).await.unwrap();
    world.runtime.restart(&spec.step).await.unwrap();
    target.timeout = Duration::from_millis(500);
    let label = world
        .ready(&target)
        .await
        .unwrap_err()
        .explain()
        .label
        .unwrap();
    assert_eq!(label, "log line with `ready`: no output");
}

async fn an_exit_is_reported_at_once(world: World) {
    let spec = with_port(&world, "echo cannot; exit 9");
    let started = world.start(&spec).await;
    let error = world.probe_http(&spec, &started, "/").await.unwrap_err();
    assert!(
        matches!(error, ProbeError::Exited { code: 9, .. }),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "`app.hello` exited with code 9 before it was ready"
    );
    let target = world.target(
        &spec,
        &started,
        Probe::Log {
            text: "never".into(),
        },
    );
    let error = world.ready(&target).await.unwrap_err();
    assert!(
        matches!(error, ProbeError::Exited { code: 9, .. }),
        "{error:?}"
    );
    let error = world
        .ready(&world.target(&spec, &started, exec("true")))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ProbeError::Exited { code: 9, .. }),
        "{error:?}"
    );
}

async fn an_exit_before_a_restart_is_reported_at_once(world: World) {
    let mut spec = with_port(&world, "sleep 0.2; exit 9");
    spec.restart = devenv::config::Restart::UnlessStopped;
    let started = world.start(&spec).await;
    let error = world.probe_http(&spec, &started, "/").await.unwrap_err();
    assert!(
        matches!(error, ProbeError::Exited { code: 9, .. }),
        "{error:?}"
    );
}

async fn cancelling_ends_it(world: World) {
    let spec = with_port(&world, "exec sleep 1000");
    let started = world.start(&spec).await;
    let probe_data = Probe::Tcp {
        port: "http".into(),
    };
    let target = world.target(&spec, &started, probe_data);
    let cancel = CancellationToken::new();
    let (ready, ()) = tokio::join!(probe(&world.runtime, &target, &cancel), async {
        cancel.cancel();
    });
    let error = ready.unwrap_err();
    assert_eq!(error.explain().class, FaultClass::Interrupted);
}

async fn an_unknown_port_is_an_error(world: World) {
    let spec = with_port(&world, "exec sleep 1000");
    let started = world.start(&spec).await;
    let probe = Probe::Tcp {
        port: "grpc".into(),
    };
    let error = world
        .ready(&world.target(&spec, &started, probe))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ProbeError::Runtime(RuntimeError::UnknownPort { .. })),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "the probe of `app.hello` needs a port `grpc`, it has `http`"
    );
}

async fn a_look_lets_a_try_end_and_makes_no_other(world: World) {
    let spec = world.script("app.hello", "echo listening; exec sleep 1000");
    let started = world.start(&spec).await;
    world.lines("app.hello", 1).await;
    let looked = async |probe| {
        let target = world.target(&spec, &started, probe);
        let cancel = CancellationToken::new();
        let seen = look(&world.runtime, &target, Duration::ZERO, &cancel).await;
        seen.unwrap().err()
    };
    assert_eq!(looked(exec("sleep 0.3")).await, None);
    let tries = "echo try >> tries; exit 3";
    let seen = format!("`sh -c {tries}`: exit code 3");
    assert_eq!(looked(exec(tries)).await, Some(seen));
    assert_eq!(world.sh("app.hello", "cat tries").await.1, "try");
    let log = |text: &str| Probe::Log { text: text.into() };
    assert_eq!(looked(log("listening")).await, None);
    // Lines are not waited for: what was ready has written it.
    let seen = looked(log("ready")).await.unwrap();
    assert_eq!(seen, "log line with `ready`: last line: listening");
}
