//! Prepared inserts into `SQLite`, a thousand a transaction, each of them synced.

use std::path::Path;

use rusqlite::{Connection, params};

use super::{EventRow, Rows, scope};
use crate::Fallible;
use crate::stopwatch::Stopwatch;
use crate::workload::{Slot, Workload};

/// Rows of a transaction.
const CHUNK: usize = 1_000;

/// Inserts a workload's events into a file with the schema; events a second.
pub fn insert(file: &Path, workload: &Workload, slots: &[Slot]) -> Fallible<f64> {
    let mut connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    let (mut rows, mut clock) = (Rows::of(workload), Stopwatch::default());
    let sql = statement();
    for part in slots.chunks(CHUNK) {
        let part: Vec<EventRow> = part.iter().map(|slot| rows.row(slot)).collect();
        clock.start();
        let transaction = connection.transaction()?;
        {
            let mut insert = transaction.prepare(&sql)?;
            for row in &part {
                insert.execute(params![
                    row.id,
                    row.conversation.as_bytes(),
                    row.customer.as_bytes(),
                    row.customer_name,
                    row.kind,
                    row.at,
                    row.properties,
                    row.digest.as_bytes(),
                ])?;
            }
        }
        transaction.commit()?;
        clock.stop();
    }
    Ok(slots.len() as f64 / clock.seconds())
}

fn statement() -> String {
    let scope = scope();
    format!(
        "INSERT INTO events (bucket, workspace, id, conversation, customer, customer_name, kind, \
         occurred_at, effective_at, received_at, sequence, author, flags, properties, digest) \
         VALUES ({}, {}, ?1, ?2, ?3, ?4, ?5, ?6, ?6, ?6, 0, 1, 1, ?7, ?8) ON CONFLICT DO NOTHING",
        scope.bucket, scope.workspace
    )
}
