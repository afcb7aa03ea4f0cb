//! The server itself: prepared data directories, images with an entrypoint of their own, passwords, extensions, settings.

use std::{fs, path::PathBuf};

use bollard::models::{ContainerCreateBody, HostConfig};
use futures_util::TryStreamExt;

use super::postgres::full_project;
use crate::support::{Home, Project, engine::things_of, image};

/// A project with nothing but a database.
fn database(images: &image::PostgresImages, more: &str) -> Project {
    Project::new(&format!(
        "[project]\nname = \"data\"\n\n[postgres.db]\nversion = \"15\"\nimage = \"{}\"\nport = 15532\n{more}\n",
        images.postgres
    ))
}

fn change(project: &Project, from: &str, to: &str) {
    let config = project.read("devenv.toml");
    assert!(config.contains(from), "{config}");
    project.write("devenv.toml", &config.replace(from, to));
}

/// As the official image does: a temporary server on the socket alone makes the database, then the real one starts.
const ENTRYPOINT: &str = r#"#!/bin/sh
set -eu
export PATH=$PATH:/usr/lib/postgresql/15/bin
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /run/postgresql
  chown -R postgres "${PGDATA%/*}" /run/postgresql
  exec setpriv --reuid=postgres --regid=postgres --init-groups -- /bin/sh "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  echo "$POSTGRES_PASSWORD" >/tmp/password
  initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 --no-sync $POSTGRES_INITDB_ARGS
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.conf"
  pg_ctl -D "$PGDATA" -o "-c listen_addresses=" -w start
  psql -q -U "$POSTGRES_USER" -d postgres -c "create database \"$POSTGRES_DB\""
  psql -q -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "create table made_by_an_init_script as select clock_timestamp() as at"
  pg_ctl -D "$PGDATA" -m fast -w stop
  echo "init process complete"
fi
exec "$@"
"#;

#[test]
fn an_entrypoint_that_starts_the_server_twice_is_ready_once() {
    let images = image::postgres();
    let own = format!("devenv-test-entrypoint:{}", image::unique());
    let _removed = image::Removed(own.clone());
    let project = Project::new(&format!(
        "[project]\nname = \"twice\"\n\n[image.own]\nref = \"{own}\"\ndockerfile = {{ path = \"image/Dockerfile\", context = \"image\" }}\n\n[postgres.db]\nversion = \"15\"\nimage = \"{own}\"\nprepared = false\nport = 15533\ninitdb = [\"--wal-segsize=1\"]\nsettings = {{ work_mem = \"5MB\" }}\n"
    ));
    project.write(
        "image/Dockerfile",
        &format!(
            "FROM {}\nCOPY entrypoint.sh /entrypoint.sh\nENTRYPOINT [\"/bin/sh\", \"/entrypoint.sh\"]\n",
            images.postgres
        ),
    );
    project.write("image/entrypoint.sh", ENTRYPOINT);
    project.ok(&["up"]);
    // Ready means the second server: the one that takes queries was started after the script's work.
    assert_eq!(
        project.sql("select at < pg_postmaster_start_time() from made_by_an_init_script"),
        "t"
    );
    assert_eq!(project.sql("select current_user"), "db");
    assert_eq!(project.sql("show work_mem"), "5MB");
    let logs = project.ok(&["logs", "postgres.db"]);
    assert!(
        logs.stdout.contains("init process complete"),
        "{}",
        logs.all()
    );
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());

    project.sql("create table kept as select 1 as one");
    project.ok(&["down"]);
    project.ok(&["up"]);
    assert_eq!(project.sql("select one from kept"), "1");
}

#[test]
fn a_password_changed_in_the_file_is_taken_over_and_the_data_stay() {
    let images = image::postgres();
    let project = database(&images, "password = \"first-password\"");
    project.ok(&["up"]);
    project.sql("create table kept as select 1 as one");
    change(&project, "first-password", "second-password");
    let plan = project.ok(&["plan"]);
    assert!(plan.stdout.contains("password"), "{}", plan.all());
    assert!(!plan.stdout.contains("second-password"), "{}", plan.all());
    project.ok(&["up"]);
    assert_eq!(project.sql("select one from kept"), "1");
    let old = project.run(&[
        "exec",
        "postgres.db",
        "--",
        "sh",
        "-c",
        "PGPASSWORD=first-password psql -h 127.0.0.1 -U db db -c 'select 1'",
    ]);
    assert_ne!(old.code, 0, "{}", old.all());
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
}

#[test]
fn a_secret_that_changed_is_taken_over() {
    let images = image::postgres();
    let project = database(
        &images,
        "password = \"${secret.db}\"\nsettings = { log_statement = \"all\", log_min_duration_statement = 0 }\n\n[secret.db]\nfile = \"password.txt\"",
    );
    project.write("password.txt", "first-secret\n");
    project.ok(&["up"]);
    project.sql("create table kept as select 1 as one");
    project.write("password.txt", "second-secret\n");
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("secret `db` changed"), "{}", up.all());
    let logs = project.ok(&["logs", "postgres.db"]);
    assert!(logs.stdout.contains("create table kept"), "{}", logs.all());
    for shown in [up.all(), logs.all()] {
        for secret in ["first-secret", "second-secret"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
    assert_eq!(project.sql("select one from kept"), "1");
}

#[test]
fn another_database_and_role_are_made_beside_the_old_and_named_as_the_reason() {
    let images = image::postgres();
    let project = database(&images, "database = \"one\"");
    project.ok(&["up"]);
    change(&project, "\"one\"", "\"two\"");
    let plan = project.ok(&["plan"]);
    for reason in [
        "database changed: `one` → `two`",
        "user changed: `one` → `two`",
    ] {
        assert!(plan.stdout.contains(reason), "{}", plan.all());
    }
    project.ok(&["up"]);
    assert_eq!(
        project.sql("select current_user || ' ' || current_database()"),
        "two two"
    );
    let again = project.ok(&["up"]);
    assert!(again.stderr.contains("Nothing to do"), "{}", again.all());
}

#[test]
fn extensions_and_settings_are_taken_up_by_a_server_with_data() {
    let images = image::postgres();
    let project = database(&images, "extensions = [\"pgcrypto\"]");
    project.ok(&["up"]);
    project.sql("create table kept as select 1 as one");
    assert_eq!(project.sql("select length(gen_random_bytes(4))"), "4");

    change(&project, "[\"pgcrypto\"]", "[\"pgcrypto\", \"hstore\"]");
    let plan = project.ok(&["plan"]);
    assert!(
        plan.stdout.contains("extensions.hstore added"),
        "{}",
        plan.all()
    );
    project.ok(&["up"]);
    assert_eq!(project.sql("select 'a=>1'::hstore -> 'a'"), "1");
    change(
        &project,
        "\"hstore\"]",
        "\"hstore\"]\nsettings = { log_statement = \"all\", work_mem = \"5MB\" }",
    );
    let plan = project.ok(&["plan"]);
    assert!(
        plan.stdout.contains("settings.work_mem added"),
        "{}",
        plan.all()
    );
    project.ok(&["up"]);
    assert_eq!(project.sql("show work_mem"), "5MB");
    assert_eq!(project.sql("select one from kept"), "1");

    change(&project, "\"hstore\"", "\"no_such_extension\"");
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    for part in [
        "create extension `no_such_extension`",
        "install its package",
    ] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
}

#[test]
fn a_setting_the_server_refuses_is_reported_with_its_log() {
    let images = image::postgres();
    let project = database(&images, "settings = { work_mem = \"much\" }");
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    for part in ["exited with code 1", "work_mem", "devenv.toml:4:1"] {
        assert!(up.stderr.contains(part), "{part} in {}", up.all());
    }
}

/// The only prepared data directory of this user.
fn entry(home: &Home) -> PathBuf {
    let dir = home.join("cache/devenv/pgdata");
    let entries: Vec<_> = fs::read_dir(&dir).unwrap().map(Result::unwrap).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].path().join("prepared")
}

#[test]
fn projects_share_a_prepared_directory_and_no_secret() {
    let images = image::postgres();
    let home = Home::new();
    let one = database(&images, "password = \"password-of-one\"");
    let two = database(&images, "password = \"password-of-two\"");
    let first = home.ok(&one, &["up", "--verbose"]);
    let prepared = fs::read(entry(&home)).unwrap();
    let written = fs::metadata(entry(&home)).unwrap().modified().unwrap();
    home.ok(&two, &["up"]);
    assert_eq!(
        fs::metadata(entry(&home)).unwrap().modified().unwrap(),
        written,
        "made once: {}",
        first.all()
    );

    // What is in it opens neither server, and neither password the other's.
    let head = prepared.split(|byte| *byte == b'\n').next().unwrap();
    let head: serde_json::Value = serde_json::from_slice(head).unwrap();
    let bootstrap = head["bootstrap_password"].as_str().unwrap();
    let login = |project: &Project, user: &str, password: &str| {
        let script = format!("PGPASSWORD={password} psql -h 127.0.0.1 -U {user} db -c 'select 1'");
        project
            .run(&["exec", "postgres.db", "--", "sh", "-c", &script])
            .code
    };
    for (project, own, other) in [
        (&one, "password-of-one", "password-of-two"),
        (&two, "password-of-two", "password-of-one"),
    ] {
        for user in ["db", "postgres"] {
            assert_eq!(login(project, user, own), 0);
            assert_ne!(login(project, user, other), 0);
            assert_ne!(login(project, user, bootstrap), 0);
        }
    }
    let system = |project: &Project| project.sql("select count(*) from pg_database");
    assert_eq!(system(&one), system(&two));
}

#[test]
fn a_damaged_prepared_directory_is_made_again() {
    let images = image::postgres();
    let home = Home::new();
    let project = database(&images, "");
    home.ok(&project, &["up"]);
    let entry = entry(&home);
    let mut bytes = fs::read(&entry).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&entry, &bytes).unwrap();
    home.ok(&project, &["down", "--volumes"]);
    home.ok(&project, &["up"]);
    assert_eq!(project.sql("select 1"), "1");
    assert_ne!(fs::read(&entry).unwrap(), bytes);
}

/// Runs a script on the stopped server's volume, mounted at `/data`.
fn on_volume(project: &Project, script: &'static str) {
    let busybox = image::busybox();
    let image = busybox.reference.clone();
    let volume = things_of(project)
        .into_iter()
        .find_map(|thing| thing.strip_prefix("volume ").map(str::to_owned))
        .expect("the volume is kept");
    image::on_engine(move |engine| async move {
        let body = ContainerCreateBody {
            image: Some(image),
            cmd: Some(["sh", "-c", script].map(str::to_owned).into()),
            host_config: Some(HostConfig {
                binds: Some(vec![format!("{volume}:/data")]),
                ..Default::default()
            }),
            ..Default::default()
        };
        let created = engine.create_container(None, body).await;
        let id = created.expect("a container").id;
        engine.start_container(&id, None).await.expect("started");
        let ended: Result<Vec<_>, _> = engine.wait_container(&id, None).try_collect().await;
        engine.remove_container(&id, None).await.expect("removed");
        ended.expect("the script succeeds");
    });
}

#[test]
fn an_unpacking_that_was_killed_is_done_again() {
    let images = image::postgres();
    let project = full_project(&images);
    project.ok(&["up"]);
    project.ok(&["down"]);
    // Killed in the middle: half of the files, and not yet under their name.
    on_volume(
        &project,
        "cd /data && mv data .new.old && mkdir -p .new/data && mv .new.old/PG_VERSION .new/data && rm -rf .new.old",
    );
    let up = project.ok(&["up"]);
    assert!(up.stderr.contains("Applied 1 migration"), "{}", up.all());
    assert_eq!(project.sql("select count(*) from users"), "0");
    project.ok(&["down"]);
    on_volume(&project, "test \"$(ls -A /data)\" = data");
}

#[test]
fn a_folder_that_holds_something_else_is_left_alone() {
    let images = image::postgres();
    let project = database(&images, "");
    project.ok(&["up"]);
    project.ok(&["down"]);
    on_volume(
        &project,
        "rm -rf /data/data/* && echo mine > /data/data/notes",
    );
    let up = project.run(&["up"]);
    assert_eq!(up.code, 1, "{}", up.all());
    assert!(
        up.stderr.contains("is no data directory of Postgres"),
        "{}",
        up.all()
    );
    project.ok(&["down"]);
    on_volume(&project, "test \"$(cat /data/data/notes)\" = mine");
}

#[test]
fn the_log_of_a_new_server_begins_without_failed_logins() {
    let images = image::postgres();
    let project = database(&images, "");
    project.ok(&["up"]);
    let log = project.ok(&["logs", "postgres.db"]).stdout;
    assert!(log.contains("ready to accept connections"), "{log}");
    assert!(!log.contains("authentication failed"), "{log}");
}

#[test]
fn psql_takes_arguments_and_passes_its_exit_code_through() {
    let images = image::postgres();
    let project = full_project(&images);
    let absent = project.run(&["psql"]);
    assert_eq!(absent.code, 3, "{}", absent.all());
    for part in ["`postgres.db` is not running", "devenv up"] {
        assert!(absent.stderr.contains(part), "{part} in {}", absent.all());
    }
    project.ok(&["up", "postgres.db"]);
    let one = project.ok(&[
        "psql",
        "--",
        "-tAc",
        "select current_user, current_database()",
    ]);
    assert_eq!(one.stdout, "web|web\n");
    let mut command = project.command(&["psql", "--database", "postgres.db", "--", "-tA"]);
    project.write("query.sql", "select 40 + 2;\n");
    command.stdin(fs::File::open(project.join("query.sql")).unwrap());
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "42\n");
    let failed = project.run(&["psql", "--", "-c", "select nonsense"]);
    assert_eq!(failed.code, 1, "{}", failed.all());
    assert_eq!(project.run(&["psql", "--database", "postgres.x"]).code, 2);
}
