//! Many plain services from nothing.

use std::{collections::BTreeMap, fmt::Write, fs, os::unix::fs::symlink, path::Path};

use serde_json::json;

use super::{COMPOSE, DEVENV, Tools, ms, progress};
use crate::{
    Error,
    compose::Compose,
    devenv::{Devenv, Runtime},
    engine,
    measure::{Measurement, Side, Unit, turns},
    process,
    scene::{Leftover, Scene, prefix},
};

const SERVICES: usize = 30;
const ENGINE: &str = "engine API, 16 in parallel";

pub async fn measure(tools: &Tools, scene: &Scene) -> Result<Measurement, Error> {
    let folder = scene.folder()?;
    let image = import_image(&folder, scene).await?;
    let devenv = devenv_project(tools, &folder, &image, scene)?;
    let compose = compose_project(tools, &folder, &image, scene)?;

    let mut sides = vec![Side::new(DEVENV), Side::new(COMPOSE), Side::new(ENGINE)];
    for (round, side) in turns(tools.rounds + 1, sides.len()) {
        let taken = match sides[side].name {
            DEVENV => {
                let taken = devenv.up().await?;
                devenv.remove().await?;
                taken
            }
            COMPOSE => {
                let taken = compose.up().await?;
                compose.down().await?;
                taken
            }
            _ => {
                // A name of its own: see `engine::remove`.
                let bare = format!("{}-bare-{round}", prefix());
                scene.will_leave(Leftover::Engine(bare.clone()));
                let taken = engine::start(&bare, &image, SERVICES).await?;
                engine::remove(&bare).await?;
                taken
            }
        };
        progress("services30", round, sides[side].name, ms(taken));
        if round > 0 {
            sides[side].samples.push(ms(taken));
        }
    }
    Ok(Measurement {
        row: "services30",
        what: "30 services without probes from nothing, until `up` returns",
        unit: Unit::Ms,
        sides,
        steps: BTreeMap::new(),
    })
}

/// An image of nothing but a static busybox that sleeps.
async fn import_image(folder: &Path, scene: &Scene) -> Result<String, Error> {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| Path::new(path).is_file())
        .ok_or("no busybox; `apt-get install busybox-static`")?;
    let bin = folder.join("root/bin");
    fs::create_dir_all(&bin)?;
    fs::copy(busybox, bin.join("busybox"))?;
    symlink("busybox", bin.join("sleep"))?;
    let archive = folder.join("root.tar");
    let (root, archive) = (folder.join("root"), archive.to_string_lossy());
    let args = ["-C", &root.to_string_lossy(), "-cf", &archive, "."];
    process::output(process::command(Path::new("tar"), &args)).await?;

    let image = format!("{}-sleep:run", prefix());
    scene.will_leave(Leftover::Image(image.clone()));
    let entrypoint = r#"ENTRYPOINT ["/bin/sleep", "infinity"]"#;
    let args = ["import", "--change", entrypoint, &archive, &image];
    process::output(process::command(Path::new("docker"), &args)).await?;
    Ok(image)
}

fn devenv_project(
    tools: &Tools,
    folder: &Path,
    image: &str,
    scene: &Scene,
) -> Result<Devenv, Error> {
    let mut config = "[project]\nname = \"services\"\n".to_owned();
    for at in 0..SERVICES {
        write!(
            config,
            "\n[service.s{at}]\nimage = \"{image}\"\nstop_grace = \"0s\"\n"
        )?;
    }
    let project = folder.join("services");
    fs::create_dir_all(&project)?;
    fs::write(project.join("devenv.toml"), config)?;
    Ok(Devenv::new(&tools.devenv, &project, Runtime::Docker, scene))
}

fn compose_project(
    tools: &Tools,
    folder: &Path,
    image: &str,
    scene: &Scene,
) -> Result<Compose, Error> {
    let service = json!({ "image": image, "stop_grace_period": "0s" });
    let services: serde_json::Map<_, _> = (0..SERVICES)
        .map(|at| (format!("s{at}"), service.clone()))
        .collect();
    Compose::new(
        &tools.compose,
        folder,
        &json!({ "services": services }),
        scene,
    )
}
