//! Destinations in SQL.

use rekindle_core::Timestamp;
use rekindle_ports::StoreResult;
use rekindle_ports::resources::DestinationRow;
use sea_orm::QueryResult;

use crate::sql::{Cell, Columns, Kind};
use crate::store::{SeaTx, get, get_json, json};
use crate::subjects::{instant, replace};

const T: &str = "destinations";

const DESTINATION: &Columns = &[
    ("id", Kind::Text),
    ("display_name", Kind::Text),
    ("kind", Kind::Text),
    ("secrets", Kind::Text),
    ("disabled_at", Kind::Int),
    ("disabled_reason", Kind::Text),
    ("etag", Kind::Text),
    ("created_at", Kind::Int),
    ("updated_at", Kind::Int),
];

pub(super) async fn find(tx: &SeaTx, id: &str) -> StoreResult<Option<DestinationRow>> {
    row(tx, id, tx.lock()).await
}

pub(super) async fn peek(tx: &SeaTx, id: &str) -> StoreResult<Option<DestinationRow>> {
    row(tx, id, "").await
}

pub(super) async fn page(tx: &SeaTx, after: &str, limit: u32) -> StoreResult<Vec<DestinationRow>> {
    let sql = format!(
        "SELECT * FROM destinations WHERE {} AND id > {} ORDER BY id LIMIT {limit}",
        tx.here(),
        tx.bind(1)
    );
    tx.all(&sql, vec![after.into()]).await?.iter().map(destination).collect()
}

pub(super) async fn insert(tx: &SeaTx, row: &DestinationRow) -> StoreResult<()> {
    // As for sequences: the second of two is to look again.
    tx.insert(T, DESTINATION, &[destination_cells(row)], "").await?;
    Ok(())
}

pub(super) async fn save(tx: &SeaTx, row: &DestinationRow) -> StoreResult<()> {
    tx.insert(T, DESTINATION, &[destination_cells(row)], &replace(DESTINATION, &["id"])).await?;
    Ok(())
}

pub(super) async fn delete(tx: &SeaTx, id: &str) -> StoreResult<()> {
    tx.delete_named(T, "id", id).await?;
    Ok(())
}

async fn row(tx: &SeaTx, id: &str, lock: &str) -> StoreResult<Option<DestinationRow>> {
    let sql = format!("SELECT * FROM destinations WHERE {} AND id = {}{lock}", tx.here(), tx.bind(1));
    tx.one(&sql, vec![id.into()]).await?.as_ref().map(destination).transpose()
}

fn destination_cells(row: &DestinationRow) -> Vec<Cell> {
    let (disabled_at, disabled_reason) = row.disabled.clone().unzip();
    vec![
        row.id.clone().into(),
        row.display_name.clone().into(),
        json(&row.kind).into(),
        json(&row.secrets).into(),
        disabled_at.map(|at| at.0).into(),
        disabled_reason.into(),
        row.etag.clone().into(),
        row.created_at.0.into(),
        row.updated_at.0.into(),
    ]
}

fn destination(row: &QueryResult) -> StoreResult<DestinationRow> {
    let disabled_reason: Option<String> = get(row, T, "disabled_reason")?;
    Ok(DestinationRow {
        id: get(row, T, "id")?,
        display_name: get(row, T, "display_name")?,
        kind: get_json(row, T, "kind")?,
        secrets: get_json(row, T, "secrets")?,
        disabled: instant(row, T, "disabled_at")?.zip(disabled_reason),
        etag: get(row, T, "etag")?,
        created_at: Timestamp(get(row, T, "created_at")?),
        updated_at: Timestamp(get(row, T, "updated_at")?),
    })
}
