//! What PostgreSQL's planner knows of our tables.

use sea_orm::{ConnectionTrait, DatabaseBackend, Statement};

use rekindle_ports::StoreResult;

use crate::error::sort;
use crate::store::SeaStore;

/// Tables of ours (all have a bucket) that are several times as large as when they were last
/// looked at, or were never looked at; the smallest are not worth it.
const OUTGROWN: &str = "\
    SELECT quote_ident(c.relname) AS name FROM pg_class c \
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' \
      AND EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'bucket') \
      AND pg_relation_size(c.oid) / current_setting('block_size')::bigint > GREATEST(32, 4 * c.relpages) \
    ORDER BY c.relname";

impl SeaStore {
    /// Has PostgreSQL look again at tables that outgrew what it knows of them; yields their names.
    ///
    /// Autovacuum does the same within a minute or so, where it is on; a first import fills a
    /// table with a million rows sooner, and its statements are planned for an empty one.
    /// SQLite plans without statistics: nothing is done there.
    ///
    /// # Errors
    /// Whatever the database answers; nothing depends on the outcome.
    pub async fn refresh_statistics(&self) -> StoreResult<Vec<String>> {
        if self.backend() != DatabaseBackend::Postgres {
            return Ok(Vec::new());
        }
        let outgrown = Statement::from_string(self.backend(), OUTGROWN);
        let rows = self.writer().query_all_raw(outgrown).await.map_err(sort)?;
        let names = rows.iter().map(|row| crate::store::get(row, "pg_class", "name"));
        let names = names.collect::<StoreResult<Vec<String>>>()?;
        for name in &names {
            self.writer().execute_unprepared(&format!("ANALYZE {name}")).await.map_err(sort)?;
        }
        Ok(names)
    }
}
