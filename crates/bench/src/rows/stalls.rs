//! Ten thousand stalls that fall due at one instant among a million open journeys.

use std::time::{Duration, Instant};

use rekindle_proto::v1;
use sea_orm::sqlx::{AssertSqlSafe, Executor, PgPool};

use super::loaded::{count, load};
use super::{Bench, now};
use crate::Fallible;
use crate::client::stream_events;
use crate::definitions::{desk, three_funnels, wait_step, webhook_step};
use crate::multiply::Copied;
use crate::program::Program;
use crate::report::{Line, whole};
use crate::workload::timestamp;

const DUE: u32 = 10_000;
/// Conversations that have a million open journeys.
const FULL: u32 = 400_000;
/// Events come this long before they stall, so that all are stored by then.
pub const AHEAD: i64 = 30;

/// Where the sequence would call, an hour after everything is over.
const NOWHERE: &str = "https://receiver.example/hook";

/// All marked and all runs started, beside ten times a bare UPDATE of the rows.
pub async fn time(bench: &Bench) -> Fallible<Vec<Line>> {
    let due = bench.small(DUE);
    let define = async |channel| {
        let call = webhook_step(&channel, NOWHERE).await?;
        desk(&channel, AHEAD, vec![wait_step(), call]).await?;
        three_funnels(&channel).await
    };
    let (database, pool) = load(bench, bench.large(FULL), Copied::WithoutEvents, define).await?;
    let open = count(&pool, "SELECT count(*) FROM journeys WHERE open_since IS NOT NULL").await?;
    let program = bench.start(&database)?;
    let at = contacts(bench, &program, due, AHEAD).await?;
    let baseline = bare_update(&pool, at, due).await?;
    let ours = until_started(&pool, at, due).await?;
    drop(program);
    pool.close().await;
    database.remove().await?;
    let (due, open) = (whole(f64::from(due)), whole(open as f64));
    let what = format!(
        "{due} stalls at one instant among {open} open journeys: marked, runs started (baseline: UPDATE x 10)"
    );
    Ok(vec![Line::times(what, baseline * 10.0, ours, 1.0)])
}

/// Sends an event of each of so many conversations; when all of them stall, in microseconds
/// since 1970.
pub async fn contacts(
    bench: &Bench,
    program: &Program,
    conversations: u32,
    stall_seconds: i64,
) -> Fallible<i64> {
    let at = now();
    let events = (0..conversations)
        .map(|number| v1::Event {
            id: format!("due-{number:06}"),
            conversation: format!("due-{number:06}"),
            customer: format!("due-customer-{number:06}"),
            r#type: "desk_contact".into(),
            occur_time: Some(timestamp(at)),
            ..Default::default()
        })
        .collect();
    stream_events(program, bench.streams, events).await?;
    let due = at + stall_seconds * 1_000_000;
    if now() >= due { Err("the stalls were due before they were stored".into()) } else { Ok(due) }
}

/// Seconds that one UPDATE of the rows takes; they are as they were afterwards.
async fn bare_update(pool: &PgPool, due: i64, rows: u32) -> Fallible<f64> {
    let mut taken = Vec::new();
    for _ in 0..3 {
        let mut transaction = pool.begin().await?;
        let began = Instant::now();
        let sql = format!(
            "UPDATE timers SET due_at = due_at + 1, epoch = epoch + 1, lease_owner = NULL, lease_until = NULL \
             WHERE due_at = {due} AND bucket = (SELECT min(bucket) FROM timers)"
        );
        let done = transaction.execute(AssertSqlSafe(sql)).await?;
        taken.push(began.elapsed().as_secs_f64());
        transaction.rollback().await?;
        if done.rows_affected() != u64::from(rows) {
            return Err(format!("{} of {rows} timers are due", done.rows_affected()).into());
        }
    }
    pool.execute("VACUUM timers").await?;
    taken.sort_by(f64::total_cmp);
    Ok(taken[1])
}

/// Seconds from the first claim until every run has started.
async fn until_started(pool: &PgPool, due: i64, runs: u32) -> Fallible<f64> {
    let wait = Duration::from_micros(u64::try_from(due - now()).unwrap_or_default());
    tokio::time::sleep(wait).await;
    let claimed = format!(
        "SELECT count(*) FROM (SELECT 1 FROM timers WHERE due_at <= {due} AND bucket = (SELECT bucket FROM timers LIMIT 1) \
         AND lease_until IS NOT NULL LIMIT 1) AS claimed"
    );
    while count(pool, &claimed).await? == 0 && count(pool, "SELECT count(*) FROM runs").await? == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if now() > due + 30_000_000 {
            return Err("nothing was claimed within half a minute".into());
        }
    }
    let began = Instant::now();
    while count(pool, "SELECT count(*) FROM runs").await? < i64::from(runs) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if began.elapsed() > Duration::from_mins(5) {
            return Err("not every run started within five minutes".into());
        }
    }
    let taken = began.elapsed().as_secs_f64();
    let marks = count(pool, &format!("SELECT count(*) FROM marks WHERE due_at = {due}")).await?;
    if marks == i64::from(runs) { Ok(taken) } else { Err(format!("{marks} marks of {runs}").into()) }
}
