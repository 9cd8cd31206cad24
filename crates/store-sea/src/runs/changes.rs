//! Many runs at a time: held, let go on, woken, told something, moved, reopened.

use rekindle_core::Timestamp;
use rekindle_core::sequence::Progress;
use rekindle_ports::StoreResult;
use rekindle_ports::ledger::{EndReason, RunRow, RunState};
use uuid::Uuid;

use super::{ID, T, with};
use crate::codes::Code;
use crate::leases::assign;
use crate::sql::{Cell, Columns, Kind, Source};
use crate::store::{SeaTx, get, json};
use crate::subjects::keys;

/// What moves with a run to another revision.
const MOVED: &Columns = &[
    ("id", Kind::Uuid),
    ("sequence_revision", Kind::Int),
    ("step", Kind::Int),
    ("next_at", Kind::Int),
    ("progress", Kind::Given),
];

const TOLD: &Columns = &[("id", Kind::Uuid), ("progress", Kind::Given)];

const CHANGED: &Columns = &[("id", Kind::Uuid), ("at", Kind::Int)];

pub(super) async fn reopen(tx: &SeaTx, runs: &[Uuid], now: Timestamp) -> StoreResult<Vec<Uuid>> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let Source { select, values } = tx.source(ID, &keys(runs), 1);
    // One that somebody holds stays held.
    let sql = format!(
        "UPDATE runs SET state = {}, end_reason = NULL, ended_at = NULL, \
           next_at = CASE WHEN runs.paused_at IS NULL THEN CAST({} AS BIGINT) ELSE NULL END, \
           epoch = runs.epoch + 1, lease_owner = NULL, lease_until = NULL, crash_count = 0 \
         FROM ({}) AS v WHERE {} AND runs.end_reason = {} RETURNING runs.id",
        RunState::Running.code(),
        tx.bind(values.len() + 1),
        tx.batch(&select),
        tx.is_of_batch(T, &["id"]),
        EndReason::Failed.code()
    );
    tx.all(&sql, with(&values, now)).await?.iter().map(|row| get(row, T, "id")).collect()
}

pub(super) async fn pause(tx: &SeaTx, runs: &[Uuid], now: Timestamp) -> StoreResult<Vec<Uuid>> {
    let runs: Vec<(Uuid, Timestamp)> = runs.iter().map(|run| (*run, now)).collect();
    hold_or_let_go(tx, "NULL", "paused_at = v.at, next_at = NULL", &runs).await
}

pub(super) async fn resume(tx: &SeaTx, runs: &[(Uuid, Timestamp)]) -> StoreResult<Vec<Uuid>> {
    hold_or_let_go(tx, "NOT NULL", "paused_at = NULL, next_at = v.at", runs).await
}

/// Changes running runs whose `paused_at` is such, each at an instant; those that this changed.
/// Whoever works on them writes nothing more.
async fn hold_or_let_go(
    tx: &SeaTx,
    paused_at: &str,
    sets: &str,
    runs: &[(Uuid, Timestamp)],
) -> StoreResult<Vec<Uuid>> {
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Vec<Cell>> = runs.iter().map(|(id, at)| vec![(*id).into(), at.0.into()]).collect();
    let Source { select, values } = tx.source(CHANGED, &rows, 1);
    let running = format!("state = {}", RunState::Running.code());
    tx.lock_in_order(T, "id", &running, &select, values.clone()).await?;
    let sql = format!(
        "UPDATE runs SET {sets}, epoch = runs.epoch + 1, lease_owner = NULL, lease_until = NULL \
         FROM ({}) AS v WHERE {} AND runs.{running} AND runs.paused_at IS {paused_at} RETURNING runs.id",
        tx.batch(&select),
        tx.is_of_batch(T, &["id"])
    );
    tx.all(&sql, values).await?.iter().map(|row| get(row, T, "id")).collect()
}

pub(super) async fn wake(tx: &SeaTx, runs: &[Uuid], now: Timestamp) -> StoreResult<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let Source { select, values } = tx.source(ID, &keys(runs), 1);
    let sql = format!(
        "UPDATE runs SET next_at = {} FROM ({}) AS v WHERE {} AND runs.state = {} AND runs.next_at IS NULL \
           AND runs.paused_at IS NULL",
        tx.bind(values.len() + 1),
        tx.batch(&select),
        tx.is_of_batch(T, &["id"]),
        RunState::Running.code()
    );
    tx.run(&sql, with(&values, now)).await?;
    Ok(())
}

pub(super) async fn tell(tx: &SeaTx, runs: &[(Uuid, Progress)], now: Timestamp) -> StoreResult<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> =
        runs.iter().map(|(id, progress)| vec![(*id).into(), json(progress).into()]).collect();
    let Source { select, values } = tx.source(TOLD, &rows, 1);
    let now_bind = tx.bind(values.len() + 1);
    let sql = format!(
        "UPDATE runs SET progress = v.progress, \
           next_at = CASE WHEN runs.next_at > {now_bind} THEN {now_bind} ELSE runs.next_at END \
         FROM ({}) AS v WHERE {} AND runs.state = {}",
        tx.batch(&select),
        tx.is_of_batch(T, &["id"]),
        RunState::Running.code()
    );
    tx.run(&sql, with(&values, now)).await?;
    Ok(())
}

pub(super) async fn move_to_revision(tx: &SeaTx, runs: &[RunRow]) -> StoreResult<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = runs.iter().map(moved_cells).collect();
    let Source { select, values } = tx.source(MOVED, &rows, 1);
    let running = format!("state = {}", RunState::Running.code());
    tx.lock_in_order(T, "id", &running, &select, values.clone()).await?;
    let sql = format!(
        "UPDATE runs SET {}, next_at = CASE WHEN runs.paused_at IS NULL THEN v.next_at END, \
           epoch = runs.epoch + 1, lease_owner = NULL, lease_until = NULL, crash_count = 0 \
         FROM ({}) AS v WHERE {} AND runs.{running}",
        assign(&["sequence_revision", "step", "progress"]),
        tx.batch(&select),
        tx.is_of_batch(T, &["id"])
    );
    tx.run(&sql, values).await?;
    Ok(())
}

fn moved_cells(run: &RunRow) -> Vec<Cell> {
    vec![
        run.id.into(),
        run.sequence_revision.into(),
        run.step.into(),
        run.next_at.map(|at| at.0).into(),
        json(&run.progress).into(),
    ]
}
