//! What the runs and deliveries of a batch have in common, read once for all of them.
//!
//! Nothing here is locked: those who send through one destination, or walk through one sequence,
//! do not wait for each other, and a verb that comes a moment later is seen at the next step.

use std::collections::HashMap;
use std::sync::Arc;

use rekindle_core::sequence::{Sequence, SequenceState};
use rekindle_ports::Tx;
use rekindle_ports::ledger::RunRow;
use rekindle_ports::resources::{DestinationRow, SequenceRow, WorkspaceRow};
use rekindle_ports::rows::RevisionRow;

use super::compose::latest;
use crate::error::EngineResult;

/// Rows that were read, each by what it was asked by; those that are missing too.
#[derive(Default)]
pub(super) struct Shelf {
    workspace: Option<Arc<WorkspaceRow>>,
    destinations: HashMap<String, Option<DestinationRow>>,
    /// Newest revisions by funnel.
    latest: HashMap<String, Option<Arc<RevisionRow>>>,
    /// Sequences that are bound to a funnel.
    bound: HashMap<String, Vec<SequenceRow>>,
    bodies: HashMap<(String, i32), Option<Arc<Sequence>>>,
}

impl Shelf {
    /// The workspace.
    pub async fn workspace(&mut self, tx: &mut dyn Tx) -> EngineResult<Arc<WorkspaceRow>> {
        if let Some(known) = &self.workspace {
            return Ok(Arc::clone(known));
        }
        let row = Arc::new(tx.workspace().await?);
        self.workspace = Some(Arc::clone(&row));
        Ok(row)
    }

    /// A destination.
    pub async fn destination(&mut self, tx: &mut dyn Tx, id: &str) -> EngineResult<Option<DestinationRow>> {
        if !self.destinations.contains_key(id) {
            self.destinations.insert(id.to_owned(), tx.peek_destination(id).await?);
        }
        Ok(self.destinations.get(id).cloned().flatten())
    }

    /// The newest revision of a funnel.
    pub async fn latest(&mut self, tx: &mut dyn Tx, funnel: &str) -> EngineResult<Option<Arc<RevisionRow>>> {
        if !self.latest.contains_key(funnel) {
            self.latest.insert(funnel.to_owned(), latest(tx, funnel).await?.map(Arc::new));
        }
        Ok(self.latest.get(funnel).cloned().flatten())
    }

    /// Where a run's sequence stands; `None` when it was deleted.
    pub async fn state(&mut self, tx: &mut dyn Tx, run: &RunRow) -> EngineResult<Option<SequenceState>> {
        let funnel = &run.trigger.funnel;
        if !self.bound.contains_key(funnel) {
            self.bound.insert(funnel.clone(), tx.sequences_of(funnel).await?);
        }
        let mut bound = self.bound.get(funnel).into_iter().flatten();
        if let Some(row) = bound.find(|row| row.id == run.sequence) {
            return Ok(Some(row.state));
        }
        // Its row is locked only where it moved to another funnel.
        Ok(tx.sequence(&run.sequence).await?.map(|row| row.state))
    }

    /// The steps that a run walks.
    pub async fn body(&mut self, tx: &mut dyn Tx, run: &RunRow) -> EngineResult<Option<Arc<Sequence>>> {
        let key = (run.sequence.clone(), run.sequence_revision);
        if !self.bodies.contains_key(&key) {
            let body = tx.sequence_revision(&run.sequence, run.sequence_revision).await?;
            self.bodies.insert(key.clone(), body.map(Arc::new));
        }
        Ok(self.bodies.get(&key).cloned().flatten())
    }
}
