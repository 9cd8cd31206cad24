//! What SQLite's planner is told about tables it never measures.
//!
//! Without statistics it takes a workspace for nine rows, and reads all of it where an
//! index on a subject or a run would answer. So each index gets figures of a large
//! database with one workspace (<https://www.sqlite.org/fileformat2.html#stat1tab>);
//! PostgreSQL measures for itself.

use sea_orm_migration::sea_orm::{ConnectionTrait, DatabaseBackend, DbErr, QueryResult, Statement};

const ROWS: u64 = 1_000_000;
/// Rows of one subject, run or conversation.
const ROWS_OF_A_KEY: u64 = 20;
/// Equal values in a column that is no key.
const NARROWS_BY: u64 = 100;

/// Writes figures for every index.
pub async fn assume(connection: &impl ConnectionTrait) -> Result<(), DbErr> {
    // Makes the table of figures; there may be none yet.
    connection.execute_unprepared("ANALYZE").await?;
    connection.execute_unprepared("DELETE FROM sqlite_stat1").await?;
    let statement = Statement::from_string(DatabaseBackend::Sqlite, COLUMNS);
    let mut indexes: Vec<Index> = Vec::new();
    for row in connection.query_all_raw(statement).await? {
        let name: String = row.try_get("", "name")?;
        if indexes.last().is_none_or(|index| index.name != name) {
            indexes.push(Index {
                name,
                table: row.try_get("", "tbl")?,
                is_unique: row.try_get("", "uniq")?,
                figures: vec![ROWS],
            });
        }
        if let Some(index) = indexes.last_mut() {
            index.narrow(&row)?;
        }
    }
    for index in indexes {
        let values = [index.table.clone().into(), index.name.clone().into(), index.finish().into()];
        let sql = "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (?1, ?2, ?3)";
        connection.execute_raw(Statement::from_sql_and_values(DatabaseBackend::Sqlite, sql, values)).await?;
    }
    // Reads the figures into this connection; others read them with the new schema.
    connection.execute_unprepared("ANALYZE sqlite_schema").await?;
    Ok(())
}

const COLUMNS: &str = "
SELECT t.name AS tbl, l.name AS name, l.\"unique\" AS uniq, i.name AS col, c.type AS type
FROM sqlite_schema t, pragma_index_list(t.name) l, pragma_index_info(l.name) i, pragma_table_info(t.name) c
WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%' AND t.name NOT LIKE 'seaql%' AND c.name = i.name
ORDER BY t.name, l.name, i.seqno";

struct Index {
    table: String,
    name: String,
    is_unique: bool,
    /// Rows in all, then rows with equal values in the first column, the first two, …
    figures: Vec<u64>,
}

impl Index {
    fn narrow(&mut self, row: &QueryResult) -> Result<(), DbErr> {
        let (column, kind): (String, String) = (row.try_get("", "col")?, row.try_get("", "type")?);
        let before = self.figures.last().copied().unwrap_or(ROWS);
        self.figures.push(match (column.as_str(), kind.as_str()) {
            ("bucket" | "workspace", _) => before,
            (_, "BLOB") => before.min(ROWS_OF_A_KEY),
            _ => (before / NARROWS_BY).max(1),
        });
        Ok(())
    }

    fn finish(mut self) -> String {
        if let (true, Some(last)) = (self.is_unique, self.figures.last_mut()) {
            *last = 1;
        }
        self.figures.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
    }
}
