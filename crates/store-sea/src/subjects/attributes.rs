//! What is known of subjects now.

use std::collections::HashMap;

use rekindle_core::value::Properties;
use rekindle_ports::StoreResult;
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use super::{KEYS, keys};
use crate::probe::Probe;
use crate::sql::{Source, json_text};
use crate::store::{SeaTx, get, get_json};

pub(super) async fn current(
    tx: &SeaTx,
    kind: NameKind,
    wanted: &[Uuid],
) -> StoreResult<HashMap<Uuid, Properties>> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let table = match kind {
        NameKind::Customer => "customers",
        NameKind::Conversation => "conversations",
    };
    let Source { select, values } = tx.source(KEYS, &keys(wanted), 1);
    let columns = format!("key, {} AS attributes", json_text(tx.backend, "attributes"));
    let known = Probe { columns: &columns, table, by: &["key"], and: "" };
    let rows = tx.all(&tx.probe(&known, &select), values).await?;
    rows.iter().map(|row| Ok((get(row, table, "key")?, get_json(row, table, "attributes")?))).collect()
}
