//! What happened to the subjects of runs that were over, and so were told of nothing.

use std::collections::HashSet;

use rekindle_core::event::{Author, Event};
use rekindle_core::funnel::OwedBy;
use rekindle_ports::Tx;
use rekindle_ports::ledger::RunRow;
use uuid::Uuid;

use crate::error::EngineResult;
use crate::ingest::effects::comes_back;

/// Those of the runs that would have ended since, had they been open: their customer came back, or
/// our side spoke where it owed the word. The caller holds the locks of their subjects.
pub(super) async fn outlived(tx: &mut dyn Tx, runs: Vec<&RunRow>) -> EngineResult<HashSet<Uuid>> {
    if runs.is_empty() {
        return Ok(HashSet::new());
    }
    let (of_conversations, of_customers): (Vec<&RunRow>, Vec<&RunRow>) =
        runs.iter().copied().partition(|run| run.conversation == Some(run.trigger.subject));
    let mut events = tx.conversation_events(&subjects(&of_conversations)).await?;
    events.extend(tx.customer_events(&subjects(&of_customers)).await?);
    let ended = |run: &&RunRow| {
        let mut own = events.iter().filter(|(subject, _)| *subject == run.trigger.subject);
        own.any(|(_, event)| ends(run, event))
    };
    Ok(runs.into_iter().filter(ended).map(|run| run.id).collect())
}

fn subjects(runs: &[&RunRow]) -> Vec<Uuid> {
    let mut subjects: Vec<Uuid> = runs.iter().map(|run| run.trigger.subject).collect();
    subjects.sort_unstable();
    subjects.dedup();
    subjects
}

/// Whether an event that came after a run began would have ended it.
fn ends(run: &RunRow, event: &Event) -> bool {
    let is_fresh = event.received_at > run.created_at
        && event.effective_at >= run.since
        && event.id != run.trigger.anchor;
    let is_an_end = if run.owed_by == OwedBy::Agent {
        event.author == Author::Agent && event.is_public_message()
    } else {
        comes_back(event) && !run.progress.outlasts_return
    };
    is_fresh && is_an_end
}
