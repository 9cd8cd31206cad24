//! What the runs and deliveries of a batch have in common, read once for all of them.
//!
//! Nothing here is locked: those who send through one destination, or walk through one sequence,
//! do not wait for each other, and a verb that comes a moment later is seen at the next step.

use std::collections::HashMap;
use std::sync::Arc;

use rekindle_core::sequence::{Program, Sequence, SequenceState};
use rekindle_ports::Tx;
use rekindle_ports::ledger::RunRow;
use rekindle_ports::resources::{DestinationRow, RunChange, SequenceRow, WorkspaceRow};
use rekindle_ports::rows::RevisionRow;

use super::compose::latest;
use crate::error::EngineResult;
use crate::sequences::programs::Programs;

/// Rows that were read, each by what it was asked by; those that are missing too.
#[derive(Default)]
pub(crate) struct Shelf {
    workspace: Option<Arc<WorkspaceRow>>,
    destinations: HashMap<String, Option<DestinationRow>>,
    /// Newest revisions by funnel.
    latest: HashMap<String, Option<Arc<RevisionRow>>>,
    /// Sequences that are bound to a funnel.
    bound: HashMap<String, Vec<SequenceRow>>,
    /// Sequences that moved to another funnel.
    elsewhere: HashMap<String, Option<Standing>>,
    bodies: HashMap<(String, i32), Option<Arc<Sequence>>>,
    programs: HashMap<(String, i32), Option<Arc<Program>>>,
    /// What revisions say of runs, by sequence.
    changes: HashMap<String, Arc<Vec<RunChange>>>,
}

/// Where a sequence stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub state: SequenceState,
    /// Newest revision that says what becomes of the runs of those before it.
    pub changed_by: i32,
}

impl Standing {
    fn of(row: &SequenceRow) -> Self {
        Self { state: row.state, changed_by: row.changed_by }
    }
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
    pub async fn standing(&mut self, tx: &mut dyn Tx, run: &RunRow) -> EngineResult<Option<Standing>> {
        let funnel = &run.trigger.funnel;
        if !self.bound.contains_key(funnel) {
            self.bound.insert(funnel.clone(), tx.sequences_of(funnel).await?);
        }
        let mut bound = self.bound.get(funnel).into_iter().flatten();
        if let Some(row) = bound.find(|row| row.id == run.sequence) {
            return Ok(Some(Standing::of(row)));
        }
        if !self.elsewhere.contains_key(&run.sequence) {
            // Its row is locked only where it moved to another funnel.
            let row = tx.peek_sequence(&run.sequence).await?;
            self.elsewhere.insert(run.sequence.clone(), row.as_ref().map(Standing::of));
        }
        Ok(self.elsewhere.get(&run.sequence).copied().flatten())
    }

    /// What the state of a run's sequence is; `None` when it was deleted.
    pub async fn state(&mut self, tx: &mut dyn Tx, run: &RunRow) -> EngineResult<Option<SequenceState>> {
        Ok(self.standing(tx, run).await?.map(|standing| standing.state))
    }

    /// The steps that a run walks.
    pub async fn body(&mut self, tx: &mut dyn Tx, run: &RunRow) -> EngineResult<Option<Arc<Sequence>>> {
        self.revision(tx, &run.sequence, run.sequence_revision).await
    }

    /// What a revision of a sequence says.
    pub async fn revision(
        &mut self,
        tx: &mut dyn Tx,
        sequence: &str,
        revision: i32,
    ) -> EngineResult<Option<Arc<Sequence>>> {
        let key = (sequence.to_owned(), revision);
        if !self.bodies.contains_key(&key) {
            let body = tx.sequence_revision(sequence, revision).await?;
            self.bodies.insert(key.clone(), body.map(Arc::new));
        }
        Ok(self.bodies.get(&key).cloned().flatten())
    }

    /// The same, laid out; `None` too for one that this version cannot walk through.
    pub async fn program(
        &mut self,
        tx: &mut dyn Tx,
        programs: &Programs,
        sequence: &str,
        revision: i32,
    ) -> EngineResult<Option<Arc<Program>>> {
        let key = (sequence.to_owned(), revision);
        if let Some(known) = self.programs.get(&key) {
            return Ok(known.clone());
        }
        let body = self.revision(tx, sequence, revision).await?;
        let program = body.and_then(|body| programs.of(&body));
        self.programs.insert(key, program.clone());
        Ok(program)
    }

    /// The program that a run walks.
    pub async fn program_of(
        &mut self,
        tx: &mut dyn Tx,
        programs: &Programs,
        run: &RunRow,
    ) -> EngineResult<Option<Arc<Program>>> {
        self.program(tx, programs, &run.sequence, run.sequence_revision).await
    }

    /// What the revisions of a sequence say of runs, oldest first.
    pub async fn changes(&mut self, tx: &mut dyn Tx, sequence: &str) -> EngineResult<Arc<Vec<RunChange>>> {
        if let Some(known) = self.changes.get(sequence) {
            return Ok(Arc::clone(known));
        }
        let changes = Arc::new(tx.run_changes(sequence).await?);
        self.changes.insert(sequence.to_owned(), Arc::clone(&changes));
        Ok(changes)
    }
}
