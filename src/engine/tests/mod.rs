mod fake;
mod order;
mod runs;

use crate::config::{StepId, StepKind};

fn id(name: &str) -> StepId {
    StepId::new(StepKind::Task, name)
}
