//! The suppression list in SQL.

use rekindle_core::Timestamp;
use rekindle_ports::StoreResult;
use rekindle_ports::resources::{SuppressionKind, SuppressionRow};
use sea_orm::QueryResult;

use crate::codes::{Code, coded};
use crate::probe::Probe;
use crate::sql::{Cell, Columns, Kind, Source};
use crate::store::{SeaTx, get};
use crate::tombstone::{Lookup, tombstone};

const T: &str = "suppressions";

const SUPPRESSION: &Columns = &[
    ("kind", Kind::Int),
    ("name", Kind::Text),
    ("reason", Kind::Int),
    ("note", Kind::Text),
    ("created_at", Kind::Int),
];

pub(super) async fn listed(
    tx: &SeaTx,
    entries: &[(SuppressionKind, String)],
) -> StoreResult<Vec<SuppressionRow>> {
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    // What an erased customer was suppressed by is known by its tombstone alone.
    let both = |(kind, value): &(SuppressionKind, String)| {
        [value.clone(), tombstone(value)].map(|name| vec![kind.code().into(), name.into()])
    };
    let rows: Vec<Vec<Cell>> = entries.iter().flat_map(both).collect();
    let Source { select, values } = tx.source(&[("kind", Kind::Int), ("name", Kind::Text)], &rows, 1);
    let listed = Probe { columns: "*", table: T, by: &["kind", "name"], and: "" };
    let sql = format!("{} ORDER BY kind, name", tx.probe(&listed, &select));
    let lookup = Lookup::new(entries.iter().map(|(_, value)| value.as_str()));
    let rows = tx.all(&sql, values).await?;
    let as_asked = |row: SuppressionRow| {
        let value = lookup.asked(&row.value).map_or(row.value.clone(), str::to_owned);
        SuppressionRow { value, ..row }
    };
    rows.iter().map(|row| suppression(row).map(as_asked)).collect()
}

pub(super) async fn page(
    tx: &SeaTx,
    after: Option<&(SuppressionKind, String)>,
    limit: u32,
) -> StoreResult<Vec<SuppressionRow>> {
    let (rest, values) = match after {
        Some((kind, value)) => {
            (format!(" AND (kind, name) > ({}, {})", kind.code(), tx.bind(1)), vec![value.clone().into()])
        }
        None => (String::new(), Vec::new()),
    };
    let sql =
        format!("SELECT * FROM suppressions WHERE {}{rest} ORDER BY kind, name LIMIT {limit}", tx.here());
    tx.all(&sql, values).await?.iter().map(suppression).collect()
}

pub(super) async fn add(tx: &SeaTx, row: &SuppressionRow) -> StoreResult<bool> {
    let cells = vec![
        row.kind.code().into(),
        row.value.clone().into(),
        row.reason.code().into(),
        row.note.clone().into(),
        row.created_at.0.into(),
    ];
    let tail = "ON CONFLICT (bucket, workspace, kind, name) DO NOTHING";
    Ok(tx.insert(T, SUPPRESSION, &[cells], tail).await? == 1)
}

pub(super) async fn remove(tx: &SeaTx, kind: SuppressionKind, value: &str) -> StoreResult<bool> {
    let sql = format!(
        "DELETE FROM suppressions WHERE {} AND kind = {} AND name IN ({}, {})",
        tx.here(),
        kind.code(),
        tx.bind(1),
        tx.bind(2)
    );
    Ok(tx.run(&sql, vec![value.into(), tombstone(value).into()]).await? > 0)
}

fn suppression(row: &QueryResult) -> StoreResult<SuppressionRow> {
    Ok(SuppressionRow {
        kind: coded(row, T, "kind")?,
        value: get(row, T, "name")?,
        reason: coded(row, T, "reason")?,
        note: get(row, T, "note")?,
        created_at: Timestamp(get(row, T, "created_at")?),
    })
}
