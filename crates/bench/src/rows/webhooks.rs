//! Webhooks a second, each with its outcome recorded.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::Bench;
use super::loaded::count;
use super::stalls::contacts;
use crate::Fallible;
use crate::definitions::{desk, webhook_step};
use crate::program::Program;
use crate::receiver::Receiver;
use crate::report::{Line, whole};

const FULL: u32 = 4_000;
/// Sends in flight: the program's default.
const CONCURRENCY: u32 = 48;
/// Bytes of a body, about those of the program's own.
const BODY: usize = 600;
/// Events come this long before they stall.
const AHEAD: i64 = 10;

/// From the first call until the last outcome is recorded, beside a bare client's loop.
pub async fn rate(bench: &Bench) -> Fallible<Vec<Line>> {
    let calls = bench.small(FULL);
    let receiver = Receiver::start().await?;
    let baseline = bare_rate(&receiver, calls).await?;
    let database = bench.server.database().await?;
    let program = Program::start(&bench.program, &database.url, Some(receiver.port))?;
    let channel = program.connect().await?;
    let step = webhook_step(&channel, &receiver.url()).await?;
    desk(&channel, AHEAD, vec![step]).await?;
    contacts(bench, &program, calls, AHEAD).await?;
    let pool = database.connect().await?;
    let before = receiver.calls();
    let waiting = Instant::now();
    while receiver.calls() == before {
        if waiting.elapsed() > Duration::from_mins(1) {
            return Err("no webhook came within a minute".into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let began = Instant::now();
    let open = "SELECT count(*) FROM deliveries WHERE ended_at IS NOT NULL AND attempts = 1";
    while count(&pool, open).await? < i64::from(calls) {
        if began.elapsed() > Duration::from_mins(5) {
            return Err("not every webhook was delivered within five minutes".into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ours = f64::from(calls) / began.elapsed().as_secs_f64();
    drop(program);
    pool.close().await;
    database.remove().await?;
    let what = format!("webhooks delivered and recorded, PostgreSQL ({} calls)", whole(f64::from(calls)));
    Ok(vec![Line::rates(what, baseline, ours, 0.2)])
}

/// Calls a second of a client that only calls.
async fn bare_rate(receiver: &Receiver, calls: u32) -> Fallible<f64> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CONCURRENCY {
        let (client, url) = (client.clone(), receiver.url());
        callers.spawn(async move {
            for _ in (caller..calls).step_by(CONCURRENCY as usize) {
                client.post(&url).body(vec![b'x'; BODY]).send().await?.error_for_status()?;
            }
            Fallible::Ok(())
        });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    Ok(f64::from(calls) / began.elapsed().as_secs_f64())
}
