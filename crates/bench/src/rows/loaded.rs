//! A database with many conversations in it.

use std::time::Duration;

use sea_orm::sqlx::{AssertSqlSafe, Executor, PgPool, Row};
use tonic::transport::Channel;

use super::{Bench, now};
use crate::Fallible;
use crate::client::stream_slots;
use crate::multiply::{Copied, multiply};
use crate::postgres::Database;
use crate::workload::Order;

/// Conversations that the program stores itself; the others are copies of them.
const TEMPLATES: u32 = 1_000;
/// Letter of their names.
const PREFIX: char = 't';

/// Defines what `define` says, and stores so many conversations (rounded to copies).
pub async fn load(
    bench: &Bench,
    conversations: u32,
    copied: Copied,
    define: impl AsyncFnOnce(Channel) -> Fallible<()>,
) -> Fallible<(Database, PgPool)> {
    let templates = conversations.min(TEMPLATES);
    let workload = bench.workload(templates, PREFIX);
    let database = bench.server.database().await?;
    let program = bench.start(&database)?;
    define(program.connect().await?).await?;
    stream_slots(&program, bench.streams, &workload, &workload.slots(Order::Time)).await?;
    let pool = database.connect().await?;
    // What is due already is noticed once, not once for each copy.
    let due = format!("SELECT count(*) FROM timers WHERE due_at <= {}", now());
    until_zero(&pool, &due, Duration::from_mins(1)).await?;
    drop(program);
    multiply(&pool, PREFIX, conversations / templates - 1, copied).await?;
    Ok((database, pool))
}

/// Waits until a count is nothing.
pub async fn until_zero(pool: &PgPool, sql: &str, within: Duration) -> Fallible<()> {
    let began = std::time::Instant::now();
    while count(pool, sql).await? > 0 {
        if began.elapsed() > within {
            return Err(format!("not nothing within {within:?}: {sql}").into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// A number that a query yields.
pub async fn count(pool: &PgPool, sql: &str) -> Fallible<i64> {
    Ok(pool.fetch_one(AssertSqlSafe(sql.to_owned())).await?.try_get(0)?)
}
