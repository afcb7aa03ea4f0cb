use std::time::Duration;

use devenv::{
    config::Restart,
    runtime::{Exec, Followed, InstanceState, LogOptions, LogStream, Runs, Runtime, RuntimeError},
    sys::terminal::Stdio,
};
use futures_util::TryStreamExt;

use super::world::{World, id};

super::conformance! {
    logs_are_lines_of_both_streams,
    a_very_long_line_stays_one_line,
    tail_and_since_select,
    following_ends_with_the_service,
    following_goes_on_with_the_next_run_and_misses_nothing,
    following_tells_an_end_and_a_removal,
    only_this_run,
    logs_of_nothing_is_an_error,
    exec_gives_code_and_both_streams,
    exec_passes_input_on,
    exec_needs_something_that_runs,
    exited_resolves_with_the_code,
    exited_resolves_also_when_it_is_restarted,
    exited_tells_nothing_of_ends_before_a_start_that_finds_it_running,
    exited_within_a_time_tells_an_end_from_none,
}

async fn logs_are_lines_of_both_streams(world: World) {
    let spec = world.script("app.hello", "echo one; echo two >&2; echo; printf three");
    world.start(&spec).await;
    world.runtime.exited(&spec.step).await.unwrap();
    let lines: Vec<_> = world
        .runtime
        .logs(&spec.step, LogOptions::default())
        .try_collect()
        .await
        .unwrap();
    let of = |stream| -> Vec<&str> {
        let lines = lines.iter().filter(|line| line.stream == stream);
        lines.map(|line| line.text.as_str()).collect()
    };
    assert_eq!(of(LogStream::Stdout), ["one", "", "three"]);
    assert_eq!(of(LogStream::Stderr), ["two"]);
}

async fn a_very_long_line_stays_one_line(world: World) {
    let spec = world.script("app.hello", "seq -s , 20000; echo end");
    world.start(&spec).await;
    world.runtime.exited(&spec.step).await.unwrap();
    let expected: Vec<String> = (1..=20000).map(|n| n.to_string()).collect();
    for timestamps in [false, true] {
        let options = LogOptions {
            timestamps,
            ..LogOptions::default()
        };
        let lines = world.logs("app.hello", options).await;
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with(&expected.join(",")));
        assert_eq!(lines[0].starts_with("1,2"), !timestamps);
    }
}

async fn tail_and_since_select(world: World) {
    let spec = world.script("app.hello", "seq 100");
    world.start(&spec).await;
    world.runtime.exited(&spec.step).await.unwrap();
    let tail = LogOptions {
        tail: Some(2),
        ..LogOptions::default()
    };
    assert_eq!(world.logs("app.hello", tail).await, ["99", "100"]);
    let now = jiff::Timestamp::now().as_second();
    for (since, count) in [(now - 100, 100), (now + 100, 0), (i64::MAX, 0)] {
        let options = LogOptions {
            since: Some(since),
            ..LogOptions::default()
        };
        assert_eq!(
            world.logs("app.hello", options).await.len(),
            count,
            "{since}"
        );
    }
}

async fn following_ends_with_the_service(world: World) {
    let spec = world.script(
        "app.hello",
        "echo up; while ! test -e go; do sleep 0.05; done; echo down",
    );
    world.start(&spec).await;
    let follow = LogOptions {
        follow: true,
        ..LogOptions::default()
    };
    let mut lines = world.runtime.logs(&spec.step, follow);
    assert_eq!(lines.try_next().await.unwrap().unwrap().text, "up");
    world.sh("app.hello", "touch go").await;
    assert_eq!(lines.try_next().await.unwrap().unwrap().text, "down");
    assert_eq!(lines.try_next().await.unwrap(), None);
}

async fn following_goes_on_with_the_next_run_and_misses_nothing(world: World) {
    // It comes back by itself twice, each time soon, and stays.
    let mut spec = world.script(
        "app.hello",
        "echo x >> runs; n=$(busybox wc -l < runs); echo run $n; test $n -lt 3 && exit 1; exec sleep 1000",
    );
    spec.restart = Restart::OnFailure;
    world.start(&spec).await;
    let mut lines = world.runtime.follow(&spec.step, LogOptions::default());
    let mut shown = Vec::new();
    while shown.last().is_none_or(|line| line != "run 3") {
        if let Followed::Line(line) = lines.try_next().await.unwrap().unwrap() {
            shown.push(line.text);
        }
    }
    assert_eq!(shown, ["run 1", "run 2", "run 3"]);
    let mut other = world.script("app.hello", "echo another; exec sleep 1000");
    other.inputs.text("env.LEVEL", "debug");
    world.start(&other).await;
    while shown.len() < 4 {
        if let Followed::Line(line) = lines.try_next().await.unwrap().unwrap() {
            shown.push(line.text);
        }
    }
    assert_eq!(shown[3..], ["another"]);
}

async fn following_tells_an_end_and_a_removal(world: World) {
    let spec = world.script("app.hello", "echo done");
    world.start(&spec).await;
    let mut happened = world.runtime.follow(&spec.step, LogOptions::default());
    let mut next = async || happened.try_next().await.unwrap().unwrap();
    assert!(matches!(next().await, Followed::Begins(_)));
    assert!(matches!(next().await, Followed::Line(line) if line.text == "done"));
    assert_eq!(next().await, Followed::Ended);
    world.runtime.remove(&spec.step).await.unwrap();
    assert_eq!(next().await, Followed::Gone);
    let mut other = spec.clone();
    other.env.insert("TOKEN".into(), "another".into());
    other.inputs.text("env.TOKEN", "${secret.token}");
    world.start(&other).await;
    // What its lines may hold is known before them.
    let Followed::Begins(with) = next().await else {
        panic!("its lines do not come first");
    };
    assert_eq!(with.environment["TOKEN"], "another");
    assert_eq!(with.inputs, other.inputs);
    assert!(matches!(next().await, Followed::Line(line) if line.text == "done"));

    let nothing = world
        .runtime
        .follow(&id("app.nothing"), LogOptions::default());
    let error = nothing.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.to_string(), "`app.nothing` is not running");
}

async fn only_this_run(world: World) {
    let spec = world.script(
        "app.hello",
        "test -e x && echo second || { touch x; echo first; }; exec sleep 1000",
    );
    world.start(&spec).await;
    let follow = LogOptions {
        follow: true,
        runs: Runs::Last,
        ..LogOptions::default()
    };
    let first = world
        .runtime
        .logs(&spec.step, follow.clone())
        .try_next()
        .await;
    assert_eq!(first.unwrap().unwrap().text, "first");
    world.runtime.restart(&spec.step).await.unwrap();
    let second = world.runtime.logs(&spec.step, follow).try_next().await;
    assert_eq!(second.unwrap().unwrap().text, "second");
}

async fn logs_of_nothing_is_an_error(world: World) {
    let mut lines = world
        .runtime
        .logs(&id("app.nothing"), LogOptions::default());
    let error = lines.try_next().await.unwrap_err();
    assert_eq!(error.to_string(), "`app.nothing` is not running");
}

async fn exec_gives_code_and_both_streams(world: World) {
    world
        .start(&world.script("app.hello", "exec sleep 1000"))
        .await;
    assert_eq!(
        world.sh("app.hello", "echo out; exit 3").await,
        (3, "out".into())
    );
    assert_eq!(
        world.sh("app.hello", "echo err >&2").await,
        (0, "err".into())
    );
    let exec = Exec {
        argv: ["sh", "-c", "echo $NAME; pwd; id -u"]
            .map(str::to_owned)
            .into(),
        env: [("NAME".to_owned(), "a b".to_owned())].into(),
        user: Some("1000".into()),
        workdir: Some("/tmp".into()),
        ..Exec::default()
    };
    let (stdio, output) = Stdio::capture();
    assert_eq!(
        world
            .runtime
            .exec(&id("app.hello"), exec, stdio)
            .await
            .unwrap(),
        0
    );
    assert_eq!(output.text(), "a b\n/tmp\n1000\n");
}

async fn exec_passes_input_on(world: World) {
    world
        .start(&world.script("app.hello", "exec sleep 1000"))
        .await;
    let input: Vec<u8> = (0..200_000u32)
        .flat_map(|n| format!("{n}\n").into_bytes())
        .collect();
    let exec = Exec {
        argv: vec!["cat".into()],
        ..Exec::default()
    };
    let (stdio, output) = Stdio::capture();
    let stdio = stdio.with_input(std::io::Cursor::new(input.clone()));
    assert_eq!(
        world
            .runtime
            .exec(&id("app.hello"), exec, stdio)
            .await
            .unwrap(),
        0
    );
    assert_eq!(output.text().len(), input.len());
    assert!(output.text().as_bytes() == input);
}

async fn exec_needs_something_that_runs(world: World) {
    let spec = world.script("app.hello", "true");
    for _ in 0..2 {
        let (stdio, _) = Stdio::capture();
        let exec = Exec {
            argv: vec!["true".into()],
            ..Exec::default()
        };
        let error = world
            .runtime
            .exec(&spec.step, exec, stdio)
            .await
            .unwrap_err();
        assert!(
            matches!(error, RuntimeError::NotRunning { .. }),
            "{error:?}"
        );
        world.start(&spec).await;
        world.runtime.exited(&spec.step).await.unwrap();
    }
}

async fn exited_resolves_with_the_code(world: World) {
    let spec = world.script(
        "app.hello",
        "while ! test -e go; do sleep 0.05; done; exit 42",
    );
    let error = world.runtime.exited(&spec.step).await.unwrap_err();
    assert!(
        matches!(error, RuntimeError::NotRunning { .. }),
        "{error:?}"
    );
    world.start(&spec).await;
    let (code, _) = tokio::join!(
        world.runtime.exited(&spec.step),
        world.sh("app.hello", "touch go")
    );
    assert_eq!(code.unwrap(), 42);
    assert_eq!(world.runtime.exited(&spec.step).await.unwrap(), 42);
}

async fn exited_resolves_also_when_it_is_restarted(world: World) {
    let mut spec = world.script("app.hello", "sleep 0.3; exit 5");
    spec.restart = devenv::config::Restart::UnlessStopped;
    world.start(&spec).await;
    assert_eq!(world.runtime.exited(&spec.step).await.unwrap(), 5);
}

async fn exited_tells_nothing_of_ends_before_a_start_that_finds_it_running(world: World) {
    let script = "test -e came-back && exec sleep 1000; touch came-back; exit 5";
    let mut spec = world.script("app.hello", script);
    spec.restart = devenv::config::Restart::UnlessStopped;
    world.start(&spec).await;
    loop {
        let instance = world.instance("app.hello").await.unwrap();
        if instance.restarts > 0 && instance.state == InstanceState::Running {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.start(&spec).await;
    let within = world.runtime.exited_within(&spec.step, Duration::ZERO);
    assert_eq!(within.await.unwrap(), None);
    assert_eq!(world.instance("app.hello").await.unwrap().restarts, 1);
}

async fn exited_within_a_time_tells_an_end_from_none(world: World) {
    const LONG: Duration = Duration::from_secs(60);
    let spec = world.script(
        "app.hello",
        "while ! test -e go; do sleep 0.05; done; exit 42",
    );
    let step = &spec.step;
    let error = world.runtime.exited_within(step, LONG).await.unwrap_err();
    assert!(
        matches!(error, RuntimeError::NotRunning { .. }),
        "{error:?}"
    );
    world.start(&spec).await;
    let within = world.runtime.exited_within(step, Duration::ZERO).await;
    assert_eq!(within.unwrap(), None);
    let (code, _) = tokio::join!(
        world.runtime.exited_within(step, LONG),
        world.sh("app.hello", "touch go")
    );
    assert_eq!(code.unwrap(), Some(42));
    let within = world.runtime.exited_within(step, Duration::ZERO).await;
    assert_eq!(within.unwrap(), Some(42));
}
