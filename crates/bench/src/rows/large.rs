//! Ingest beside ten million journeys.

use super::Bench;
use super::loaded::{count, load};
use crate::Fallible;
use crate::client::stream_slots;
use crate::definitions::three_funnels;
use crate::multiply::Copied;
use crate::report::{Line, whole};
use crate::workload::Order;

/// Conversations that have ten million journeys, and a hundred thousand.
const FULL: [u32; 2] = [4_000_000, 40_000];
/// Conversations that come to them.
const INGESTED: u32 = 100_000;

/// With many journeys beside few.
pub async fn rate(bench: &Bench) -> Fallible<Vec<Line>> {
    let (ours, many) = ingest(bench, FULL[0]).await?;
    let (baseline, few) = ingest(bench, FULL[1]).await?;
    let (many, few) = (whole(many as f64), whole(few as f64));
    let what =
        format!("ingest, PostgreSQL, beside {many} journeys (baseline: {few}; their events not loaded)");
    Ok(vec![Line::rates(what, baseline, ours, 0.6)])
}

/// Events a second, and journeys in the database before.
async fn ingest(bench: &Bench, conversations: u32) -> Fallible<(f64, i64)> {
    let define = async |channel| three_funnels(&channel).await;
    let (database, pool) = load(bench, bench.large(conversations), Copied::WithoutEvents, define).await?;
    let journeys = count(&pool, "SELECT count(*) FROM journeys").await?;
    let workload = bench.workload(bench.small(INGESTED / 10), 'w');
    let program = bench.start(&database)?;
    let slots = workload.slots(Order::Time);
    let rate = stream_slots(&program, bench.streams, &workload, &slots).await?;
    drop(program);
    pool.close().await;
    database.remove().await?;
    Ok((rate, journeys))
}
