//! Events a second over gRPC streams, committed with attempts, silences and timers; and memory.

use std::path::Path;

use super::Bench;
use crate::client::stream_slots;
use crate::definitions::three_funnels;
use crate::postgres::migrate;
use crate::program::Program;
use crate::report::{Line, whole};
use crate::workload::{Order, Slot, Workload};
use crate::{Fallible, baseline};

const FULL: u32 = 1_000_000;
const ORDERS: [(Order, &str); 2] =
    [(Order::Time, "in time order"), (Order::Conversation, "grouped by conversation")];

/// On `PostgreSQL`; memory after start and at its most beside it.
pub async fn postgres(bench: &Bench) -> Fallible<Vec<Line>> {
    let workload = bench.workload(bench.large(FULL), 'w');
    let (mut lines, mut peak, mut idle) = (Vec::new(), 0.0_f64, 0.0_f64);
    for ((order, words), goal) in ORDERS.into_iter().zip([0.2, 0.35]) {
        let (slots, count) = window(bench, &workload, order);
        let plain = bench.server.database().await?;
        plain.migrate().await?;
        let baseline = baseline::postgres::insert(&plain, &workload, &slots).await?;
        plain.remove().await?;
        let database = bench.server.database().await?;
        let program = bench.start(&database)?;
        idle = idle.max(program.resident_mb()?);
        let ours = ingest(bench, &program, &workload, &slots).await?;
        peak = peak.max(program.peak_mb()?);
        drop(program);
        database.remove().await?;
        lines.push(Line::rates(format!("ingest, PostgreSQL, {words} ({count})"), baseline, ours, goal));
    }
    lines.push(Line::limit("resident memory after start".into(), idle, 40.0, "MB"));
    lines.push(Line::limit("resident memory at full ingest load, at most".into(), peak, 256.0, "MB"));
    Ok(lines)
}

/// On a `SQLite` file.
pub async fn sqlite(bench: &Bench) -> Fallible<Vec<Line>> {
    let workload = bench.workload(bench.large(FULL), 'w');
    let mut lines = Vec::new();
    for ((order, words), goal) in ORDERS.into_iter().zip([0.15, 0.25]) {
        let (slots, count) = window(bench, &workload, order);
        let folder = tempfile::tempdir_in(&bench.folder)?;
        let plain = folder.path().join("plain.db");
        migrate(&url(&plain)).await?;
        let baseline = baseline::sqlite::insert(&plain, &workload, &slots)?;
        let program = Program::start(&bench.program, &url(&folder.path().join("ours.db")), None)?;
        let ours = ingest(bench, &program, &workload, &slots).await?;
        drop(program);
        lines.push(Line::rates(format!("ingest, SQLite, {words} ({count})"), baseline, ours, goal));
    }
    Ok(lines)
}

/// The first events of the workload, and how many they are of all.
fn window(bench: &Bench, workload: &Workload, order: Order) -> (Vec<Slot>, String) {
    let mut slots = workload.slots(order);
    let all = slots.len();
    slots.truncate(bench.events);
    let count = match slots.len() {
        part if part < all => format!("the first {} of {} events", whole(part as f64), whole(all as f64)),
        _ => format!("{} events", whole(all as f64)),
    };
    (slots, count)
}

async fn ingest(bench: &Bench, program: &Program, workload: &Workload, slots: &[Slot]) -> Fallible<f64> {
    three_funnels(&program.connect().await?).await?;
    stream_slots(program, bench.streams, workload, slots).await
}

fn url(file: &Path) -> String {
    format!("sqlite:{}", file.display())
}
