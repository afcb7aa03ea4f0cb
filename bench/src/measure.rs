//! Samples, medians, ratios, and how they are shown.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// One row: the same thing done by several sides.
#[derive(Debug, Serialize)]
pub struct Measurement {
    pub row: &'static str,
    /// What one sample is.
    pub what: &'static str,
    pub unit: Unit,
    /// The first is devenv.
    pub sides: Vec<Side>,
    /// Where devenv's time goes: step → median in milliseconds. Steps overlap.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    Ms,
    Mb,
    Times,
}

#[derive(Debug, Serialize)]
pub struct Side {
    pub name: &'static str,
    pub samples: Vec<f64>,
}

impl Side {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            samples: Vec::new(),
        }
    }

    pub fn median(&self) -> f64 {
        median(&self.samples)
    }

    /// `None` where there are too few samples to say.
    pub fn p95(&self) -> Option<f64> {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() * 95).div_ceil(100).checked_sub(1)?;
        (sorted.len() >= 40).then(|| sorted[at])
    }
}

/// 0 when there are none.
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => 0.0,
        (len, middle) if len % 2 == 1 => sorted[middle],
        (_, middle) => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// Which side is when: in every round each side once, the order turned by one each round.
pub fn turns(rounds: usize, sides: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rounds).flat_map(move |round| (0..sides).map(move |at| (round, (round + at) % sides)))
}

impl Measurement {
    /// devenv's median by the side's.
    fn ratio(&self, side: &Side) -> f64 {
        self.sides[0].median() / side.median()
    }

    pub fn json(&self) -> serde_json::Value {
        let mut value = serde_json::to_value(self).expect("plain data");
        for (side, shown) in self
            .sides
            .iter()
            .zip(value["sides"].as_array_mut().expect("a list"))
        {
            shown["median"] = side.median().into();
            shown["p95"] = side.p95().into();
            shown["devenv_ratio"] = self.ratio(side).into();
        }
        value
    }
}

impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.unit {
            Unit::Ms => "ms",
            Unit::Mb => "MB",
            Unit::Times => "times",
        };
        let rounds = self
            .sides
            .iter()
            .map(|side| side.samples.len())
            .max()
            .unwrap_or(0);
        writeln!(f, "{}: {}; median of {rounds} rounds", self.row, self.what)?;
        let width = self
            .sides
            .iter()
            .map(|side| side.name.len())
            .max()
            .unwrap_or(0);
        for side in &self.sides {
            let lowest = side.samples.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = side.samples.iter().copied().fold(0.0, f64::max);
            write!(
                f,
                "  {:width$}  {:9.1} {unit}  ({lowest:.1} to {highest:.1})",
                side.name,
                side.median()
            )?;
            if let Some(p95) = side.p95() {
                write!(f, "  p95 {p95:.1}")?;
            }
            // Nothing can be a part of nothing.
            if side.name != self.sides[0].name && side.median() > 0.0 {
                write!(
                    f,
                    "  {} is {:.2} of it",
                    self.sides[0].name,
                    self.ratio(side)
                )?;
            }
            writeln!(f)?;
        }
        let width = self.steps.keys().map(String::len).max().unwrap_or(0);
        for (step, ms) in &self.steps {
            let share = 100.0 * ms / self.sides[0].median();
            writeln!(f, "    {step:width$}  {ms:9.1} ms  {share:3.0} %")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn the_95th_percentile_needs_many_samples() {
        let side = |count: u32| Side {
            name: "devenv",
            samples: (1..=count).rev().map(f64::from).collect(),
        };
        assert_eq!(side(100).p95(), Some(95.0));
        assert_eq!(side(40).p95(), Some(38.0));
        assert_eq!(side(39).p95(), None);
        assert_eq!(side(0).p95(), None);
    }

    #[test]
    fn every_side_has_its_turn_first() {
        let turns: Vec<_> = turns(3, 2).collect();
        assert_eq!(turns, [(0, 0), (0, 1), (1, 1), (1, 0), (2, 0), (2, 1)]);
    }

    #[test]
    fn shows_medians_and_ratios() {
        let measurement = Measurement {
            row: "noop",
            what: "`up` with nothing to do",
            unit: Unit::Ms,
            sides: vec![
                Side {
                    name: "devenv",
                    samples: vec![50.0, 40.0, 60.0],
                },
                Side {
                    name: "docker compose",
                    samples: vec![500.0, 400.0, 600.0],
                },
            ],
            steps: BTreeMap::from([("app.hello".into(), 12.5)]),
        };
        assert_eq!(
            measurement.to_string(),
            "noop: `up` with nothing to do; median of 3 rounds\n\
             \x20 devenv               50.0 ms  (40.0 to 60.0)\n\
             \x20 docker compose      500.0 ms  (400.0 to 600.0)  devenv is 0.10 of it\n\
             \x20   app.hello       12.5 ms   25 %\n"
        );
        let json = measurement.json();
        assert_eq!(json["sides"][1]["devenv_ratio"], 0.1);
        assert_eq!(json["sides"][0]["median"], 50.0);
    }

    #[test]
    fn a_peer_of_nothing_has_no_ratio() {
        let side = |name, sample| Side {
            name,
            samples: vec![sample],
        };
        let measurement = Measurement {
            row: "process-idle",
            what: "context switches",
            unit: Unit::Times,
            sides: vec![side("devenv", 1.0), side("peer", 0.0)],
            steps: BTreeMap::new(),
        };
        assert_eq!(
            measurement.to_string(),
            "process-idle: context switches; median of 1 rounds\n\
             \x20 devenv        1.0 times  (1.0 to 1.0)\n\
             \x20 peer          0.0 times  (0.0 to 0.0)\n"
        );
        assert!(measurement.json()["sides"][1]["devenv_ratio"].is_null());
    }
}
