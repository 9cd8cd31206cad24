//! Runs that go from their wait by a branch to a queued send.

use std::time::{Duration, Instant};

use rekindle_core::scope::Scope;
use sea_orm::sqlx::{self, AssertSqlSafe, Connection, Executor, PgConnection, Row};
use uuid::Uuid;

use super::loaded::count;
use super::waiting::{Waiting, scope};
use super::{Bench, now};
use crate::Fallible;
use crate::report::{Line, whole};

const FULL: u32 = 100_000;
/// Rows of a claim: the program's own number.
const BATCH: u32 = 200;

/// Runs a second, all of them due, beside bare claims and releases of as many rows.
///
/// A run counts once, although it takes three steps: the end of the wait, the branch and the send
/// are one claim, and the baseline's row is claimed once too.
pub async fn rate(bench: &Bench) -> Fallible<Vec<Line>> {
    let waiting = Waiting::load(bench, bench.small(FULL)).await?;
    waiting.fall_due(&(now() - 1_000_000).to_string()).await?;
    let baseline = bare_rate(&waiting).await?;
    let ours = our_rate(bench, &waiting).await?;
    let runs = whole(f64::from(waiting.runs));
    waiting.remove().await?;
    let what = format!("{runs} due runs: wait, branch, send queued (baseline: rows claimed and released)");
    Ok(vec![Line::rates(what, baseline, ours, 0.25)])
}

/// From the first runs that have their mail queued until all have.
async fn our_rate(bench: &Bench, waiting: &Waiting) -> Fallible<f64> {
    let program = waiting.start(bench, &[])?;
    let started = Instant::now();
    let before = loop {
        let queued = count(&waiting.pool, "SELECT count(*) FROM deliveries").await?;
        if queued > 0 {
            break queued;
        }
        if started.elapsed() > Duration::from_mins(1) {
            return Err("no run went on within a minute".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    let began = Instant::now();
    waiting.until_queued().await?;
    let taken = began.elapsed().as_secs_f64();
    drop(program);
    Ok((i64::from(waiting.runs) - before) as f64 / taken)
}

/// Rows a second of a table like that of the runs, with its indexes, that one connection claims
/// and then releases, a batch at a time.
async fn bare_rate(waiting: &Waiting) -> Fallible<f64> {
    waiting.pool.execute("CREATE TABLE bare (LIKE runs INCLUDING ALL)").await?;
    waiting.pool.execute("INSERT INTO bare SELECT * FROM runs").await?;
    waiting.pool.execute("VACUUM (ANALYZE) bare").await?;
    let mut connection = PgConnection::connect(&waiting.database.url).await?;
    let (claim, release) = (claim(), release());
    let (began, mut released) = (Instant::now(), 0);
    loop {
        let rows = sqlx::query(AssertSqlSafe(claim.as_str())).fetch_all(&mut connection).await?;
        if rows.is_empty() {
            break;
        }
        let ids = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<Uuid>, _>>()?;
        let query = sqlx::query(AssertSqlSafe(release.as_str())).bind(ids);
        released += query.execute(&mut connection).await?.rows_affected();
    }
    let taken = began.elapsed().as_secs_f64();
    connection.close().await?;
    waiting.pool.execute("DROP TABLE bare").await?;
    if released == u64::from(waiting.runs) {
        Ok(released as f64 / taken)
    } else {
        Err(format!("{released} of {} bare rows were released", waiting.runs).into())
    }
}

fn claim() -> String {
    let (Scope { bucket, .. }, now) = (scope(), now());
    format!(
        "WITH picked AS MATERIALIZED ( \
           SELECT bucket, workspace, id FROM bare \
           WHERE bucket = {bucket} AND state = 1 AND next_at <= {now} AND lease_until IS NULL \
           ORDER BY next_at LIMIT {BATCH} FOR UPDATE SKIP LOCKED \
         ) \
         UPDATE bare SET epoch = epoch + 1, lease_owner = 'bare', lease_until = {now} \
         WHERE (bucket, workspace, id) IN (SELECT bucket, workspace, id FROM picked) RETURNING id"
    )
}

fn release() -> String {
    let Scope { bucket, workspace } = scope();
    format!(
        "UPDATE bare SET step = step + 1, next_at = NULL, epoch = epoch + 1, lease_owner = NULL, lease_until = NULL \
         WHERE bucket = {bucket} AND workspace = {workspace} AND id = ANY($1)"
    )
}
