//! Runs that end, and their deliveries with them.

use rekindle_core::Timestamp;
use rekindle_ports::StoreResult;
use rekindle_ports::ledger::{DeliveryState, EndReason, RunState};
use sea_orm::Value;
use uuid::Uuid;

use super::{T, with};
use crate::codes::Code;
use crate::leases::assign;
use crate::listing::in_states;
use crate::sql::{Cell, Columns, Kind, Source};
use crate::store::SeaTx;

const END: &Columns =
    &[("id", Kind::Uuid), ("state", Kind::Int), ("end_reason", Kind::Int), ("words", Kind::Text)];

pub(super) async fn end(tx: &SeaTx, runs: &[(Uuid, EndReason)], now: Timestamp) -> StoreResult<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = runs.iter().map(|(id, reason)| end_cells(*id, *reason)).collect();
    let Source { select, values } = tx.source(END, &rows, 1);
    let running = format!("state = {}", RunState::Running.code());
    tx.lock_in_order(T, "id", &running, &select, values.clone()).await?;
    let sql = format!(
        "UPDATE runs SET {}, ended_at = {}, next_at = NULL, \
           epoch = runs.epoch + 1, lease_owner = NULL, lease_until = NULL \
         FROM ({}) AS v WHERE {} AND runs.{running}",
        assign(&["state", "end_reason"]),
        tx.bind(values.len() + 1),
        tx.batch(&select),
        tx.is_of_batch(T, &["id"])
    );
    tx.run(&sql, with(&values, now)).await?;
    end_deliveries(tx, &select, values, now).await
}

/// Cancels what is scheduled of runs that end, and notes what is under way as overtaken.
///
/// In this order: what becomes `sending` before the first statement sees it is met by the second.
async fn end_deliveries(tx: &SeaTx, ended: &str, values: Vec<Value>, now: Timestamp) -> StoreResult<()> {
    let open = in_states(&[DeliveryState::Scheduled, DeliveryState::Sending]).unwrap_or_default();
    tx.lock_in_order("deliveries", "run", &open, ended, values.clone()).await?;
    let ended = tx.batch(&format!("SELECT id AS run, words FROM ({ended}) AS c"));
    let of_batch = tx.is_of_batch("deliveries", &["run"]);
    let cancel = format!(
        "UPDATE deliveries SET state = {}, reason = v.words, ended_at = {}, next_at = NULL, claim_at = NULL, \
           epoch = deliveries.epoch + 1, lease_owner = NULL, lease_until = NULL \
         FROM ({ended}) AS v WHERE {of_batch} AND deliveries.state = {}",
        DeliveryState::Cancelled.code(),
        tx.bind(values.len() + 1),
        DeliveryState::Scheduled.code()
    );
    tx.run(&cancel, with(&values, now)).await?;
    // The epoch stays: the sender is to record how the attempt ended.
    let overtake = format!(
        "UPDATE deliveries SET overtaken = TRUE FROM ({ended}) AS v \
         WHERE {of_batch} AND deliveries.state = {}",
        DeliveryState::Sending.code()
    );
    tx.run(&overtake, values).await?;
    Ok(())
}

fn end_cells(id: Uuid, reason: EndReason) -> Vec<Cell> {
    let state = if reason == EndReason::Cancelled { RunState::Cancelled } else { RunState::Ended };
    vec![id.into(), state.code().into(), reason.code().into(), words(reason).into()]
}

/// Why a delivery was cancelled, for people.
fn words(reason: EndReason) -> &'static str {
    match reason {
        EndReason::CustomerReturned => "the customer came back",
        EndReason::GoalReached => "the journey reached its end",
        EndReason::StageLeft => "the journey left the stage",
        EndReason::Cancelled => "the run was cancelled",
        EndReason::SequenceArchived => "the sequence was archived",
        EndReason::Voided => "a late event took the silence back",
        EndReason::Stale => "the silence was noticed too late",
        EndReason::History => "the silence is history",
        EndReason::Erased => "the subject was erased",
        EndReason::Failed => "its run could not be worked on",
        EndReason::QuietHours => "quiet hours ended the run",
        EndReason::Paused => "its sequence was paused",
        EndReason::NotStarted => "it came due before its sequence was started or resumed",
        EndReason::Filtered => "the entry filter did not let it in",
        EndReason::CoolDown => "its subject had a run not long before",
        EndReason::AgentActed => "our side spoke",
        EndReason::Overlap => "the run of the time before was under way",
        EndReason::StepRemoved => "its step was removed",
        EndReason::SequenceChanged => "a new revision of its sequence ended the run",
    }
}
