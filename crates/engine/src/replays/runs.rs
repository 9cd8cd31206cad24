//! Runs that could not be worked on, and go on where they stood.

use std::collections::HashSet;

use rekindle_core::Timestamp;
use rekindle_ports::Tx;
use rekindle_ports::ledger::{EndReason, RunEvent, RunRow, RunState};
use uuid::Uuid;

use super::Tally;
use super::returns::outlived;
use crate::engine::Inner;
use crate::enroll::stages::{Bound, at_their_stage, standing};
use crate::error::EngineResult;
use crate::loops::locks::{Locked, lock_subjects};

/// Lets failed runs go on, under the locks of their subjects.
pub(super) async fn replay(
    tx: &mut dyn Tx,
    inner: &Inner,
    ids: &[String],
    now: Timestamp,
) -> EngineResult<Tally> {
    let keys: Vec<Uuid> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    let seen = tx.runs_by_id(&keys).await?;
    let subjects: Vec<Uuid> = seen.iter().flat_map(subjects_of).flatten().collect();
    let locked = lock_subjects(tx, subjects).await?;
    // Once more, under the locks.
    let runs = tx.runs_by_id(&keys).await?;
    let mut facts = Facts::of(tx, inner, locked, &runs).await?;
    let (mut reopened, mut lines) = (Vec::new(), Vec::new());
    for run in &runs {
        let detail = if let Some(why) = facts.refuse(run) {
            format!("not replayed: {why}")
        } else {
            facts.under_way.insert((run.sequence.clone(), run.trigger.subject));
            reopened.push(run.id);
            "it goes on where it stood".to_owned()
        };
        lines.push(RunEvent { run: run.id, at: now, kind: "replayed".into(), step: String::new(), detail });
    }
    let reopened = tx.reopen_runs(&reopened, now).await?;
    tx.log_run(&lines).await?;
    let replayed = reopened.len() as i64;
    Ok(Tally { replayed, skipped: ids.len() as i64 - replayed })
}

/// Everybody whom a run concerns.
pub(super) fn subjects_of(run: &RunRow) -> [Option<Uuid>; 3] {
    [Some(run.trigger.subject), run.conversation, run.customer]
}

/// Whether what a run is about was erased.
pub(super) fn is_erased(locked: &Locked, run: &RunRow) -> bool {
    let customer = locked.customer(run.customer).and_then(|row| row.erased_at);
    let conversation = locked.conversation(run.conversation).and_then(|row| row.erased_at);
    customer.or(conversation).is_some()
}

/// What decides whether runs may go on.
struct Facts {
    locked: Locked,
    /// Runs that would have ended by now.
    outlived: HashSet<Uuid>,
    /// Sequences and subjects of runs that are open.
    under_way: HashSet<(String, Uuid)>,
    /// Runs that are bound to a stage and whose journey is in it.
    there: HashSet<Uuid>,
}

impl Facts {
    async fn of(tx: &mut dyn Tx, inner: &Inner, locked: Locked, runs: &[RunRow]) -> EngineResult<Self> {
        let subjects: Vec<Uuid> = runs.iter().map(|run| run.trigger.subject).collect();
        let open = tx.open_runs(&subjects).await?;
        Ok(Self {
            locked,
            outlived: outlived(tx, runs.iter().collect()).await?,
            under_way: open.into_iter().map(|run| (run.sequence, run.trigger.subject)).collect(),
            there: in_their_stage(tx, inner, runs).await?,
        })
    }

    /// Why a run stays as it is; `None` for one that may go on.
    fn refuse(&self, run: &RunRow) -> Option<&'static str> {
        let trigger = &run.trigger;
        if run.state != RunState::Ended || run.end_reason != Some(EndReason::Failed) {
            Some("it is no failed run by now")
        } else if is_erased(&self.locked, run) {
            Some("the subject was erased")
        } else if self.under_way.contains(&(run.sequence.clone(), trigger.subject)) {
            Some("another run of the sequence is under way")
        } else if self.outlived.contains(&run.id) {
            Some("the customer came back, or our side spoke where it owed the word")
        } else if !trigger.stage.is_empty() && !self.there.contains(&run.id) {
            Some("the journey left the stage")
        } else {
            None
        }
    }
}

/// Ids of the runs that are bound to a stage and whose journey is in it.
async fn in_their_stage(tx: &mut dyn Tx, inner: &Inner, runs: &[RunRow]) -> EngineResult<HashSet<Uuid>> {
    let place = |run: &RunRow| (run.trigger.funnel.clone(), run.trigger.subject);
    let bound: Vec<&RunRow> = runs.iter().filter(|run| !run.trigger.stage.is_empty()).collect();
    let places = standing(tx, inner, bound.iter().map(|run| place(run)).collect()).await?;
    let bound: Vec<Bound<'_>> = bound
        .into_iter()
        .filter_map(|run| {
            let now = places.get(&place(run))?;
            Some(Bound { run, stage: Some(now.stage.as_str()), revision: now.revision })
        })
        .collect();
    at_their_stage(tx, &bound).await
}
