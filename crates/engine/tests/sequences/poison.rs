//! Rows that cannot be worked on, beside rows that can.

use rekindle_ports::ledger::{EndReason, LedgerFilter, RunState};
use rekindle_ports::rows::{Lease, TimerAside};
use rekindle_testkit::build::at;
use rekindle_testkit::{TestDatabase, databases};

use crate::house::House;
use crate::schedules::{hourly, mail};

/// Makes a row of the conversation `c1` say what nothing can read.
async fn break_row(database: &TestDatabase, table: &str, key: &str) {
    let of_c1 = "SELECT key FROM conversations WHERE name = 'c1'";
    let sql = format!("UPDATE {table} SET state = '{{' WHERE {key} IN ({of_c1})");
    assert_eq!(database.execute(&sql).await, 1, "there is something to break");
}

/// Lets every claim run out, and then does what is due.
async fn lose_and_go_on(database: &TestDatabase, house: &House, table: &str) {
    let sql = format!("UPDATE {table} SET lease_until = 0 WHERE lease_until IS NOT NULL");
    assert_eq!(database.execute(&sql).await, 1, "{}: one row is still claimed", database.name);
    house.loops.drain().await.expect("the loops work");
}

async fn aside(house: &House) -> Vec<TimerAside> {
    let mut tx = house.store.read(house.scope).await.expect("it answers");
    tx.timers_aside(10).await.expect("readable")
}

#[tokio::test]
async fn a_journey_that_cannot_be_looked_at_costs_only_itself_and_is_set_aside() {
    for database in databases().await {
        let house = House::with_two_quiet(&database).await;
        break_row(&database, "journeys", "subject").await;
        house.go(600).await;
        let run = house.the_run().await;
        assert_eq!(run.conversation.as_deref(), Some("c2"), "{}: the other was noticed", database.name);
        for _ in 0..3 {
            assert!(aside(&house).await.is_empty());
            lose_and_go_on(&database, &house, "timers").await;
        }
        let aside = aside(&house).await;
        let [timer] = aside.as_slice() else { panic!("{aside:?}") };
        assert_eq!((timer.key.funnel.as_str(), timer.at), ("support", at(600)));
        assert!(timer.reason.contains("journeys"), "it says what is wrong: {}", timer.reason);
        assert_eq!(house.loops.turn().await.expect("the loops work"), 0, "nobody looks again");
    }
}

#[tokio::test]
async fn a_journey_whose_worker_always_died_is_set_aside_without_another_look() {
    for database in databases().await {
        let house = House::with_two_quiet(&database).await;
        house.clock.set(at(600));
        let (bucket, lease) = (house.scope.bucket, Lease { owner: "dead".into(), ttl: 0 });
        let mut tx = house.store.begin(house.scope).await.expect("it answers");
        assert_eq!(tx.claim_timers(bucket, at(600), &lease, 1).await.expect("claimed").len(), 1);
        for _ in 0..8 {
            assert!(tx.claim_lost_timer(bucket, at(600), &lease).await.expect("claimed").is_some());
        }
        tx.commit().await.expect("committed");
        house.go(600).await;
        assert_eq!(house.runs().await.len(), 1, "{}: the other was noticed", database.name);
        let aside = aside(&house).await;
        let [timer] = aside.as_slice() else { panic!("{aside:?}") };
        assert!(timer.reason.contains("died"), "{}", timer.reason);
    }
}

#[tokio::test]
async fn a_journey_is_looked_at_again_when_something_happens_in_it() {
    for database in databases().await {
        let house = House::with_two_quiet(&database).await;
        house.clock.set(at(600));
        let (bucket, lease) = (house.scope.bucket, Lease { owner: "w".into(), ttl: 0 });
        let mut tx = house.store.begin(house.scope).await.expect("it answers");
        for claim in tx.claim_timers(bucket, at(600), &lease, 10).await.expect("claimed") {
            assert!(tx.set_timer_aside(&claim, "a test says so", at(600)).await.expect("held"));
        }
        tx.commit().await.expect("committed");
        house.go(601).await;
        assert!(house.runs().await.is_empty());
        house.word("e3", "customer_message", 700).await;
        house.word("e4", "agent_message", 700).await;
        house.go(1_300).await;
        let run = house.the_run().await;
        assert_eq!(run.conversation.as_deref(), Some("c1"), "{}", database.name);
        assert_eq!(aside(&house).await.len(), 1, "the other still is");
    }
}

#[tokio::test]
async fn a_run_that_cannot_go_on_costs_only_itself_and_ends_with_the_reason() {
    for database in databases().await {
        let house = House::with_two_quiet(&database).await;
        house.go(600).await;
        assert_eq!(house.runs().await.len(), 2);
        break_row(&database, "conversations", "key").await;
        house.go(4_200).await;
        assert_eq!(house.courier.sent().len(), 1, "{}: the other went on", database.name);
        for _ in 0..3 {
            lose_and_go_on(&database, &house, "runs").await;
        }
        let mut tx = house.store.read(house.scope).await.expect("it answers");
        let runs = tx.runs(&LedgerFilter::default(), 10).await.expect("readable");
        let failed: Vec<_> = runs.iter().filter(|run| run.end_reason == Some(EndReason::Failed)).collect();
        let [run] = failed.as_slice() else { panic!("{runs:#?}") };
        assert_eq!(run.state, RunState::Ended);
        let lines = tx.run_log(run.id).await.expect("readable");
        let last = lines.last().expect("a line");
        assert_eq!(last.kind, "ended");
        assert!(last.detail.contains("conversations"), "it says what is wrong: {}", last.detail);
    }
}

#[tokio::test]
async fn a_subject_that_no_schedule_can_take_in_costs_only_itself() {
    for database in databases().await {
        let house = House::with(&database, hourly(mail())).await;
        house.answer_two().await;
        break_row(&database, "journeys", "subject").await;
        house.go(3_600).await;
        let run = house.the_run().await;
        assert_eq!(run.conversation.as_deref(), Some("c2"), "{}: the other was taken in", database.name);
        house.go(7_200).await;
        assert_eq!(house.runs().await.len(), 2, "{}: and is when the next time comes", database.name);
    }
}
