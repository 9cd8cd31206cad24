//! The same with the default lease times, many times over: minutes, not seconds.
//!
//! `REKINDLE_TEST_KILLS` and `REKINDLE_TEST_SLEEPS` say how often, `REKINDLE_TEST_SEED` chooses
//! other moments.

use std::time::Duration;

use super::trio::{Stage, Trio};
use crate::surroundings::{Draws, variable};

/// Trios at once, each on a database of its own.
const TRIOS: u64 = 4;
/// The default lease.
const LEASE: Duration = Duration::from_secs(15);
/// What is promised, for 99 of 100.
const PROMISED: Duration = Duration::from_secs(20);
/// A holder dies so long after it began, in milliseconds: anywhere between two renewals.
const ANYWHERE: u64 = 5_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes: just replicas"]
async fn what_a_killed_replica_held_is_taken_over_within_20_s() {
    let kills = asked("REKINDLE_TEST_KILLS", 100);
    let each = kills.div_ceil(TRIOS);
    let (a, b, c, d) = tokio::join!(kill(0, each), kill(1, each), kill(2, each), kill(3, each));
    let mut spans = [a, b, c, d].concat();
    if spans.is_empty() {
        return;
    }
    spans.sort_by_key(|(span, _)| *span);
    for stage in Stage::ALL {
        let of_stage: Vec<Duration> =
            spans.iter().filter(|(_, other)| *other == stage).map(|(span, _)| *span).collect();
        println!("{stage:?}: {} kills, {}", of_stage.len(), told(&of_stage));
    }
    let spans: Vec<Duration> = spans.into_iter().map(|(span, _)| span).collect();
    println!("all: {} kills, leases of {LEASE:?}, {}", spans.len(), told(&spans));
    assert!(rank(&spans, 99) <= PROMISED, "99 of 100 within {PROMISED:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes: just replicas"]
async fn replicas_that_slept_for_three_default_leases_write_nothing() {
    let sleeps = asked("REKINDLE_TEST_SLEEPS", 36);
    let each = sleeps.div_ceil(TRIOS);
    let (a, b, c, d) = tokio::join!(sleep(0, each), sleep(1, each), sleep(2, each), sleep(3, each));
    println!("{} sleeps of {:?}, 0 stale writes", a + b + c + d, 3 * LEASE);
}

/// Kills over and over; how long each takeover took.
async fn kill(trio: u64, times: u64) -> Vec<(Duration, Stage)> {
    let Some(mut three) = Trio::start(LEASE).await else {
        return Vec::new();
    };
    let mut draws = Draws::new(asked("REKINDLE_TEST_SEED", 20_080_427) + trio);
    let mut spans = Vec::new();
    for time in 0..times {
        let stage = Stage::ALL[((time + trio) % 3) as usize];
        let held = three.hold(stage).await;
        tokio::time::sleep(Duration::from_millis(draws.between(0, ANYWHERE))).await;
        let span = three.kill(held).await;
        println!("trio {trio}: killed in the middle of {stage:?}, taken over after {span:.1?}");
        spans.push((span, stage));
    }
    three.check().await;
    spans
}

/// Puts to sleep and wakes, over and over; how often.
async fn sleep(trio: u64, times: u64) -> u64 {
    let Some(mut three) = Trio::start(LEASE).await else {
        return 0;
    };
    for time in 0..times {
        let held = three.hold(Stage::ALL[((time + trio) % 3) as usize]).await;
        three.sleep_and_wake(held, 3 * LEASE).await;
    }
    three.check().await;
    times
}

fn asked(name: &str, default: u64) -> u64 {
    variable(name).and_then(|number| number.parse().ok()).unwrap_or(default)
}

/// Median, 99th percentile and the longest, of spans in order.
fn told(spans: &[Duration]) -> String {
    let (half, most, last) = (rank(spans, 50), rank(spans, 99), rank(spans, 100));
    format!("p50 {half:.1?}, p99 {most:.1?}, max {last:.1?}")
}

/// The nearest rank (Hyndman and Fan 1996, type 1).
fn rank(spans: &[Duration], percent: usize) -> Duration {
    spans[(spans.len() * percent).div_ceil(100).max(1) - 1]
}
