//! Ports of programs: chosen before they start, as they are told where to listen, and kept from others until they do.

use std::{
    cell::{LazyCell, RefCell},
    collections::{BTreeMap, HashMap},
};

use super::{
    Process,
    record::{Phase, Record},
};
use crate::{
    config::StepId,
    runtime::{
        RuntimeError, SpecPort, Started,
        ports::{self, Occupancy},
    },
    sys::net::{PortClaim, PortHolders, port_can_be_bound},
};

/// Ports chosen by this process, for what may not listen on them yet.
#[derive(Default)]
pub struct Chosen {
    /// For the next start of a step.
    pub reserved: BTreeMap<StepId, Started>,
    given: HashMap<u16, StepId>,
    /// Keeps other worktrees from them as long as this command runs.
    claims: HashMap<u16, PortClaim>,
}

impl Process {
    /// Ports of the step: those it runs with, those reserved before, else chosen now and kept from other steps.
    pub(super) fn ports(
        &self,
        step: &StepId,
        wanted: &[SpecPort],
        records: &[Record],
    ) -> Result<Started, RuntimeError> {
        let chosen = &mut *self.chosen();
        if let Some(known) = chosen.reserved.get(step) {
            return Ok(known.clone());
        }
        let (own, others): (Vec<_>, Vec<_>) = records
            .iter()
            .filter(|record| !matches!(record.phase, Phase::Exited { .. }))
            .partition(|record| record.step == *step);
        let own: Vec<u16> = own
            .iter()
            .flat_map(|own| own.ports.values().copied())
            .collect();
        let others = others
            .iter()
            .flat_map(|other| other.ports.values().map(|port| (*port, &other.step)));
        let starting = chosen.given.iter().map(|(port, step)| (*port, step));
        let starting = starting.filter(|(_, other)| *other != step);
        let taken: HashMap<u16, &StepId> = others.chain(starting).collect();
        let claims = RefCell::new(std::mem::take(&mut chosen.claims));
        let can_be_had = |port| {
            if claims.borrow().contains_key(&port) {
                return port_can_be_bound(port);
            }
            let claim = match port_can_be_bound(port) {
                true => PortClaim::of(port),
                false => None,
            };
            let is_claimed = claim.is_some();
            claims.borrow_mut().extend(claim.map(|claim| (port, claim)));
            is_claimed
        };
        // Read when the first is asked for.
        let holders = LazyCell::new(PortHolders::read);
        let occupancy = Occupancy {
            is_free: &|port| {
                !taken.contains_key(&port) && (own.contains(&port) || can_be_had(port))
            },
            holder: &|port| match (taken.get(&port), holders.of(port)) {
                (Some(step), _) => format!("`{step}`"),
                (None, Some(holder)) => holder.to_string(),
                (None, None) => "another process, or one that is about to start".to_owned(),
            },
        };
        let started = ports::choose(&self.identity.id, step, wanted, &occupancy);
        chosen.claims = claims.into_inner();
        let started = started?;
        let given = started.ports.values().map(|port| (*port, step.clone()));
        chosen.given.extend(given);
        chosen.reserved.insert(step.clone(), started.clone());
        Ok(started)
    }

    pub(super) fn chosen(&self) -> std::sync::MutexGuard<'_, Chosen> {
        self.chosen.lock().expect("no panic while the lock is held")
    }
}
