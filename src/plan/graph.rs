//! The order of steps: cycles and topological order.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::StepId;

/// Edges from a step to the steps it needs.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub needs: BTreeMap<StepId, BTreeSet<StepId>>,
}

/// Steps that need each other, in order; the first is repeated at the end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("steps need each other: {}", path.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" → "))]
pub struct CycleError {
    pub path: Vec<StepId>,
}

impl Graph {
    /// Every step after all it needs; ties in id order, so the same graph gives the same order.
    pub fn order(&self) -> Result<Vec<StepId>, CycleError> {
        let mut order = Vec::new();
        let mut marks = BTreeMap::new();
        for id in self.needs.keys() {
            self.visit(id, &mut Vec::new(), &mut marks, &mut order)?;
        }
        Ok(order)
    }

    fn visit(
        &self,
        id: &StepId,
        path: &mut Vec<StepId>,
        marks: &mut BTreeMap<StepId, Mark>,
        order: &mut Vec<StepId>,
    ) -> Result<(), CycleError> {
        match marks.get(id) {
            Some(Mark::Done) => return Ok(()),
            Some(Mark::Open) => {
                let start = path.iter().position(|p| p == id).unwrap_or(0);
                let mut path = path[start..].to_vec();
                path.push(id.clone());
                return Err(CycleError { path });
            }
            None => {}
        }
        marks.insert(id.clone(), Mark::Open);
        path.push(id.clone());
        for need in self.needs.get(id).into_iter().flatten() {
            self.visit(need, path, marks, order)?;
        }
        path.pop();
        marks.insert(id.clone(), Mark::Done);
        order.push(id.clone());
        Ok(())
    }

    /// The given steps and everything they need, directly or not.
    pub fn closure(&self, goals: impl IntoIterator<Item = StepId>) -> BTreeSet<StepId> {
        let mut seen = BTreeSet::new();
        let mut open: Vec<_> = goals.into_iter().collect();
        while let Some(id) = open.pop() {
            if seen.insert(id.clone()) {
                open.extend(self.needs.get(&id).into_iter().flatten().cloned());
            }
        }
        seen
    }
}

#[derive(Clone, Copy)]
enum Mark {
    Open,
    Done,
}
