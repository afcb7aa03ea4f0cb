//! How long the program takes to start and end.

use std::collections::BTreeMap;

use super::{COMPOSE, DEVENV, Tools, ms};
use crate::{
    Error,
    measure::{Measurement, Side, Unit, turns},
    process,
};

pub async fn measure(tools: &Tools) -> Result<Measurement, Error> {
    let mut sides = vec![Side::new(DEVENV), Side::new(COMPOSE)];
    // The first rounds read the programs from the disk.
    let warm_up = 3;
    for (round, side) in turns(tools.rounds + warm_up, sides.len()) {
        let command = match sides[side].name {
            DEVENV => process::command(&tools.devenv, &["--version"]),
            _ => process::command(&tools.compose, &["version"]),
        };
        let taken = process::timed(command).await?;
        if round >= warm_up {
            sides[side].samples.push(ms(taken));
        }
    }
    Ok(Measurement {
        row: "version",
        what: "`--version`, from spawn to exit",
        unit: Unit::Ms,
        sides,
        steps: BTreeMap::new(),
    })
}
