//! Open runs that somebody ends, holds, or lets go: one, or all of a sequence or a subject.

use std::slice;
use std::sync::Arc;

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::Tx;
use rekindle_ports::ledger::{EndReason, LedgerFilter, RunEvent, RunRow, RunState};
use uuid::Uuid;

use super::ending::end;
use super::{LedgerQuery, RunView, existing, over, views};
use crate::engine::Engine;
use crate::error::EngineResult;
use crate::loops::locks::lock_subjects;

/// Runs changed in one transaction: their subjects are locked meanwhile.
const BATCH: u32 = 200;

/// The place in a list of runs after which it goes on.
type Cursor = (Timestamp, String);

/// What is done with open runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunChange {
    /// They end, and what they have planned is cancelled.
    End(EndReason),
    /// They are held where they are.
    Pause,
    /// Those that are held go on.
    Resume,
}

impl Engine {
    /// Cancels a run and what it has planned, holds it, or lets it go on; a message that is being sent
    /// cannot be called back. What is so already stays as it is.
    ///
    /// # Errors
    /// `RunNotCancellable` when it is over, unless it was cancelled and is to be.
    pub async fn change_run(&self, scope: Scope, id: Uuid, change: RunChange) -> EngineResult<RunView> {
        let inner = Arc::clone(&self.inner);
        let view = self
            .write(scope, move |tx, now| {
                let inner = Arc::clone(&inner);
                Box::pin(async move {
                    let seen = existing(tx, id).await?;
                    lock_subjects(tx, [Some(seen.trigger.subject), seen.customer].into_iter().flatten())
                        .await?;
                    // Once more, under the lock.
                    let row = existing(tx, id).await?;
                    match row.state {
                        RunState::Running => {
                            apply(tx, slice::from_ref(&row), change, now).await?;
                        }
                        RunState::Cancelled if change == RunChange::End(EndReason::Cancelled) => {}
                        state => return Err(over(state)),
                    }
                    let row = existing(tx, id).await?;
                    views::of_run(tx, &inner.programs, row).await
                })
            })
            .await?;
        self.ring();
        Ok(view)
    }

    /// Changes all open runs that pass, batch by batch; how many that were.
    pub async fn change_runs(
        &self,
        scope: Scope,
        query: LedgerQuery,
        change: RunChange,
    ) -> EngineResult<u64> {
        let engine = self.clone();
        self.detached(async move {
            let asked = query.clone();
            let filter = engine
                .write(scope, move |tx, _| {
                    let asked = asked.clone();
                    Box::pin(async move { asked.resolve(tx).await })
                })
                .await?;
            let Some(filter) = filter else {
                return Ok(0);
            };
            let changed = engine.change_open(scope, filter, None, change).await?;
            engine.ring();
            Ok(changed)
        })
        .await
    }

    /// Ends the open runs of a sequence (those that a stage started, if one is named); how many.
    pub(crate) async fn end_runs_of(
        &self,
        scope: Scope,
        sequence: &str,
        stage: Option<&str>,
        reason: EndReason,
    ) -> EngineResult<u64> {
        let filter = LedgerFilter { sequence: Some(sequence.to_owned()), ..LedgerFilter::default() };
        self.change_open(scope, filter, stage, RunChange::End(reason)).await
    }

    /// Changes the open runs that pass (those that a stage started, if one is named), batch by batch.
    async fn change_open(
        &self,
        scope: Scope,
        filter: LedgerFilter,
        stage: Option<&str>,
        change: RunChange,
    ) -> EngineResult<u64> {
        let stage = stage.map(str::to_owned);
        let mut filter = LedgerFilter { run_states: vec![RunState::Running], ..filter };
        let mut changed = 0;
        loop {
            let (asked, stage) = (filter.clone(), stage.clone());
            let (more, next) = self
                .write(scope, move |tx, now| {
                    let (asked, stage) = (asked.clone(), stage.clone());
                    Box::pin(async move { page(tx, &asked, stage.as_deref(), change, now).await })
                })
                .await?;
            changed += more;
            match next {
                Some(next) => filter.before = Some(next),
                None => return Ok(changed),
            }
        }
    }
}

/// Changes one page of runs; how many, and where the next page begins.
async fn page(
    tx: &mut dyn Tx,
    filter: &LedgerFilter,
    stage: Option<&str>,
    change: RunChange,
    now: Timestamp,
) -> EngineResult<(u64, Option<Cursor>)> {
    let page = tx.runs(filter, BATCH).await?;
    let next = page.last().filter(|_| page.len() == BATCH as usize);
    let next = next.map(|run| (run.created_at, run.id.to_string()));
    let concerned: Vec<&RunRow> =
        page.iter().filter(|run| stage.is_none_or(|stage| run.trigger.stage == stage)).collect();
    let subjects = concerned.iter().flat_map(|run| [Some(run.trigger.subject), run.customer]);
    let subjects: Vec<Uuid> = subjects.flatten().collect();
    lock_subjects(tx, subjects).await?;
    let subjects: Vec<Uuid> = concerned.iter().map(|run| run.trigger.subject).collect();
    // Under the locks: those that went on or ended meanwhile are left alone.
    let open = tx.open_runs(&subjects).await?;
    let is_concerned = |open: &RunRow| concerned.iter().any(|run| run.id == open.id);
    let open: Vec<RunRow> = open.into_iter().filter(is_concerned).collect();
    Ok((apply(tx, &open, change, now).await?, next))
}

/// Changes open runs, under the locks of their subjects; how many that concerned.
async fn apply(tx: &mut dyn Tx, runs: &[RunRow], change: RunChange, now: Timestamp) -> EngineResult<u64> {
    let ids: Vec<Uuid> = runs.iter().map(|run| run.id).collect();
    let (changed, kind, detail) = match change {
        RunChange::End(reason) => {
            let ends: Vec<(Uuid, EndReason)> = ids.iter().map(|run| (*run, reason)).collect();
            end(tx, &ends, now).await?;
            return Ok(runs.len() as u64);
        }
        RunChange::Pause => (tx.pause_runs(&ids, now).await?, "paused", "somebody holds it"),
        RunChange::Resume => {
            // One that was held before its beginning begins when that was planned, and no earlier.
            let at = |run: &RunRow| run.progress.begins_at.map_or(now, |begins_at| begins_at.max(now));
            let starts: Vec<(Uuid, Timestamp)> = runs.iter().map(|run| (run.id, at(run))).collect();
            (tx.resume_runs(&starts).await?, "resumed", "somebody let it go on")
        }
    };
    let line = |run: &Uuid| RunEvent {
        run: *run,
        at: now,
        kind: kind.into(),
        step: String::new(),
        detail: detail.into(),
    };
    tx.log_run(&changed.iter().map(line).collect::<Vec<_>>()).await?;
    Ok(changed.len() as u64)
}
