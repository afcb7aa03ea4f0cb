//! How much of what programs print may be under way: who reads a program waits here while those who show its lines are behind.

use std::sync::Arc;

use tokio::sync::watch;

/// Bytes of lines that are sent and not yet shown.
const LIMIT: usize = 2 * 1024 * 1024;
/// Who waits goes on at this: to be woken for each line costs more than the line.
const REFILL: usize = LIMIT / 2;
/// What a line takes beside its text, about.
const LINE: usize = 512;

/// Shared by all steps of a run. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Room(Arc<watch::Sender<usize>>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Room {
    /// A place for a line of this many bytes, also when there is no room: nothing that was said is lost.
    pub fn take(&self, bytes: usize) -> Held {
        let bytes = bytes + LINE;
        self.0.send_if_modified(|used| {
            *used += bytes;
            // Nobody waits for less room.
            false
        });
        Held(Some(Arc::new(Place {
            room: self.clone(),
            bytes,
        })))
    }

    /// Returns at once while there is room, else once half of it is free again.
    pub async fn free(self) {
        // The sender is `self`, so it cannot have gone.
        let _ = self.0.subscribe().wait_for(|used| *used < LIMIT).await;
    }
}

/// The place of a record, held by it and all its copies.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(
    #[expect(dead_code, reason = "it is there to be dropped")] Option<Arc<Place>>,
);

#[derive(Debug)]
struct Place {
    room: Room,
    bytes: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.0.send_if_modified(|used| {
            let before = *used;
            *used -= self.bytes;
            before >= REFILL && *used < REFILL
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};

    use crate::{
        config::{StepId, StepKind},
        event::{Event, Events, StepEvents},
    };

    fn step(events: &Events, name: &str) -> StepEvents {
        events.of(&StepId::new(StepKind::Task, name))
    }

    /// Whatever else the test's task has had its turn for.
    fn is_waiting(told: &mut (impl Future<Output = ()> + Unpin)) -> bool {
        tokio::task::unconstrained(told).now_or_never().is_none()
    }

    /// Says lines until it has to wait; the future is that of the line it waits with.
    fn fill(step: &StepEvents) -> (usize, impl Future<Output = ()> + Send + Unpin + use<>) {
        let mut said = 0;
        loop {
            let mut told = Box::pin(step.output("a line"));
            said += 1;
            if is_waiting(&mut told) {
                return (said, told);
            }
        }
    }

    #[tokio::test]
    async fn who_is_ahead_waits_for_the_slowest_copy() {
        let (events, mut records) = Events::channel();
        let (said, mut told) = fill(&step(&events, "one"));
        assert_eq!(said, super::LIMIT.div_ceil("a line".len() + super::LINE));

        let mut copies = Vec::new();
        while let Ok(record) = records.try_recv() {
            copies.push(record.clone());
        }
        // The line that has to wait was sent at once.
        assert_eq!(copies.len(), said);
        assert!(is_waiting(&mut told), "the copies are not shown");
        copies.truncate(said / 3);
        told.await;
    }

    #[tokio::test]
    async fn all_steps_go_on_and_what_is_no_line_never_waits() {
        let (events, mut records) = Events::channel();
        let (said, first) = fill(&step(&events, "one"));
        let (also, second) = fill(&step(&events, "two"));
        assert_eq!(also, 1);
        step(&events, "two").notice("heard");
        drop(events);
        let waiting = [first.boxed(), second.boxed()];
        let mut waiting: FuturesUnordered<_> = waiting.into_iter().collect();
        let mut heard = 0;
        let took = async {
            while let Some(record) = records.recv().await {
                heard += usize::from(matches!(record.event, Event::Notice { .. }));
            }
        };
        let both = async { while waiting.next().await.is_some() {} };
        tokio::join!(took, both);
        assert_eq!((heard, said > 1), (1, true));
    }

    #[tokio::test]
    async fn nobody_waits_for_a_receiver_that_has_gone() {
        let (events, records) = Events::channel();
        let one = step(&events, "one");
        let (_, told) = fill(&one);
        drop(records);
        told.await;
        one.output(&"x".repeat(super::LIMIT)).await;
        one.output("more").await;
    }
}
