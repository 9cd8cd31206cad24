//! Ending runs before their last step.

use rekindle_core::Timestamp;
use rekindle_ports::Tx;
use rekindle_ports::ledger::{EndReason, RunEvent};
use uuid::Uuid;

use crate::error::EngineResult;

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
        EndReason::Overlap => "the run of the time before was under way",
        EndReason::StepRemoved => "its step was removed",
        EndReason::SequenceChanged => "a new revision cancelled it",
    }
}
