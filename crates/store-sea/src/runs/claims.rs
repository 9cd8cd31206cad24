//! Runs that one worker holds at a time.

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::StoreResult;
use rekindle_ports::ledger::{RunKey, RunRow};
use rekindle_ports::rows::{Claimed, Lease};
use sea_orm::QueryResult;
use uuid::Uuid;

use super::{RUN, T, run, run_cells};
use crate::leases::{self, Take, assign};
use crate::probe::{Others, Probe};
use crate::sql::{Cell, Columns, Kind, Source, for_update};
use crate::store::{SeaTx, get};

/// What a run's holder may change.
const CHANGING: &[&str] = &[
    "conversation",
    "customer",
    "sequence_revision",
    "state",
    "end_reason",
    "step",
    "next_at",
    "ended_at",
    "progress",
];

const CLAIM: &Columns = &[("id", Kind::Uuid), ("epoch", Kind::Int)];

/// Takes runs whose last claim was given back.
pub(super) async fn claim(
    tx: &SeaTx,
    bucket: i16,
    now: Timestamp,
    lease: &Lease,
    limit: u32,
) -> StoreResult<Vec<Claimed<RunKey>>> {
    let rows = tx.claim(&leases::RUNS, Take::Free, bucket, now, lease, limit).await?;
    rows.iter().map(|row| claimed(row, bucket)).collect()
}

/// Takes one run whose last claim ran out, and counts that.
pub(super) async fn claim_lost(
    tx: &SeaTx,
    bucket: i16,
    now: Timestamp,
    lease: &Lease,
) -> StoreResult<Option<Claimed<RunKey>>> {
    let rows = tx.claim(&leases::RUNS, Take::Lost, bucket, now, lease, 1).await?;
    let lost = |row| Ok(Claimed { crashes: get(row, T, "crash_count")?, ..claimed(row, bucket)? });
    rows.first().map(lost).transpose()
}

pub(super) async fn holds(tx: &SeaTx, claim: &Claimed<RunKey>) -> StoreResult<bool> {
    let sql = format!(
        "SELECT id FROM runs WHERE {} AND id = {} AND epoch = {}{}",
        tx.here(),
        tx.bind(1),
        claim.epoch,
        for_update(tx.backend)
    );
    Ok(tx.one(&sql, vec![claim.key.id.into()]).await?.is_some())
}

pub(super) async fn hold(tx: &SeaTx, claims: &[Claimed<RunKey>]) -> StoreResult<Vec<RunRow>> {
    if claims.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Vec<Cell>> =
        claims.iter().map(|claim| vec![claim.key.id.into(), claim.epoch.into()]).collect();
    let Source { select, values } = tx.source(CLAIM, &rows, 1);
    let held = Probe { columns: "*", table: T, by: &["id", "epoch"], and: "" };
    tx.all(&tx.probe_for_update(&held, &select, Others::Await), values).await?.iter().map(run).collect()
}

pub(super) async fn release(tx: &SeaTx, held: &[(Claimed<RunKey>, RunRow)]) -> StoreResult<Vec<Uuid>> {
    if held.is_empty() {
        return Ok(Vec::new());
    }
    let columns: Vec<_> = RUN.iter().copied().chain([("epoch", Kind::Int)]).collect();
    let cells = |(claim, run): &(Claimed<RunKey>, RunRow)| {
        let mut cells = run_cells(run);
        cells.push(claim.epoch.into());
        cells
    };
    let rows: Vec<Vec<Cell>> = held.iter().map(cells).collect();
    let Source { select, values } = tx.source(&columns, &rows, 1);
    // The epoch rises with the release: work redone after an uncertain commit finds its claim over.
    let sql = format!(
        "UPDATE runs SET {}, epoch = runs.epoch + 1, lease_owner = NULL, lease_until = NULL, crash_count = 0 \
         FROM ({}) AS v WHERE {} RETURNING runs.id",
        assign(CHANGING),
        tx.batch(&select),
        tx.is_of_batch(T, &["id", "epoch"])
    );
    tx.all(&sql, values).await?.iter().map(|row| get(row, T, "id")).collect()
}

fn claimed(row: &QueryResult, bucket: i16) -> StoreResult<Claimed<RunKey>> {
    let scope = Scope { bucket, workspace: get(row, T, "workspace")? };
    let key = RunKey { scope, id: get(row, T, "id")? };
    Ok(Claimed { key, epoch: get(row, T, "epoch")?, crashes: 0 })
}
