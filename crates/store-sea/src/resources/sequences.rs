//! Sequences and their revisions in SQL.

use rekindle_core::Timestamp;
use rekindle_core::sequence::{Occasion, Sequence, SequenceState};
use rekindle_ports::StoreResult;
use rekindle_ports::resources::{RunChange, RunPolicy, SequenceRow};
use sea_orm::{QueryResult, Value};

use crate::codes::{Code, coded};
use crate::sql::{Cell, Columns, Kind};
use crate::store::{SeaTx, get, get_json, json};
use crate::subjects::{instant, replace};

const SEQUENCE: &Columns = &[
    ("id", Kind::Text),
    ("revision", Kind::Int),
    ("changed_by", Kind::Int),
    ("etag", Kind::Text),
    ("state", Kind::Int),
    ("funnel", Kind::Text),
    ("created_at", Kind::Int),
    ("updated_at", Kind::Int),
    ("started_at", Kind::Int),
    ("occasion", Kind::Int),
];

const REVISION: &Columns = &[("sequence", Kind::Text), ("revision", Kind::Int), ("body", Kind::Text)];

const PUBLISHED: &Columns = &[
    ("sequence", Kind::Text),
    ("revision", Kind::Int),
    ("body", Kind::Text),
    ("run_policy", Kind::Int),
    ("step_map", Kind::Text),
];

/// Code of sequences that start on events.
const ON_EVENT: i32 = 2;

pub(super) async fn find(tx: &SeaTx, id: &str) -> StoreResult<Option<SequenceRow>> {
    let condition = format!("s.id = {}{}", tx.bind(1), tx.lock());
    Ok(rows(tx, &condition, vec![id.into()]).await?.into_iter().next())
}

pub(super) async fn page(tx: &SeaTx, after: &str, limit: u32) -> StoreResult<Vec<SequenceRow>> {
    let condition = format!("s.id > {} ORDER BY s.id LIMIT {limit}", tx.bind(1));
    rows(tx, &condition, vec![after.into()]).await
}

pub(super) async fn of_funnel(tx: &SeaTx, funnel: &str) -> StoreResult<Vec<SequenceRow>> {
    let condition = format!("s.funnel = {} ORDER BY s.id", tx.bind(1));
    rows(tx, &condition, vec![funnel.into()]).await
}

pub(super) async fn on_events(tx: &SeaTx) -> StoreResult<Vec<SequenceRow>> {
    // As the index says it.
    let condition = format!(
        "s.occasion = {ON_EVENT} AND s.state IN ({}, {}) ORDER BY s.id",
        SequenceState::Active.code(),
        SequenceState::Paused.code()
    );
    rows(tx, &condition, Vec::new()).await
}

pub(super) async fn peek(tx: &SeaTx, id: &str) -> StoreResult<Option<SequenceRow>> {
    let condition = format!("s.id = {}", tx.bind(1));
    Ok(rows(tx, &condition, vec![id.into()]).await?.into_iter().next())
}

pub(super) async fn revision(tx: &SeaTx, id: &str, revision: i32) -> StoreResult<Option<Sequence>> {
    let sql = format!(
        "SELECT body FROM sequence_revisions WHERE {} AND sequence = {} AND revision = {revision}",
        tx.here(),
        tx.bind(1)
    );
    let row = tx.one(&sql, vec![id.into()]).await?;
    row.map(|row| get_json(&row, "sequence_revisions", "body")).transpose()
}

pub(super) async fn run_changes(tx: &SeaTx, sequence: &str) -> StoreResult<Vec<RunChange>> {
    let sql = format!(
        "SELECT revision, run_policy, step_map FROM sequence_revisions \
         WHERE {} AND sequence = {} AND run_policy <> {} ORDER BY revision",
        tx.here(),
        tx.bind(1),
        RunPolicy::Drain.code()
    );
    tx.all(&sql, vec![sequence.into()]).await?.iter().map(run_change).collect()
}

pub(super) async fn insert(tx: &SeaTx, row: &SequenceRow) -> StoreResult<()> {
    // No `ON CONFLICT`: of two that come at once, the second is to look again.
    tx.insert("sequences", SEQUENCE, &[sequence_cells(row)], "").await?;
    tx.insert("sequence_revisions", REVISION, &[revision_cells(row)], "").await?;
    Ok(())
}

pub(super) async fn save(tx: &SeaTx, row: &SequenceRow) -> StoreResult<()> {
    let tail = "ON CONFLICT (bucket, workspace, sequence, revision) DO NOTHING";
    tx.insert("sequence_revisions", REVISION, &[revision_cells(row)], tail).await?;
    tx.insert("sequences", SEQUENCE, &[sequence_cells(row)], &replace(SEQUENCE, &["id"])).await?;
    Ok(())
}

pub(super) async fn publish(tx: &SeaTx, row: &SequenceRow, change: &RunChange) -> StoreResult<()> {
    let mut cells = revision_cells(row);
    cells.push(change.policy.code().into());
    cells.push(json(&change.step_map).into());
    tx.insert("sequence_revisions", PUBLISHED, &[cells], "").await?;
    save(tx, row).await
}

pub(super) async fn delete(tx: &SeaTx, id: &str) -> StoreResult<()> {
    tx.delete_named("sequences", "id", id).await?;
    tx.delete_named("sequence_revisions", "sequence", id).await?;
    Ok(())
}

async fn rows(tx: &SeaTx, condition: &str, values: Vec<Value>) -> StoreResult<Vec<SequenceRow>> {
    let sql = format!(
        "SELECT s.id, s.revision, s.changed_by, s.etag, s.state, s.created_at, s.updated_at, s.started_at, r.body \
         FROM sequences s JOIN sequence_revisions r ON {} AND r.sequence = s.id AND r.revision = s.revision \
         WHERE {} AND {condition}",
        tx.here_in("r."),
        tx.here_in("s.")
    );
    tx.all(&sql, values).await?.iter().map(sequence).collect()
}

fn sequence_cells(row: &SequenceRow) -> Vec<Cell> {
    vec![
        row.id.clone().into(),
        row.revision.into(),
        row.changed_by.into(),
        row.etag.clone().into(),
        row.state.code().into(),
        row.body.trigger.funnel.clone().into(),
        row.created_at.0.into(),
        row.updated_at.0.into(),
        row.started_at.map(|at| at.0).into(),
        occasion(&row.body.trigger.on).into(),
    ]
}

fn occasion(on: &Occasion) -> i32 {
    match on {
        Occasion::Silence(_) => 1,
        Occasion::Event(_) => ON_EVENT,
        Occasion::Schedule(_) => 3,
        Occasion::Hand => 4,
    }
}

fn revision_cells(row: &SequenceRow) -> Vec<Cell> {
    vec![row.id.clone().into(), row.revision.into(), json(&row.body).into()]
}

fn sequence(row: &QueryResult) -> StoreResult<SequenceRow> {
    const T: &str = "sequences";
    Ok(SequenceRow {
        id: get(row, T, "id")?,
        revision: get(row, T, "revision")?,
        changed_by: get(row, T, "changed_by")?,
        etag: get(row, T, "etag")?,
        state: coded(row, T, "state")?,
        body: get_json(row, "sequence_revisions", "body")?,
        created_at: Timestamp(get(row, T, "created_at")?),
        updated_at: Timestamp(get(row, T, "updated_at")?),
        started_at: instant(row, T, "started_at")?,
    })
}

fn run_change(row: &QueryResult) -> StoreResult<RunChange> {
    const T: &str = "sequence_revisions";
    Ok(RunChange {
        revision: get(row, T, "revision")?,
        policy: coded(row, T, "run_policy")?,
        step_map: get_json(row, T, "step_map")?,
    })
}
