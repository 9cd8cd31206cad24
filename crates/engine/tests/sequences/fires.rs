//! Times of schedules that meet with a subject that nobody can read, and with another zone.

use std::collections::BTreeMap;

use rekindle_core::sequence::{Action, Occasion, OnSchedule, Overlap, Sequence, Trigger};
use rekindle_core::time::SECOND;
use rekindle_engine::workspace::WorkspaceChange;
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::databases;

use crate::house::{House, change, sequence, step, webhook};

/// Seconds.
const A_DAY: i64 = 86_400;
/// Nine in the morning in UTC, on the first day.
const NINE: i64 = 9 * 3_600;
/// Where the clock is changed to at ten, and when it is nine there next: after midnight in UTC, and
/// later on the same day.
const ZONES: [(&str, i64); 2] = [("Asia/Tokyo", A_DAY), ("America/New_York", NINE + 5 * 3_600)];

const WHO: [&str; 3] = ["ann", "bob", "cid"];

/// A call to those who were answered.
fn comes_round(cron: &str, zone: &str) -> Sequence {
    let on = OnSchedule { cron: cron.into(), zone: zone.into(), overlap: Overlap::Skip, jitter: 0 };
    let trigger = Trigger { on: Occasion::Schedule(on), ..sequence(Vec::new()).trigger };
    Sequence::new(trigger, vec![step("tell", Action::CallWebhook(webhook()))])
}

async fn all_answered(house: &House) {
    for who in WHO {
        for (id, kind) in [("a", "customer_message"), ("b", "agent_message")] {
            let word = event(&format!("{id}-{who}"), kind, 0).of(&format!("of-{who}"));
            house.hear(word.from_customer(who)).await;
        }
    }
}

/// Seconds of the times at which everybody was taken in, once each.
async fn times(house: &House) -> Vec<i64> {
    let mut taken: BTreeMap<i64, usize> = BTreeMap::new();
    for view in house.runs().await {
        *taken.entry(view.run.due_at.since(at(0)) / SECOND).or_default() += 1;
    }
    assert!(taken.values().all(|count| *count == WHO.len()), "{taken:?}");
    taken.into_keys().collect()
}

/// Sets the zone of the workspace.
async fn live_in(house: &House, zone: &str) {
    let mut body = house.engine.workspace(house.scope).await.expect("a workspace").body;
    body.zone = zone.into();
    let change = WorkspaceChange { body, etag: None };
    house.engine.update_workspace(house.scope, change).await.expect("a good workspace");
}

/// Asserts that it comes round at nine on the clock of the zone it was given at ten, from the first
/// time on, and at nine by the former zone no more.
async fn assert_follows(house: &House, first: i64) {
    let expected = [
        (first - 1, vec![NINE]),
        (first, vec![NINE, first]),
        (A_DAY + NINE, vec![NINE, first]),
        (A_DAY + first, vec![NINE, first, A_DAY + first]),
    ];
    for (second, taken) in expected {
        house.go(second).await;
        assert_eq!(times(house).await, taken, "at {second}");
    }
}

#[tokio::test]
async fn a_subject_that_cannot_be_read_is_passed_over_and_those_behind_it_have_their_turn() {
    for database in databases().await {
        let house = House::with(&database, comes_round("0 * * * *", "UTC")).await;
        all_answered(&house).await;
        house.go(3_599).await;
        let first = "SELECT key FROM conversations ORDER BY key LIMIT 1";
        let sql = format!("UPDATE conversations SET state = '{{' WHERE key IN ({first})");
        assert_eq!(database.execute(&sql).await, 1, "there is something to break");
        // The time is through with them, and the next one comes as ever.
        for (second, runs) in [(3_600, 2), (3_700, 2), (7_200, 4)] {
            house.go(second).await;
            assert_eq!(house.runs().await.len(), runs, "{}: at {second}", database.name);
            assert_eq!(house.courier.sent().len(), runs);
        }
    }
}

#[tokio::test]
async fn a_revision_in_another_zone_comes_round_by_that_from_then_on() {
    for (zone, first) in ZONES {
        for database in databases().await {
            let house = House::with(&database, comes_round("0 9 * * *", "UTC")).await;
            all_answered(&house).await;
            house.go(NINE).await;
            house.go(NINE + 3_600).await;
            let moved = change(comes_round("0 9 * * *", zone));
            house.engine.update_sequence(house.scope, "nudge", moved).await.expect("a good revision");
            assert_follows(&house, first).await;
        }
    }
}

#[tokio::test]
async fn a_schedule_without_a_zone_follows_the_workspace_to_another() {
    for (zone, first) in ZONES {
        for database in databases().await {
            let house = House::with(&database, comes_round("0 9 * * *", "")).await;
            all_answered(&house).await;
            house.go(NINE).await;
            house.go(NINE + 3_600).await;
            live_in(&house, zone).await;
            assert_follows(&house, first).await;
        }
    }
}

#[tokio::test]
async fn another_zone_of_the_workspace_moves_no_schedule_that_names_its_own() {
    for (zone, _) in ZONES {
        for database in databases().await {
            let house = House::with(&database, comes_round("0 9 * * *", "UTC")).await;
            all_answered(&house).await;
            live_in(&house, zone).await;
            house.go(NINE - 1).await;
            assert!(times(&house).await.is_empty(), "{}", database.name);
            house.go(NINE).await;
            assert_eq!(times(&house).await, [NINE]);
        }
    }
}

#[tokio::test]
async fn a_time_that_another_zone_puts_later_waits_for_it() {
    let (zone, first) = ZONES[1];
    for database in databases().await {
        let house = House::with(&database, comes_round("0 9 * * *", "")).await;
        all_answered(&house).await;
        live_in(&house, zone).await;
        house.go(first - 1).await;
        assert!(times(&house).await.is_empty(), "{}: nine by the former zone", database.name);
        house.go(first).await;
        assert_eq!(times(&house).await, [first]);
    }
}

#[tokio::test]
async fn another_zone_costs_nobody_the_hour_that_is_due() {
    for database in databases().await {
        let house = House::with(&database, comes_round("0 * * * *", "")).await;
        all_answered(&house).await;
        house.clock.set(at(3_600));
        live_in(&house, "Asia/Tokyo").await;
        house.go(3_601).await;
        assert_eq!(times(&house).await, [3_600], "{}", database.name);
    }
}
