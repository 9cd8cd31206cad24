//! Large databases: conversations that the program itself stored, copied inside the database.
//!
//! A copy has keys and ids of its own in every row that names them, the state of the fold
//! included, and is otherwise what the program would have written. It costs a tenth of the time.

use sea_orm::sqlx::{AssertSqlSafe, Executor, PgPool, Row};

use crate::Fallible;

/// Tables that hold rows of subjects.
const TABLES: [&str; 8] =
    ["identities", "customers", "conversations", "events", "journeys", "attempts", "silences", "timers"];
/// Texts that name no subject and no event.
const KEPT: [&str; 5] = ["funnel", "kind", "attributes", "body", "lease_owner"];

/// Which rows are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// All of a conversation's rows.
    Everything,
    /// Everything but its events.
    WithoutEvents,
}

/// Copies every conversation `times` times. Their names begin with `c` or `p`, `prefix` and `0`.
pub async fn multiply(pool: &PgPool, prefix: char, times: u32, copied: Copied) -> Fallible<()> {
    for table in TABLES {
        if times > 0 && (table != "events" || copied == Copied::Everything) {
            let sql = copy(pool, table, prefix, times).await?;
            pool.execute(AssertSqlSafe(sql)).await?;
        }
    }
    // What was loaded must not be cleaned up while it is measured.
    pool.execute("VACUUM (ANALYZE)").await?;
    pool.execute("CHECKPOINT").await?;
    Ok(())
}

async fn copy(pool: &PgPool, table: &str, prefix: char, times: u32) -> Fallible<String> {
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
    Ok(format!(
        "INSERT INTO {table} ({}) SELECT {} FROM {table} t CROSS JOIN generate_series(1, {times}) n",
        names.join(", "),
        picks.join(", ")
    ))
}
