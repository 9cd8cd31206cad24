//! Events that runs want to know of: the one that started them, and those that came while they wait.

use std::collections::HashMap;

use rekindle_core::event::Event;
use rekindle_core::sequence::Cause;
use rekindle_core::sequence::progress::Awaits;
use rekindle_ports::Tx;
use rekindle_ports::ledger::RunRow;
use uuid::Uuid;

use super::shelf::Shelf;
use crate::engine::Inner;
use crate::error::EngineResult;

/// What was heard. Nothing is read for runs that no event started and whose rules name none.
#[derive(Default)]
pub(super) struct Heard {
    events: HashMap<String, Event>,
    arrivals: HashMap<Uuid, Vec<Event>>,
}

impl Heard {
    /// What these runs want to know.
    pub async fn by(
        tx: &mut dyn Tx,
        inner: &Inner,
        shelf: &mut Shelf,
        runs: &[RunRow],
    ) -> EngineResult<Self> {
        let mut curious = Vec::new();
        for run in runs {
            let program = shelf.program_of(tx, &inner.programs, run).await?;
            if program.is_some_and(|program| program.reads_events()) {
                curious.push(run);
            }
        }
        let mut wanted: Vec<String> = curious.iter().flat_map(|run| heard(run)).cloned().collect();
        wanted.extend(curious.iter().map(|run| run.trigger.anchor.clone()));
        // Their messages can speak of the event.
        let by_events = runs.iter().filter(|run| run.trigger.cause == Cause::Event);
        wanted.extend(by_events.map(|run| run.trigger.anchor.clone()));
        wanted.sort_unstable();
        wanted.dedup();
        let events = tx.events_by_id(&wanted).await?;
        let events: HashMap<String, Event> =
            events.into_iter().map(|event| (event.id.clone(), event)).collect();
        let mut arrivals = HashMap::new();
        for run in curious {
            let mut came: Vec<Event> = heard(run).iter().filter_map(|id| events.get(id)).cloned().collect();
            came.sort_by_key(Event::order);
            arrivals.insert(run.id, came);
        }
        Ok(Self { events, arrivals })
    }

    /// The event that started a run, or from which the clock ran that did.
    pub fn anchor(&self, run: &RunRow) -> Option<&Event> {
        self.events.get(&run.trigger.anchor)
    }

    /// Events that came since a run waits for one, in order.
    pub fn since(&self, run: &RunRow) -> &[Event] {
        self.arrivals.get(&run.id).map_or(&[], Vec::as_slice)
    }
}

/// Ids of events that were committed while a run waits, in the commits that stored them.
fn heard(run: &RunRow) -> &[String] {
    match &run.progress.awaits {
        Some(Awaits::Rule { heard, .. }) => heard,
        _ => &[],
    }
}
