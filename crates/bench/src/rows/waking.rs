//! A hundred thousand runs that wake at one instant.

use super::waiting::{Waiting, sleep_until, soon};
use super::{Bench, now};
use crate::Fallible;
use crate::report::{Line, whole};

const FULL: u32 = 100_000;
/// Seconds.
const LATEST: f64 = 12.0;

/// How late the last of them has its mail queued, on one replica.
pub async fn lateness(bench: &Bench) -> Fallible<Vec<Line>> {
    let waiting = Waiting::load(bench, bench.small(FULL)).await?;
    let at = soon();
    waiting.fall_due(&at.to_string()).await?;
    let program = waiting.start(bench, &[])?;
    sleep_until(at).await?;
    waiting.until_queued().await?;
    let late = (now() - at) as f64 / 1e6;
    drop(program);
    let runs = whole(f64::from(waiting.runs));
    waiting.remove().await?;
    let what = format!("{runs} runs wake at one instant, branch and queue a send: the last is late by");
    Ok(vec![Line::limit(what, late, LATEST, "s")])
}
