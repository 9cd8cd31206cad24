//! Events that runs want to know of: the one that started them, and those that came since they wait.

use std::collections::HashMap;

use rekindle_core::event::Event;
use rekindle_core::sequence::progress::Awaits;
use rekindle_ports::Tx;
use rekindle_ports::ledger::RunRow;
use uuid::Uuid;

use super::shelf::Shelf;
use crate::engine::Inner;
use crate::error::EngineResult;

/// What was heard, by run. Nothing is read for runs whose rules name no event.
#[derive(Default)]
pub(super) struct Heard {
    anchors: HashMap<Uuid, Event>,
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
            let body = shelf.body(tx, run).await?;
            let program = body.and_then(|body| inner.programs.of(&body));
            if program.is_some_and(|program| program.reads_events()) {
                curious.push(run);
            }
        }
        let mut heard = Self::default();
        if curious.is_empty() {
            return Ok(heard);
        }
        let (of_conversations, of_customers): (Vec<&RunRow>, Vec<&RunRow>) =
            curious.iter().partition(|run| run.conversation.is_some());
        let keys = |runs: &[&RunRow]| runs.iter().map(|run| run.trigger.subject).collect::<Vec<_>>();
        let mut streams: HashMap<Uuid, Vec<Event>> = HashMap::new();
        for (subject, event) in tx.conversation_events(&keys(&of_conversations)).await? {
            streams.entry(subject).or_default().push(event);
        }
        for (subject, event) in tx.customer_events(&keys(&of_customers)).await? {
            streams.entry(subject).or_default().push(event);
        }
        for run in curious {
            if let Some(stream) = streams.get(&run.trigger.subject) {
                heard.note(run, stream);
            }
        }
        Ok(heard)
    }

    fn note(&mut self, run: &RunRow, stream: &[Event]) {
        let anchor = stream.iter().find(|event| event.id == run.trigger.anchor);
        if let Some(anchor) = anchor {
            self.anchors.insert(run.id, anchor.clone());
        }
        if let Some(Awaits::Rule { since, .. }) = &run.progress.awaits {
            let came = |event: &&Event| event.received_at >= *since && event.id != run.trigger.anchor;
            self.arrivals.insert(run.id, stream.iter().filter(came).cloned().collect());
        }
    }

    /// The event from which the clock ran that started a run.
    pub fn anchor(&self, run: &RunRow) -> Option<&Event> {
        self.anchors.get(&run.id)
    }

    /// Events that came since a run waits for one, in order.
    pub fn since(&self, run: &RunRow) -> &[Event] {
        self.arrivals.get(&run.id).map_or(&[], Vec::as_slice)
    }
}
