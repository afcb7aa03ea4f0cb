//! From no data to an answer over HTTP.
//!
//! It is asked for once the command has returned. Asked before the container has its address, the kernel takes the neighbour for
//! unreachable and holds every connection to it for most of a second: that would be measured, on both sides.

use std::{collections::BTreeMap, time::Instant};

use super::{COMPOSE, DEVENV, Tools, ms, progress};
use crate::{
    Error, http,
    measure::{Measurement, Side, Unit, median, turns},
    sample::{READY, Sample},
    scene::Scene,
};

pub async fn measure(tools: &Tools, scene: &Scene) -> Result<Measurement, Error> {
    let sample = Sample::prepare(tools, scene).await?;
    let mut sides = vec![Side::new(DEVENV), Side::new(COMPOSE)];
    let mut returned = Side::new("devenv, `up` returned");
    let mut steps: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    sample.devenv.remove().await?;
    // The first round fills caches, such as the prepared data directory, and is not counted.
    for (round, side) in turns(tools.rounds + 1, sides.len()) {
        let started = Instant::now();
        let answered = if sides[side].name == DEVENV {
            let up = sample.devenv.up_with_events().await?;
            let answered = http::answers(sample.devenv_port, READY).await?;
            sample.devenv.remove().await?;
            if round > 0 {
                returned.samples.push(ms(up.finished - started));
                for (step, ms) in up.steps {
                    steps.entry(step).or_default().push(ms);
                }
            }
            answered
        } else {
            sample.compose.up().await?;
            let answered = http::answers(sample.compose_port, READY).await?;
            sample.compose.down().await?;
            answered
        };
        let taken = ms(answered - started);
        progress("cold", round, sides[side].name, taken);
        if round > 0 {
            sides[side].samples.push(taken);
        }
    }
    sides.push(returned);
    Ok(Measurement {
        row: "cold",
        what: "the sample from no data, images and app built, to the first answer over HTTP",
        unit: Unit::Ms,
        sides,
        steps: steps
            .into_iter()
            .map(|(step, samples)| (step, median(&samples)))
            .collect(),
    })
}
