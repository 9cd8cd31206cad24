//! Large databases: conversations that the program itself stored, copied inside the database.
//!
//! A copy has keys and ids of its own in every row that names them, the state of the fold
//! included, and is otherwise what the program would have written. It costs a tenth of the time.

use sea_orm::sqlx::{AssertSqlSafe, Executor, PgPool, Row};

use crate::Fallible;

/// Tables that hold rows of subjects.
const TABLES: &[&str] =
    &["identities", "customers", "conversations", "events", "journeys", "attempts", "silences", "timers"];
/// Tables that hold what was noticed of them, and what is being done.
const LEDGER: &[&str] = &["marks", "runs", "run_events"];
/// Texts that name no subject and no event.
const KEPT: [&str; 5] = ["funnel", "kind", "attributes", "body", "lease_owner"];

/// Which rows are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// All of a conversation's rows.
    Everything,
    /// Everything but its events.
    WithoutEvents,
    /// Everything but its events, and beside it its marks, and its runs with their ledgers.
    WithRuns,
}

impl Copied {
    fn tables(self) -> impl Iterator<Item = &'static str> {
        let ledger = if self == Self::WithRuns { LEDGER } else { &[] };
        let tables = TABLES.iter().chain(ledger).copied();
        tables.filter(move |table| *table != "events" || self == Self::Everything)
    }
}

/// Copies every conversation `times` times. Their names begin with `c` or `p`, `prefix` and `0`.
pub async fn multiply(pool: &PgPool, prefix: char, times: u32, copied: Copied) -> Fallible<()> {
    for table in copied.tables() {
        copy(pool, table, prefix, times, "TRUE").await?;
    }
    settle(pool).await
}

/// Copies every run that is over `times` times, and nothing else of its conversation. What started
/// them has names as in [`multiply`].
pub async fn multiply_ended(pool: &PgPool, prefix: char, times: u32) -> Fallible<()> {
    copy(pool, "runs", prefix, times, "t.state <> 1").await?;
    settle(pool).await
}

/// What was loaded must not be cleaned up while it is measured.
async fn settle(pool: &PgPool) -> Fallible<()> {
    pool.execute("VACUUM (ANALYZE)").await?;
    pool.execute("CHECKPOINT").await?;
    Ok(())
}

/// Copies those rows of a table, called `t`, of which `which` is true.
async fn copy(pool: &PgPool, table: &str, prefix: char, times: u32, which: &str) -> Fallible<()> {
    if times == 0 {
        return Ok(());
    }
    let columns = format!(
        "SELECT column_name::text, data_type::text FROM information_schema.columns \
         WHERE table_name = '{table}' AND table_schema = 'public' ORDER BY ordinal_position"
    );
    let mut names = Vec::new();
    let mut picks = Vec::new();
    for row in pool.fetch_all(AssertSqlSafe(columns)).await? {
        let (name, kind): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        picks.push(match kind.as_str() {
            "uuid" => format!("md5(t.{name}::text || n)::uuid"),
            "text" if !KEPT.contains(&name.as_str()) => format!(
                "replace(replace(t.{name}, 'c{prefix}0', 'c{prefix}' || n || 'x'), 'p{prefix}0', 'p{prefix}' || n || 'x')"
            ),
            _ => format!("t.{name}"),
        });
        names.push(name);
    }
    let sql = format!(
        "INSERT INTO {table} ({}) SELECT {} FROM {table} t CROSS JOIN generate_series(1, {times}) n WHERE {which}",
        names.join(", "),
        picks.join(", ")
    );
    pool.execute(AssertSqlSafe(sql)).await?;
    Ok(())
}
