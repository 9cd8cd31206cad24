//! A sequence of twelve steps that is edited while many runs are in it, once by each policy: what was
//! said before is what was done, and every run is counted once.
//!
//! `REKINDLE_TEST_RUNS` runs (240 where nothing is said), spread over the six waits.

use std::collections::BTreeSet;
use std::time::Instant;

use rekindle_engine::runs::{LedgerQuery, RunView};
use rekindle_testkit::TestDatabase;

use super::*;
use crate::chance::number;

/// An hour and half of it, in seconds.
const AN_HOUR: i64 = 3_600;
const HALF: i64 = AN_HOUR / 2;
/// Waits of the sequence.
const WAITS: i64 = 6;
/// When the last cohort begins to wait, and the first comes to the last wait.
const SPREAD: i64 = 600 + (WAITS - 1) * AN_HOUR;
/// Runs read at once.
const PAGE: u32 = 1_000;

/// An hour and a call, six times: `w1`, `c1`, … `c6`.
fn twelve() -> Sequence {
    let pairs =
        (1..=WAITS).flat_map(|number| [wait(&format!("w{number}"), HOUR), call(&format!("c{number}"))]);
    sequence(pairs.collect())
}

/// Two waits are gone, two have other lengths, and a pair came at the end: twelve again.
fn edited() -> Sequence {
    let mut steps = twelve().steps;
    steps.retain(|step| !matches!(step.id.as_str(), "w3" | "w5"));
    steps[0] = wait("w1", 2 * HOUR);
    steps[2] = wait("w2", 30 * MINUTE);
    steps.extend([wait("w7", HOUR), call("c7")]);
    sequence(steps)
}

/// How many of `all` are in a cohort, from 0.
fn cohort(all: i64, place: i64) -> i64 {
    all * (place + 1) / WAITS - all * place / WAITS
}

/// A house with so many runs: those that began first stand in `w6`, the last ones in `w1`.
async fn crowded(database: &TestDatabase, all: i64) -> House {
    let house = House::with(database, twelve()).await;
    for place in 0..WAITS {
        let seconds = place * AN_HOUR;
        house.clock.set(at(seconds));
        let of_one = |number: i64| {
            let words = [("a", "customer_message"), ("b", "agent_message")];
            words.map(|(letter, kind)| {
                let word = event(&format!("{letter}-{place}-{number}"), kind, seconds);
                word.of(&format!("t-{place}-{number}")).from_customer(&format!("who-{place}-{number}"))
            })
        };
        let words: Vec<_> = (0..cohort(all, place)).flat_map(of_one).collect();
        for batch in words.chunks(1_000) {
            let report = house.engine.ingest(house.scope, batch.to_vec()).await.expect("it can be stored");
            assert_eq!(report.accepted as usize, batch.len(), "{report:?}");
        }
        house.go(seconds + 600).await;
    }
    house
}

async fn everybody(house: &House) -> Vec<RunView> {
    let mut all: Vec<RunView> = Vec::new();
    loop {
        let before = all.last().map(|view| (view.run.created_at, view.run.id.to_string()));
        let query = LedgerQuery { before, ..LedgerQuery::default() };
        let page = house.engine.runs(house.scope, query, PAGE).await.expect("readable");
        let is_last = page.len() < PAGE as usize;
        all.extend(page);
        if is_last {
            return all;
        }
    }
}

/// Runs by the step they stand in, or by why they ended.
fn tally(runs: &[RunView]) -> Counts {
    let mut counts = Counts::new();
    for view in runs {
        let place = match (view.run.state, view.run.end_reason) {
            (RunState::Running, _) => view.current_step.clone(),
            (state, None) => format!("{state:?}"),
            (_, Some(reason)) => format!("{reason:?}"),
        };
        *counts.entry(place).or_default() += 1;
    }
    counts
}

fn counts(pairs: &[(&str, i64)]) -> Counts {
    pairs.iter().filter(|(_, count)| *count > 0).map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// Where the runs of the cohorts stand before the edit.
fn spread(all: i64) -> Counts {
    (0..WAITS).map(|place| (format!("w{}", WAITS - place), cohort(all, place))).collect()
}

/// What a policy is to do: runs after it, and calls that were made in the end.
struct Expected {
    impact: RunImpact,
    after: Counts,
    end: Counts,
    calls: i64,
}

fn expected(policy: RunPolicy, all: i64) -> Expected {
    let [w6, w5, w4, w3, w2, w1] = [0, 1, 2, 3, 4, 5].map(|place| cohort(all, place));
    // Calls that were made before: one for each wait that is over.
    let made = 5 * w6 + 4 * w5 + 3 * w4 + 2 * w3 + w2;
    match policy {
        RunPolicy::Drain => Expected {
            impact: RunImpact { staying: all, ..RunImpact::default() },
            after: spread(all),
            end: counts(&[("Completed", all)]),
            calls: 6 * all,
        },
        RunPolicy::Migrate => Expected {
            impact: RunImpact { staying: 0, moving: all - w5, ending: w5 },
            after: counts(&[("w1", w1), ("w2", w2), ("w4", w3 + w4), ("w6", w6), ("StepRemoved", w5)]),
            end: counts(&[("Completed", all - w5), ("StepRemoved", w5)]),
            calls: made + 7 * w1 + 6 * w2 + 4 * (w3 + w4) + 2 * w6,
        },
        RunPolicy::Cancel => Expected {
            impact: ending(all),
            after: counts(&[("SequenceChanged", all)]),
            end: counts(&[("SequenceChanged", all)]),
            calls: made,
        },
    }
}

async fn edit_a_crowd(database: &TestDatabase, policy: RunPolicy, all: i64) {
    let Expected { impact, after, end, calls } = expected(policy, all);
    let house = crowded(database, all).await;
    let before = tally(&everybody(&house).await);
    assert_eq!(before, spread(all), "{policy:?} on {}", database.name);
    let map: &[(&str, &str)] = if policy == RunPolicy::Migrate { &[("w3", "w4"), ("w5", "")] } else { &[] };
    let change = edit(edited(), policy, map);
    let asked = Instant::now();
    let check = SequenceChange { validate_only: true, ..change.clone() };
    let counted = house.revise(check).await;
    let (asked, did) = (asked.elapsed(), Instant::now());
    assert_eq!(tally(&everybody(&house).await), before, "only counted");
    let done = house.revise(change).await;
    let did = did.elapsed();
    assert_eq!((counted, done), (impact, impact), "{policy:?} on {}", database.name);
    assert_eq!(impact.staying + impact.moving + impact.ending, before.values().sum::<i64>());
    let runs = everybody(&house).await;
    let found = tally(&runs);
    eprintln!(
        "{policy:?} on {}: {before:?} became {found:?}; counted in {asked:?}, done in {did:?}",
        database.name
    );
    assert_eq!(found, after, "{policy:?} on {}", database.name);
    let revision = if policy == RunPolicy::Migrate { 2 } else { 1 };
    let is_running = |view: &&RunView| view.run.state == RunState::Running;
    assert!(runs.iter().filter(is_running).all(|view| view.run.sequence_revision == revision));
    for halves in 0..=14 {
        house.go(SPREAD + halves * HALF).await;
    }
    assert_eq!(tally(&everybody(&house).await), end, "{policy:?} on {}", database.name);
    let ids = house.courier.ids();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "a call was made twice");
    assert_eq!(ids.len() as i64, calls, "{policy:?} on {}", database.name);
}

#[tokio::test]
async fn a_sequence_is_edited_while_a_crowd_is_in_it_and_every_run_is_counted_once() {
    let all = number("REKINDLE_TEST_RUNS", 240) as i64;
    for policy in [RunPolicy::Drain, RunPolicy::Migrate, RunPolicy::Cancel] {
        for database in databases().await {
            edit_a_crowd(&database, policy, all).await;
        }
    }
}
