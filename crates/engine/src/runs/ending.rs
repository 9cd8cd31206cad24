//! Ending runs before their last step.

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::Tx;
use rekindle_ports::ledger::{EndReason, LedgerFilter, RunEvent, RunRow, RunState};
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::EngineResult;
use crate::loops::locks::lock_subjects;

/// Runs ended in one transaction: their subjects are locked meanwhile.
const BATCH: u32 = 200;

/// The place in a list of runs after which it goes on.
type Cursor = (Timestamp, String);

/// Ends runs, and says so in their ledgers. The caller holds the locks of their subjects.
pub(crate) async fn end(tx: &mut dyn Tx, runs: &[(Uuid, EndReason)], now: Timestamp) -> EngineResult<()> {
    if runs.is_empty() {
        return Ok(());
    }
    tx.end_runs(runs, now).await?;
    let lines: Vec<RunEvent> = runs.iter().map(|(run, reason)| line(*run, *reason, now)).collect();
    Ok(tx.log_run(&lines).await?)
}

/// Ends a run that cannot be worked on. Its subject is not locked: it may be what cannot be read.
pub(crate) async fn fail(tx: &mut dyn Tx, run: Uuid, why: &str, now: Timestamp) -> EngineResult<()> {
    tx.end_runs(&[(run, EndReason::Failed)], now).await?;
    let detail = format!("{}: {why}", words(EndReason::Failed));
    Ok(tx.log_run(&[RunEvent { detail, ..line(run, EndReason::Failed, now) }]).await?)
}

impl Engine {
    /// Ends the open runs of a sequence (those that a stage started, if one is named), batch by batch.
    pub(crate) async fn end_runs_of(
        &self,
        scope: Scope,
        sequence: &str,
        stage: Option<&str>,
        reason: EndReason,
    ) -> EngineResult<u64> {
        let stage = stage.map(str::to_owned);
        let mut filter = LedgerFilter {
            sequence: Some(sequence.to_owned()),
            run_states: vec![RunState::Running],
            ..LedgerFilter::default()
        };
        let mut ended = 0;
        loop {
            let (asked, stage) = (filter.clone(), stage.clone());
            let (more, next) = self
                .write(scope, move |tx, now| {
                    let (asked, stage) = (asked.clone(), stage.clone());
                    Box::pin(async move { end_batch(tx, &asked, stage.as_deref(), reason, now).await })
                })
                .await?;
            ended += more;
            match next {
                Some(next) => filter.before = Some(next),
                None => return Ok(ended),
            }
        }
    }
}

/// Ends one page of runs; how many, and where the next page begins.
async fn end_batch(
    tx: &mut dyn Tx,
    filter: &LedgerFilter,
    stage: Option<&str>,
    reason: EndReason,
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
    let mut ends = Vec::with_capacity(concerned.len());
    let subjects: Vec<Uuid> = concerned.iter().map(|run| run.trigger.subject).collect();
    // Under the locks: those that went on or ended meanwhile are left alone.
    for open in tx.open_runs(&subjects).await? {
        if concerned.iter().any(|run| run.id == open.id) {
            ends.push((open.id, reason));
        }
    }
    end(tx, &ends, now).await?;
    Ok((ends.len() as u64, next))
}

fn line(run: Uuid, reason: EndReason, now: Timestamp) -> RunEvent {
    let kind = if reason == EndReason::Cancelled { "cancelled" } else { "ended" };
    RunEvent { run, at: now, kind: kind.into(), step: String::new(), detail: words(reason).into() }
}

/// Why a run ended, for people.
pub(crate) fn words(reason: EndReason) -> &'static str {
    match reason {
        EndReason::CustomerReturned => "the customer came back",
        EndReason::GoalReached => "the journey reached its end",
        EndReason::StageLeft => "the journey left the stage",
        EndReason::Cancelled => "an operator cancelled it",
        EndReason::SequenceArchived => "the sequence was archived",
        EndReason::Voided => "a late event took the silence back",
        EndReason::Stale => "the silence was noticed too late after its instant",
        EndReason::History => "the instant had passed when the silence became known",
        EndReason::Erased => "the subject was erased",
        EndReason::Failed => "it could not be worked on",
        EndReason::QuietHours => "quiet hours ended it",
        EndReason::Paused => "the sequence was paused",
        EndReason::NotStarted => "the silence came due before the sequence was started or resumed",
        EndReason::Filtered => "the entry filter did not let it in",
        EndReason::CoolDown => "there was a run of the sequence not long before",
        EndReason::AgentActed => "our side owed the word, and spoke",
    }
}
