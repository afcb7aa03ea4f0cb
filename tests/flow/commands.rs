//! Commands on something that runs: `ps`, `logs`, `exec`, `restart`, `up --attach`, `up --timings`, single steps.

use super::web_app;
use crate::support::{Project, Signal, http, image};

/// Two services that print a few lines.
fn talkers(image: &image::BusyboxImage) -> Project {
    let mut config = String::from("[project]\nname = \"talkers\"\n");
    for name in ["one", "two"] {
        config += &format!(
            "[service.{name}]\nimage = \"{}\"\ncommand = [\"sh\", \"-c\", \"for i in 1 2 3; do echo {name} $i; done; echo {name} last; exec sleep 600\"]\nready = {{ log = \"{name} last\" }}\nstop_grace = \"0s\"\n",
            image.reference
        );
    }
    Project::new(&config)
}

#[test]
fn logs_by_tail_time_step_and_format() {
    let base = image::busybox();
    let project = talkers(&base);
    let none = project.run(&["logs"]);
    assert_eq!(none.code, 3, "{}", none.all());
    assert!(none.stderr.contains("devenv up"), "{}", none.all());
    project.ok(&["up"]);

    let one = project.ok(&["logs", "service.one"]);
    assert_eq!(one.stdout, "one 1\none 2\none 3\none last\n");
    let tail = project.ok(&["logs", "-n", "2", "service.one"]);
    assert_eq!(tail.stdout, "one 3\none last\n");
    let both = project.ok(&["logs", "--tail", "1", "service.one", "service.two"]);
    let mut lines: Vec<_> = both.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["service.one | one last", "service.two | two last"]);
    let bare = project.ok(&["logs", "--tail", "1", "--no-prefix"]);
    let mut lines: Vec<_> = bare.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one last", "two last"]);
    assert_eq!(
        project
            .ok(&["logs", "--since", "1h", "service.one"])
            .stdout
            .lines()
            .count(),
        4
    );
    assert_eq!(
        project
            .ok(&["logs", "--since", "2100-01-01T00:00:00Z"])
            .stdout,
        ""
    );
    assert_eq!(project.run(&["logs", "--since", "yesterday"]).code, 2);

    let json = project.ok(&["logs", "--output", "json", "--tail", "1", "service.two"]);
    assert_eq!(
        json.json(),
        serde_json::json!({"step": "service.two", "stream": "stdout", "line": "two last"})
    );
    let unknown = project.run(&["logs", "service.three"]);
    assert_ne!(unknown.code, 0, "{}", unknown.all());
    assert!(
        unknown.stderr.contains("`service.three`"),
        "{}",
        unknown.all()
    );
}

#[test]
fn logs_that_cannot_be_written_are_a_failure() {
    let base = image::busybox();
    let project = talkers(&base);
    project.ok(&["up"]);
    for more in [&[][..], &["--follow"], &["--output", "json"]] {
        let full = std::fs::File::create("/dev/full").expect("Linux has it");
        let mut command = project.command(&["logs", "service.one"]);
        let output = command.args(more).stdout(full).output();
        let output = output.expect("devenv runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{more:?}: {text}");
        assert!(text.contains("cannot write to standard output"), "{text}");
    }
}

#[test]
fn a_command_that_is_not_inside_is_a_failure_also_in_json() {
    let base = image::busybox();
    let project = talkers(&base);
    project.ok(&["up"]);
    let exec = ["exec", "service.one", "--", "/nosuch"];
    let ran = project.run(&exec);
    assert_eq!((ran.code, ran.stdout.as_str()), (127, ""), "{}", ran.all());
    let json = project.run(&[&["--output", "json"][..], &exec].concat());
    assert_eq!(json.code, 127, "{}", json.all());
    let error = &json.json()["error"];
    assert_eq!(error["exit_code"], 127, "{}", json.all());
    let message = error["message"].to_string();
    assert!(message.contains("/nosuch"), "{}", json.all());
}

#[test]
fn logs_are_followed_until_ctrl_c() {
    let base = image::busybox();
    let project = talkers(&base);
    project.ok(&["up"]);
    let mut logs = project.start(&["logs", "--follow", "service.one"], &[]);
    logs.wait_for_line("one last");
    project.ok(&[
        "exec",
        "service.one",
        "--",
        "sh",
        "-c",
        "echo said later > /proc/1/fd/1",
    ]);
    logs.wait_for_line("said later");
    project.ok(&[
        "exec",
        "service.one",
        "--",
        "sh",
        "-c",
        "echo went wrong > /proc/1/fd/2",
    ]);
    logs.wait_for_line("went wrong");
    let json = project
        .ok(&["logs", "service.one", "--output", "json"])
        .events();
    let wrong = json
        .iter()
        .find(|line| line["line"] == "went wrong")
        .unwrap();
    assert_eq!(wrong["stream"], "stderr");
    logs.signal(Signal::Interrupt);
    let ran = logs.wait();
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(ran.stderr, "");
}

#[test]
fn followed_logs_end_with_their_reader_though_nothing_more_is_said() {
    let base = image::busybox();
    let project = talkers(&base);
    project.ok(&["up"]);
    let mut logs = project.start(&["logs", "--follow", "service.one"], &[]);
    logs.wait_for_line("one last");
    let ran = logs.leave();
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(ran.stderr, "");
}

#[test]
fn followed_logs_go_on_with_what_is_started_again_and_end_when_all_is_down() {
    let base = image::busybox();
    let project = talkers(&base);
    project.ok(&["up"]);
    let mut logs = project.start(&["logs", "--follow", "--tail", "1", "service.one"], &[]);
    logs.wait_for_line("one last");
    project.ok(&["restart", "service.one"]);
    logs.wait_for_line("one 1");
    logs.wait_for_line("one last");
    let config = project.read("devenv.toml");
    project.write(
        "devenv.toml",
        &config.replace("echo one last", "echo one anew; echo one last"),
    );
    project.ok(&["up"]);
    logs.wait_for_line("one anew");
    logs.wait_for_line("one last");
    project.ok(&["down"]);
    let ran = logs.wait();
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(
        ran.stdout,
        "one last\none 1\none 2\none 3\none last\none 1\none 2\none 3\none anew\none last\n"
    );
    assert!(
        ran.stderr.contains("All that was followed is down"),
        "{}",
        ran.all()
    );
}

#[test]
fn attached_up_follows_and_ctrl_c_leaves_everything_running() {
    let base = image::busybox();
    let project = talkers(&base);
    project.ok(&["up"]);
    let mut up = project.start(&["up", "--attach"], &[]);
    // Lines that come after it has begun to follow; until then nobody reads them.
    let mut say = project
        .command(&[
            "exec",
            "service.two",
            "--",
            "sh",
            "-c",
            "while true; do echo and on > /proc/1/fd/1; sleep 0.1; done",
        ])
        .spawn()
        .unwrap();
    up.wait_for_line("service.two | and on");
    up.signal(Signal::Interrupt);
    let ran = up.wait();
    say.kill().unwrap();
    say.wait().unwrap();
    assert_eq!(ran.code, 0, "{}", ran.all());
    for step in ["service.one", "service.two"] {
        assert_eq!(project.state(step), "running");
    }
}

#[test]
fn ps_shows_state_port_address_image_origin_and_age() {
    let base = image::busybox();
    let project = web_app(&base, "");
    let absent = project.ok(&["ps"]);
    assert!(absent.stdout.contains("absent"), "{}", absent.all());
    project.ok(&["up"]);
    let ps = project.ok(&["ps"]);
    let mut lines = ps.stdout.lines();
    let head: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        head,
        ["STEP", "STATE", "PORTS", "URL", "IMAGE", "FROM", "AGE"]
    );
    let row = lines.next().unwrap();
    let url = project.url("app.web");
    let port = url.rsplit_once(':').unwrap().1.to_owned();
    for part in [
        "app.web",
        "running",
        &format!("http {port}"),
        &url,
        "devenv/web-",
        "artifact",
    ] {
        assert!(row.contains(part), "{part} in {row}");
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn ps_names_the_image_of_what_the_file_no_longer_has_by_a_short_id() {
    let base = image::busybox();
    let project = talkers(&base);
    project.ok(&["up"]);
    let config = project.read("devenv.toml");
    let (one, _) = config.split_once("[service.two]").unwrap();
    project.write("devenv.toml", one);
    let ps = project.ok(&["ps"]);
    let row = |step: &str| {
        let mut rows = ps.stdout.lines().filter(|line| line.starts_with(step));
        rows.next().unwrap_or_else(|| panic!("{}", ps.all()))
    };
    let of_the_file: Vec<_> = row("service.one").split_whitespace().collect();
    assert_eq!(of_the_file[4..6], [base.reference.as_str(), "local"]);
    let left: Vec<_> = row("service.two").split_whitespace().collect();
    assert!(
        left[4].len() == 12 && left[4].chars().all(|c| c.is_ascii_hexdigit()),
        "{left:?}"
    );
}

#[test]
fn restart_makes_the_app_start_again_and_others_stay() {
    let base = image::busybox();
    let project = web_app(&base, "");
    let config = project.read("devenv.toml")
        + &format!(
            "\n[service.side]\nimage = \"{}\"\ncommand = [\"sleep\", \"600\"]\nstop_grace = \"0s\"\n",
            base.reference
        );
    project.write("devenv.toml", &config);
    project.ok(&["up"]);
    let (app, side) = (
        project.instance("app.web"),
        project.instance("service.side"),
    );
    let url = project.url("app.web");
    let restart = project.ok(&["restart", "app.web"]);
    assert!(restart.stderr.contains("Restarted"), "{}", restart.all());
    assert_ne!(project.instance("app.web"), app);
    assert_eq!(project.instance("service.side"), side);
    assert_eq!(project.url("app.web"), url);
    assert_eq!(http::get(&url), "hello from the test\n");

    let build = project.run(&["restart", "build.web"]);
    assert_eq!(build.code, 2, "{}", build.all());
}

#[test]
fn exec_as_another_user_and_where_nothing_runs() {
    let base = image::busybox();
    let project = talkers(&base);
    let absent = project.run(&["exec", "service.one", "--", "true"]);
    assert_ne!(absent.code, 0, "{}", absent.all());
    assert!(absent.stderr.contains("`service.one`"), "{}", absent.all());
    project.ok(&["up"]);
    let id = |user: &[&str]| {
        let args = [
            &["exec"],
            user,
            &["service.one", "--", "sh", "-c", "id -u 2>/dev/null"],
        ]
        .concat();
        project.ok(&args).stdout
    };
    assert_eq!(id(&[]), "0\n");
    assert_eq!(id(&["--user", "guest"]), "1000\n");
    for command in ["no-such-command", "/bin/no-such-command"] {
        let missing = project.run(&["exec", "service.one", "--", command]);
        assert_eq!(missing.code, 127, "{}", missing.all());
        assert_eq!(missing.stdout, "");
        let said = format!("there is no command `{command}` in `service.one`");
        assert!(missing.stderr.contains(&said), "{}", missing.all());
    }
    let folder = project.run(&["exec", "service.one", "--", "/etc"]);
    assert_eq!(folder.code, 126, "{}", folder.all());
    assert!(
        folder.stderr.contains("permission denied"),
        "{}",
        folder.all()
    );
}

#[test]
fn one_step_is_brought_up_and_planned_with_what_it_needs_alone() {
    let base = image::busybox();
    let project = talkers(&base);
    let plan = project.ok(&["plan", "service.one"]);
    assert!(plan.stdout.contains("service.one"), "{}", plan.all());
    assert!(!plan.stdout.contains("service.two"), "{}", plan.all());
    project.ok(&["up", "service.one"]);
    assert_eq!(project.state("service.one"), "running");
    assert_eq!(project.state("service.two"), "absent");
}

#[test]
fn timings_show_each_step_and_the_critical_path() {
    let base = image::busybox();
    let project = web_app(&base, "");
    let up = project.ok(&["up", "--timings"]);
    for part in ["build.web", "app.web", "critical path"] {
        assert!(
            up.stderr.to_lowercase().contains(part),
            "{part} in {}",
            up.all()
        );
    }
}

#[test]
fn no_human_text_is_on_stdout_of_a_run() {
    let base = image::busybox();
    let project = web_app(&base, "");
    let up = project.ok(&["up", "--output", "json", "--timings"]);
    assert_eq!(up.events()[0]["event"], "run-started");
    assert_eq!(up.events().last().unwrap()["event"], "run-finished");
    for args in [
        &["restart", "--output", "json"][..],
        &["up", "--output", "json"],
    ] {
        assert!(!project.ok(args).events().is_empty());
    }
    project.write("web.sh", "#!/bin/sh\nexit 1\n");
    let up = project.run(&["up", "--output", "json"]);
    assert_eq!(up.code, 1);
    let mut events = up.events();
    let last = events.pop().unwrap();
    assert_eq!(last["error"]["exit_code"], 1, "{last}");
    let finished = events.pop().unwrap();
    assert_eq!(finished["outcome"]["outcome"], "failed", "{finished}");
}

#[test]
fn every_answer_is_json_when_asked_for() {
    let base = image::busybox();
    let project = web_app(&base, "");
    let answers = |list: &[&[&str]]| {
        for args in list {
            let ran = project.run(&[args, &["--output", "json"][..]].concat());
            assert!(!ran.json().is_null(), "{args:?}: {}", ran.all());
        }
    };
    answers(&[&["plan"], &["config"], &["schema"], &["doctor"], &["ps"]]);
    project.ok(&["up"]);
    answers(&[
        &["plan"],
        &["plan", "--hash"],
        &["ps"],
        &["doctor"],
        &["env"],
        &["lock"],
        &["lock", "--check"],
        &["down", "--volumes", "--images"],
        &["down"],
    ]);
}
