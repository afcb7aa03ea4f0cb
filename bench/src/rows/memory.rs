//! Peak resident memory of the tool itself while it brings the sample up from no data.

use std::collections::BTreeMap;

use super::{COMPOSE, DEVENV, Tools, progress};
use crate::{
    Error,
    measure::{Measurement, Side, Unit, turns},
    sample::Sample,
    scene::Scene,
};

pub async fn measure(tools: &Tools, scene: &Scene) -> Result<Measurement, Error> {
    let sample = Sample::prepare(tools, scene).await?;
    sample.devenv.remove().await?;
    let mut sides = vec![Side::new(DEVENV), Side::new(COMPOSE)];
    for (round, side) in turns(tools.rounds, sides.len()) {
        let bytes = if sides[side].name == DEVENV {
            let bytes = sample.devenv.peak_memory_of_up().await?;
            sample.devenv.remove().await?;
            bytes
        } else {
            let bytes = sample.compose.peak_memory_of_up().await?;
            sample.compose.down().await?;
            bytes
        };
        let mb = bytes as f64 / 1e6;
        progress("memory", round, sides[side].name, mb);
        sides[side].samples.push(mb);
    }
    Ok(Measurement {
        row: "memory",
        what: "peak resident memory of `up` of the sample from no data",
        unit: Unit::Mb,
        sides,
        steps: BTreeMap::new(),
    })
}
