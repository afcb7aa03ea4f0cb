//! A server in a container of its image.

use std::collections::BTreeMap;

use super::{STOP_GRACE, Server, cached, volume};
use crate::{
    config::{Postgres, Restart},
    database::{
        self, Target,
        pgdata::{self, Prepared},
    },
    event::{Explain, Fault, FaultClass},
    plan::image_step,
    runtime::{Exec, OneShot, Runtime, Spec, SpecFile, SpecMount},
    steps::{
        Cx,
        address::{self, Viewpoint},
        blocking, cancelled, ports,
    },
    sys::terminal::Stdio,
};

pub(super) async fn server(cx: &Cx<'_>, postgres: &Postgres) -> Result<Server, Fault> {
    let image = cx
        .output_of(&image_step(cx.config(), &postgres.image))
        .digest
        .clone();
    let prepared = match postgres.prepared {
        true => Some(prepare(cx, postgres, &image).await?),
        false => {
            check_entrypoint(cx, postgres, &image).await?;
            None
        }
    };
    let spec = spec(cx, postgres, image, prepared.as_ref()).await?;
    Ok(Server {
        spec,
        prepared,
        is_new: false,
    })
}

/// Sets the superuser's password inside the container, by the one whom the socket there trusts.
pub(super) async fn rescue(cx: &Cx<'_>, postgres: &Postgres, target: &Target) -> Result<(), Fault> {
    let rescue = database::rescue(&postgres.version, &target.password);
    let exec = Exec {
        argv: rescue.argv,
        env: BTreeMap::from([rescue.env]),
        user: Some(pgdata::USER.to_owned()),
        ..Exec::default()
    };
    let done = cx.steps.runtime()?.exec(cx.id(), exec, Stdio::null()).await;
    done.map(drop).map_err(|error| error.explain())
}

/// The prepared data directory for this image, made now if the cache has none.
async fn prepare(cx: &Cx<'_>, postgres: &Postgres, image: &str) -> Result<Prepared, Fault> {
    let cache = pgdata::Cache::of_user().map_err(|error| error.explain())?;
    let key = pgdata::key(image, &postgres.version, &postgres.initdb);
    if let Some(prepared) = cached(&cache, &key).await {
        return Ok(prepared);
    }
    cx.events
        .message("preparing a data directory (once per image)");
    let bootstrap = pgdata::bootstrap_password().map_err(|error| error.explain())?;
    let one_shot = OneShot {
        image: image.to_owned(),
        argv: vec![
            "/bin/sh".into(),
            "-c".into(),
            pgdata::init_script(&postgres.version, &postgres.initdb),
        ],
        env: BTreeMap::from([(pgdata::BOOTSTRAP_ENV.to_owned(), bootstrap.clone())]),
        user: Some("root".into()),
        fetch: Some(pgdata::MOUNT.to_owned()),
        ..OneShot::default()
    };
    let result = tokio::select! {
        result = cx.steps.runtime()?.one_shot(one_shot) => result.map_err(|error| error.explain())?,
        () = cx.cancel.cancelled() => return Err(cancelled(cx)),
    };
    if result.code == pgdata::NO_SUCH_VERSION {
        return Err(no_such_version(cx, postgres, &result.output));
    }
    let Some(archive) = result.archive.filter(|_| result.code == 0) else {
        let help = match has_entrypoint(cx, image).await? {
            true => {
                "is this an image with Postgres in the stated version? `prepared = false` uses the image's own entrypoint"
            }
            false => "name an image with Postgres in the stated version",
        };
        return Err(Fault::new(format!(
            "initdb failed with code {} in image `{}`",
            result.code, postgres.image
        ))
        .note(format!("its output:\n{}", result.output.trim_end()))
        .help(help));
    };
    blocking(move || cache.put(&key, &archive, &bootstrap)).await
}

fn no_such_version(cx: &Cx<'_>, postgres: &Postgres, found: &str) -> Fault {
    let Postgres { image, version, .. } = postgres;
    Fault::new(format!("image `{image}` has no Postgres {version}"))
        .class(FaultClass::Usage)
        .at_key(cx.key("version"))
        .note(found.trim_end())
        .help("set `version` to the one that the image has, or `image` to one with this version")
}

/// Without a prepared data directory it is the image's entrypoint that makes the data and drops root.
async fn check_entrypoint(cx: &Cx<'_>, postgres: &Postgres, image: &str) -> Result<(), Fault> {
    if has_entrypoint(cx, image).await? {
        return Ok(());
    }
    let fault = Fault::new(format!(
        "image `{}` has no entrypoint, which `prepared = false` leaves the data to",
        postgres.image
    ));
    Err(fault
        .class(FaultClass::Usage)
        .at_key(cx.key("prepared"))
        .help("leave `prepared` out: devenv then makes the data itself; or name an image with an entrypoint, such as the official `postgres`"))
}

async fn has_entrypoint(cx: &Cx<'_>, image: &str) -> Result<bool, Fault> {
    let image = cx.steps.images().await?.inspect(image).await;
    let image = image.map_err(|error| error.explain())?;
    let entrypoint = image
        .as_ref()
        .and_then(|image| image.config.get("Entrypoint")?.as_array());
    Ok(entrypoint.is_some_and(|words| !words.is_empty()))
}

async fn spec(
    cx: &Cx<'_>,
    postgres: &Postgres,
    image: String,
    prepared: Option<&Prepared>,
) -> Result<Spec, Fault> {
    let mut spec = Spec {
        step: cx.id().clone(),
        image,
        entrypoint: None,
        command: None,
        env: BTreeMap::new(),
        ports: cx.spec_ports(&ports::of_postgres(postgres)),
        mounts: vec![SpecMount::Volume {
            name: volume(cx.id()),
            target: pgdata::MOUNT.to_owned(),
        }],
        files: Vec::new(),
        tmpfs: BTreeMap::from([(pgdata::SOCKET_DIR.to_owned(), "mode=1777".to_owned())]),
        user: None,
        workdir: None,
        restart: Restart::UnlessStopped,
        stop_signal: Some("SIGINT".into()),
        stop_grace: STOP_GRACE,
        aliases: vec![address::alias(cx.id())],
        inputs: cx.known_inputs().inputs,
    };
    if let Some(prepared) = prepared {
        let file = |(number, part): (usize, &pgdata::Part)| SpecFile {
            path: format!("{}/{number}.tar", pgdata::ARCHIVES),
            mode: 0o600,
            packed: part.packed.clone(),
            size: part.size,
        };
        spec.files = prepared.parts.iter().enumerate().map(file).collect();
        spec.entrypoint = Some(pgdata::server_command(
            &postgres.version,
            &postgres.settings,
        ));
        spec.command = Some(Vec::new());
        spec.user = Some("root".into());
        return Ok(spec);
    }
    let secrets = cx.secrets([&postgres.password]).await?;
    let password = address::resolve(
        &postgres.password,
        cx.config(),
        &Viewpoint::Container,
        &secrets,
    )?;
    spec.env = BTreeMap::from([
        // As everywhere, init scripts run as the app's role and what they make is its own.
        ("POSTGRES_USER".into(), postgres.user.clone()),
        ("POSTGRES_PASSWORD".into(), password),
        ("POSTGRES_DB".into(), postgres.database.clone()),
        ("PGDATA".into(), pgdata::PGDATA.to_owned()),
        ("POSTGRES_INITDB_ARGS".into(), postgres.initdb.join(" ")),
    ]);
    let settings = postgres.settings.iter();
    spec.command = Some(
        ["postgres".to_owned()]
            .into_iter()
            .chain(settings.flat_map(|(name, value)| ["-c".into(), format!("{name}={value}")]))
            .collect(),
    );
    Ok(spec)
}
