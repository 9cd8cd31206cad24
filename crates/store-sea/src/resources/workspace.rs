//! The workspace, and the keys that its replicas share, in SQL.

use rekindle_core::Timestamp;
use rekindle_ports::resources::WorkspaceRow;
use rekindle_ports::{StoreError, StoreResult};
use sea_orm::QueryResult;

use crate::sql::{Columns, Kind};
use crate::store::{SeaTx, get, get_json, json};

const WORKSPACE: &Columns = &[("body", Kind::Text), ("revision", Kind::Int), ("updated_at", Kind::Int)];

pub(super) async fn read(tx: &SeaTx) -> StoreResult<WorkspaceRow> {
    let sql = format!("SELECT body, revision, updated_at FROM workspaces WHERE {}", tx.here());
    let row = tx.one(&sql, Vec::new()).await?;
    Ok(row.as_ref().map(workspace).transpose()?.unwrap_or_default())
}

pub(super) async fn save(tx: &SeaTx, row: &WorkspaceRow) -> StoreResult<()> {
    let cells = vec![json(&row.body).into(), row.revision.into(), row.updated_at.0.into()];
    // Its row is read everywhere and so never locked: the revision tells two writers apart.
    let tail = "ON CONFLICT (bucket, workspace) DO UPDATE SET \
                body = excluded.body, revision = excluded.revision, updated_at = excluded.updated_at \
                WHERE workspaces.revision < excluded.revision";
    match tx.insert("workspaces", WORKSPACE, &[cells], tail).await? {
        0 => Err(StoreError::Conflict(format!("the workspace is at revision {} or later", row.revision))),
        _ => Ok(()),
    }
}

pub(super) async fn shared_key(tx: &SeaTx, name: &str, fresh: &str) -> StoreResult<String> {
    if let Some(known) = known_key(tx, name).await? {
        return Ok(known);
    }
    let columns = &[("name", Kind::Text), ("secret", Kind::Text)];
    let tail = "ON CONFLICT (bucket, workspace, name) DO NOTHING";
    tx.insert("shared_keys", columns, &[vec![name.into(), fresh.into()]], tail).await?;
    // Another replica may have been first.
    let known = known_key(tx, name).await?;
    known.ok_or_else(|| StoreError::Conflict(format!("the shared key {name} was removed")))
}

async fn known_key(tx: &SeaTx, name: &str) -> StoreResult<Option<String>> {
    let sql = format!("SELECT secret FROM shared_keys WHERE {} AND name = {}", tx.here(), tx.bind(1));
    let row = tx.one(&sql, vec![name.into()]).await?;
    row.map(|row| get(&row, "shared_keys", "secret")).transpose()
}

fn workspace(row: &QueryResult) -> StoreResult<WorkspaceRow> {
    const T: &str = "workspaces";
    Ok(WorkspaceRow {
        body: get_json(row, T, "body")?,
        revision: get(row, T, "revision")?,
        updated_at: Timestamp(get(row, T, "updated_at")?),
    })
}
