//! Twenty thousand events of one customer in no order at all.

use rekindle_proto::v1;

use super::Bench;
use crate::Fallible;
use crate::client::stream_events;
use crate::definitions::customer_funnel;
use crate::draws::Draws;
use crate::report::{Line, whole};
use crate::workload::Order;

const FULL: u32 = 20_000;
/// Customers that the same events are spread over.
const CUSTOMERS: u32 = 2_000;

/// Beside the same events in order over many customers.
pub async fn rate(bench: &Bench) -> Fallible<Vec<Line>> {
    let count = bench.small(FULL);
    let customers = count * CUSTOMERS / FULL;
    let workload = bench.workload(count / 8, 'x');
    let mut slots = workload.slots(Order::Time);
    slots.sort_by_key(|slot| (slot.at, slot.conversation, slot.place));
    let events = |customer: &dyn Fn(u32) -> u32| -> Vec<v1::Event> {
        slots
            .iter()
            .map(|slot| {
                let customer = format!("customer-{}", customer(slot.conversation));
                v1::Event { customer, ..workload.event(slot) }
            })
            .collect()
    };
    let baseline = ingest(bench, events(&|conversation| conversation % customers)).await?;
    let mut shuffled = events(&|_| 0);
    Draws::of(bench.seed, u64::from(count)).shuffle(&mut shuffled);
    let ours = ingest(bench, shuffled).await?;
    let (count, customers) = (whole(f64::from(count)), whole(f64::from(customers)));
    let what = format!(
        "{count} shuffled events of one customer, PostgreSQL (baseline: in order, {customers} customers)"
    );
    Ok(vec![Line::rates(what, baseline, ours, 0.2)])
}

async fn ingest(bench: &Bench, events: Vec<v1::Event>) -> Fallible<f64> {
    let database = bench.server.database().await?;
    let program = bench.start(&database)?;
    customer_funnel(&program.connect().await?).await?;
    let rate = stream_events(&program, bench.streams, events).await?;
    drop(program);
    database.remove().await?;
    Ok(rate)
}
