//! `up` when everything is as wanted.

use std::collections::BTreeMap;

use super::{COMPOSE, DEVENV, Tools, ms, progress};
use crate::{
    Error,
    measure::{Measurement, Side, Unit, turns},
    sample::Sample,
    scene::Scene,
};

pub async fn measure(tools: &Tools, scene: &Scene) -> Result<Measurement, Error> {
    let sample = Sample::prepare(tools, scene).await?;
    sample.devenv.up().await?;
    sample.compose.up_and_wait().await?;
    let mut sides = vec![Side::new(DEVENV), Side::new(COMPOSE)];
    for (round, side) in turns(tools.rounds, sides.len()) {
        let taken = match sides[side].name {
            DEVENV => sample.devenv.up().await?,
            _ => sample.compose.up_and_wait().await?,
        };
        progress("noop", round, sides[side].name, ms(taken));
        sides[side].samples.push(ms(taken));
    }
    Ok(Measurement {
        row: "noop",
        what: "`up` of the sample with nothing to do, until it returns",
        unit: Unit::Ms,
        sides,
        steps: BTreeMap::new(),
    })
}
