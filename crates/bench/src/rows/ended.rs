//! Claims beside five million runs that are over.

use sea_orm::sqlx::{Executor, PgPool, Row};

use super::loaded::count;
use super::waiting::{TEMPLATES, Waiting, said, sleep_until, soon, start_runs};
use super::{Bench, now};
use crate::Fallible;
use crate::client::stream_events;
use crate::multiply::multiply_ended;
use crate::report::{Line, whole};

/// Runs that are over.
const ENDED: u32 = 5_000_000;
/// Letter of the names of those that the program ended itself.
const PREFIX: char = 'e';
/// Runs that are claimed.
const FULL: u32 = 24_000;
/// So many of them fall due together,
const TOGETHER: u32 = 20;
/// and so many microseconds later the next: one wave is over before another comes.
const APART: i64 = 50_000;
/// Looks for work come so often that waiting for one does not hide the claim.
const OFTEN: (&str, &str) = ("REKINDLE__LEASE__POLL_MS", "5");

/// Within what time 99 of 100 runs are claimed, beside the same without the runs that are over.
///
/// The program does not tell how long a claim takes. Its ledger tells when the step that follows
/// began, which is when the claim was committed; before it come the look for what is due, every
/// five milliseconds, and the claim.
pub async fn growth(bench: &Bench) -> Fallible<Vec<Line>> {
    let (baseline, _) = claimed_within(bench, 0).await?;
    let (ours, ended) = claimed_within(bench, bench.large(ENDED)).await?;
    let (runs, ended) = (whole(f64::from(bench.small(FULL))), whole(ended as f64));
    let what = format!(
        "of {runs} runs, 99 of 100 are claimed after falling due within, beside {ended} ended runs (baseline: none)"
    );
    Ok(vec![Line::growth(what, baseline, ours, 1.5)])
}

/// Seconds, and runs that were over.
async fn claimed_within(bench: &Bench, ended: u32) -> Fallible<(f64, i64)> {
    let waiting = Waiting::load(bench, bench.small(FULL)).await?;
    if ended > 0 {
        end_beside(bench, &waiting, ended).await?;
    }
    let over = count(&waiting.pool, "SELECT count(*) FROM runs WHERE state <> 1").await?;
    let at = soon();
    waiting.fall_due(&format!("{at} + {APART} * (place / {TOGETHER})")).await?;
    // A run forgets when it was due.
    waiting
        .pool
        .execute("CREATE TABLE falls_due AS SELECT id, next_at AS at FROM runs WHERE state = 1")
        .await?;
    let program = waiting.start(bench, &[OFTEN])?;
    sleep_until(at).await?;
    waiting.until_queued().await?;
    drop(program);
    let late = slowest(&waiting.pool, waiting.runs).await?;
    waiting.remove().await?;
    Ok((late, over))
}

/// Has the program start runs and end them as their customers answer, and copies those.
async fn end_beside(bench: &Bench, waiting: &Waiting, ended: u32) -> Fallible<()> {
    let templates = ended.min(TEMPLATES);
    let program = waiting.start(bench, &[])?;
    start_runs(bench, &program, &waiting.pool, templates, PREFIX).await?;
    let at = now();
    let answers = (0..templates).map(|number| said(PREFIX, number, 1, "desk_answer", at)).collect();
    stream_events(&program, bench.streams, answers).await?;
    drop(program);
    let over = count(&waiting.pool, "SELECT count(*) FROM runs WHERE state <> 1").await?;
    if over != i64::from(templates) {
        return Err(format!("{over} of {templates} runs ended").into());
    }
    multiply_ended(&waiting.pool, PREFIX, ended / templates - 1).await
}

/// Seconds within which 99 of 100 of these runs were claimed after they fell due.
async fn slowest(pool: &PgPool, runs: u32) -> Fallible<f64> {
    let sql = "SELECT count(*), \
                 percentile_cont(0.99) WITHIN GROUP (ORDER BY (e.at - d.at)::double precision) \
               FROM run_events e JOIN falls_due d ON d.id = e.run WHERE e.kind = 'branched'";
    let row = pool.fetch_one(sql).await?;
    let (claimed, micros): (i64, f64) = (row.try_get(0)?, row.try_get(1)?);
    if claimed == i64::from(runs) {
        Ok(micros / 1e6)
    } else {
        Err(format!("{claimed} of {runs} runs came by the branch").into())
    }
}
