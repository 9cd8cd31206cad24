//! Rows by their keys, many keys at a time.
//!
//! A planner without statistics (a new database, autovacuum off) takes
//! `bucket = 7 AND workspace = 42` for a handful of rows, reads the whole workspace
//! instead, and compares each row with each key. So PostgreSQL is handed the walk
//! itself: one probe of an index for each key, in the order of the keys, which is also
//! the order in which rows are locked. SQLite probes for `IN` without being told.

use rekindle_core::scope::Scope;
use sea_orm::DatabaseBackend;

use crate::sql::for_update;
use crate::store::SeaTx;

/// What is read of a table for each key of a batch.
pub(crate) struct Probe<'a> {
    /// What is selected, such as `key, name`; names of the table's own columns or `… AS name`.
    pub columns: &'a str,
    /// The table.
    pub table: &'a str,
    /// Columns that equal the batch's columns of the same names.
    pub by: &'a [&'a str],
    /// What else has to hold, such as `AND live`; may be empty.
    pub and: &'a str,
}

/// What to do about rows that somebody else has locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// Wait until they are free.
    Await,
    /// Do without them.
    Skip,
}

impl SeaTx {
    /// A query for the rows of a batch of keys; `select` yields the batch (see [`crate::sql::source`]).
    pub(crate) fn probe(&self, probe: &Probe<'_>, select: &str) -> String {
        self.probe_with(probe, select, "")
    }

    /// The same, locking the rows in the order of their keys where the database has row locks.
    pub(crate) fn probe_for_update(&self, probe: &Probe<'_>, select: &str, others: Others) -> String {
        let lock = if self.writes { for_update(self.backend) } else { "" };
        match others {
            Others::Skip if !lock.is_empty() => {
                self.probe_with(probe, select, &format!("{lock} SKIP LOCKED"))
            }
            Others::Await | Others::Skip => self.probe_with(probe, select, lock),
        }
    }

    fn probe_with(&self, probe: &Probe<'_>, select: &str, lock: &str) -> String {
        let Probe { columns, table, by, and } = probe;
        let keys = by.join(", ");
        if self.backend != DatabaseBackend::Postgres {
            let (here, order) =
                (self.here(), if lock.is_empty() { String::new() } else { format!(" ORDER BY {keys}") });
            return format!(
                "SELECT {columns} FROM {table} WHERE {here} AND ({keys}) IN ({select}) {and}{order}"
            );
        }
        let equal: Vec<String> = by.iter().map(|key| format!("{table}.{key} = v.{key}")).collect();
        // `OFFSET 0` keeps the planner from turning the walk back into a join.
        format!(
            "SELECT t.* FROM (SELECT DISTINCT {keys} FROM ({select}) AS k ORDER BY {keys}) AS v \
             CROSS JOIN LATERAL (SELECT {columns} FROM {table} WHERE {} AND {} {and} OFFSET 0{lock}) AS t",
            self.here(),
            equal.join(" AND ")
        )
    }

    /// The condition that a row of `table` is the one that a row of the batch `v` names; see
    /// [`SeaTx::batch`].
    ///
    /// For an UPDATE or a DELETE, which cannot walk: the place is compared like any other
    /// column of the key, so that the planner sees no short cut but the key's index.
    pub(crate) fn is_of_batch(&self, table: &str, by: &[&str]) -> String {
        let equal = |columns: &[&str]| {
            let equal: Vec<String> = columns.iter().map(|key| format!("{table}.{key} = v.{key}")).collect();
            equal.join(" AND ")
        };
        match self.backend {
            DatabaseBackend::Postgres => format!("{} AND {}", equal(&["bucket", "workspace"]), equal(by)),
            _ => format!("{} AND {}", self.here_in(&format!("{table}.")), equal(by)),
        }
    }

    /// Deletes the rows of a batch of keys.
    pub(crate) fn delete_batch(&self, table: &str, by: &[&str], select: &str) -> String {
        match self.backend {
            DatabaseBackend::Postgres => {
                format!(
                    "DELETE FROM {table} USING ({}) AS v WHERE {}",
                    self.batch(select),
                    self.is_of_batch(table, by)
                )
            }
            _ => format!("DELETE FROM {table} WHERE {} AND ({}) IN ({select})", self.here(), by.join(", ")),
        }
    }

    /// A batch for [`SeaTx::is_of_batch`]: with its place, where the planner must not know it.
    pub(crate) fn batch(&self, select: &str) -> String {
        let Scope { bucket, workspace } = rekindle_ports::Tx::scope(self);
        match self.backend {
            DatabaseBackend::Postgres => format!(
                "SELECT {bucket}::smallint AS bucket, {workspace}::bigint AS workspace, k.* FROM ({select}) AS k OFFSET 0"
            ),
            _ => select.to_owned(),
        }
    }
}
