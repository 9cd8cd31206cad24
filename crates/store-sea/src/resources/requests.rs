//! What was answered to creates in SQL.

use rekindle_core::Timestamp;
use rekindle_ports::StoreResult;
use rekindle_ports::resources::{RequestKind, RequestRow};
use sea_orm::QueryResult;

use crate::codes::{Code, coded};
use crate::sql::{Columns, Kind};
use crate::store::{SeaTx, get};

const T: &str = "requests";

const REQUEST: &Columns = &[
    ("kind", Kind::Int),
    ("id", Kind::Text),
    ("digest", Kind::Uuid),
    ("answer", Kind::Text),
    ("created_at", Kind::Int),
];

pub(super) async fn find(tx: &SeaTx, kind: RequestKind, id: &str) -> StoreResult<Option<RequestRow>> {
    let sql = format!(
        "SELECT * FROM requests WHERE {} AND kind = {} AND id = {}",
        tx.here(),
        kind.code(),
        tx.bind(1)
    );
    tx.one(&sql, vec![id.into()]).await?.as_ref().map(request).transpose()
}

pub(super) async fn insert(tx: &SeaTx, row: &RequestRow) -> StoreResult<()> {
    let cells = vec![
        row.kind.code().into(),
        row.id.clone().into(),
        row.digest.into(),
        row.answer.clone().into(),
        row.created_at.0.into(),
    ];
    // No `ON CONFLICT`: of two that come at once, the second is to answer as the first.
    tx.insert(T, REQUEST, &[cells], "").await?;
    Ok(())
}

fn request(row: &QueryResult) -> StoreResult<RequestRow> {
    Ok(RequestRow {
        kind: coded(row, T, "kind")?,
        id: get(row, T, "id")?,
        digest: get(row, T, "digest")?,
        answer: get(row, T, "answer")?,
        created_at: Timestamp(get(row, T, "created_at")?),
    })
}
