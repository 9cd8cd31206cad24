//! Sixty-four callers at once, each with one event a call.

use std::time::{Duration, Instant};

use rekindle_proto::v1;
use rekindle_proto::v1::ingest_service_client::IngestServiceClient;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::Bench;
use crate::Fallible;
use crate::definitions::{WORKSPACE, three_funnels};
use crate::report::{Line, whole};
use crate::workload::Order;

const CALLERS: usize = 64;
const FULL: u32 = 40_000;

/// Calls a second beside empty calls to the same server, and the slowest of a hundred.
pub async fn rate(bench: &Bench) -> Fallible<Vec<Line>> {
    let calls = bench.small(FULL) as usize;
    let workload = bench.workload((calls / 8) as u32 + 1, 'u');
    let database = bench.server.database().await?;
    let program = bench.start(&database)?;
    let channel = program.connect().await?;
    three_funnels(&channel).await?;
    // Once to warm up, once to measure.
    empty_calls(&channel, calls).await?;
    let (baseline, _) = rate_of(empty_calls(&channel, calls).await?);
    let events = workload.slots(Order::Time).into_iter().take(calls).map(|slot| workload.event(&slot));
    let requests = events
        .map(|event| v1::IngestEventsRequest { parent: WORKSPACE.into(), events: vec![event] })
        .collect();
    let (ours, slowest) = rate_of(event_calls(&channel, requests).await?);
    drop(program);
    database.remove().await?;
    let count = whole(calls as f64);
    Ok(vec![
        Line::rates(format!("64 callers of one event, PostgreSQL ({count} calls)"), baseline, ours, 0.2),
        Line::limit("the same: 99 of 100 are answered within".into(), slowest, 20.0, "ms"),
    ])
}

/// How long calls took, and all of them together.
type Taken = (Duration, Vec<Duration>);

async fn empty_calls(channel: &Channel, calls: usize) -> Fallible<Taken> {
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let mut client = HealthClient::new(channel.clone());
        callers.spawn(async move {
            let mut taken = Vec::new();
            for _ in (caller..calls).step_by(CALLERS) {
                let call = Instant::now();
                client.check(HealthCheckRequest { service: String::new() }).await?;
                taken.push(call.elapsed());
            }
            Fallible::Ok(taken)
        });
    }
    together(callers, began).await
}

async fn event_calls(channel: &Channel, requests: Vec<v1::IngestEventsRequest>) -> Fallible<Taken> {
    let mut dealt: Vec<Vec<v1::IngestEventsRequest>> = vec![Vec::new(); CALLERS];
    for (place, request) in requests.into_iter().enumerate() {
        dealt[place % CALLERS].push(request);
    }
    let began = Instant::now();
    let mut callers = JoinSet::new();
    for requests in dealt {
        let mut client = IngestServiceClient::new(channel.clone());
        callers.spawn(async move {
            let mut taken = Vec::new();
            for request in requests {
                let call = Instant::now();
                let answer = client.ingest_events(request).await?.into_inner();
                taken.push(call.elapsed());
                if answer.accepted_count != 1 {
                    return Err("an event was not taken".into());
                }
            }
            Fallible::Ok(taken)
        });
    }
    together(callers, began).await
}

async fn together(mut callers: JoinSet<Fallible<Vec<Duration>>>, began: Instant) -> Fallible<Taken> {
    let mut taken = Vec::new();
    while let Some(done) = callers.join_next().await {
        taken.extend(done??);
    }
    Ok((began.elapsed(), taken))
}

/// Calls a second, and the 99th percentile in milliseconds.
fn rate_of((all, mut taken): Taken) -> (f64, f64) {
    taken.sort_unstable();
    let slowest = taken.get(taken.len() * 99 / 100).copied().unwrap_or_default();
    (taken.len() as f64 / all.as_secs_f64(), slowest.as_secs_f64() * 1e3)
}
