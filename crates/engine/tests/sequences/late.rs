//! Late events: what they take back, and what goes on.

use rekindle_core::mark::{Mark, MarkFate};
use rekindle_ports::ledger::{EndReason, RunState};
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::databases;

use crate::house::House;

/// Takes in a word of `second` that arrives at `now`.
async fn late_word(house: &House, id: &str, kind: &str, second: i64, now: i64) {
    house.clock.set(at(now));
    let word = event(id, kind, second).from_customer("ann");
    let report = house.engine.ingest(house.scope, vec![word]).await.expect("it can be stored");
    assert_eq!(report.accepted, 1, "{report:?}");
}

/// What was noticed of the one conversation, oldest first: due second and fate.
async fn marks(house: &House) -> Vec<(i64, MarkFate)> {
    let subject = house.the_run().await.run.trigger.subject;
    let mut tx = house.store.read(house.scope).await.expect("readable");
    let marks: Vec<Mark> = tx.marks_of(&[subject]).await.expect("readable");
    marks.into_iter().map(|mark| (mark.due_at.since(at(0)) / 1_000_000, mark.fate)).collect()
}

#[tokio::test]
async fn a_late_word_of_the_agent_voids_the_mark_and_the_silence_after_it_takes_the_run_over() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        assert_eq!(marks(&house).await, [(600, MarkFate::Live)]);
        late_word(&house, "e3", "agent_message", 300, 700).await;
        assert_eq!(marks(&house).await, [(600, MarkFate::Voided)]);
        house.assert_run(RunState::Running).await;
        house.go(900).await;
        assert_eq!(marks(&house).await, [(600, MarkFate::Voided), (900, MarkFate::TakenOver)]);
        house.go(4_200).await;
        house.assert_run(RunState::Running).await;
        assert_eq!(house.courier.sent().len(), 1, "{}", database.name);
    }
}

#[tokio::test]
async fn a_late_word_of_the_customer_voids_the_mark_and_ends_the_run() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        late_word(&house, "e3", "customer_message", 300, 700).await;
        assert_eq!(marks(&house).await, [(600, MarkFate::Voided)]);
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Ended, Some(EndReason::CustomerReturned)));
        house.go(100_000).await;
        assert!(house.courier.sent().is_empty(), "{}", database.name);
    }
}

#[tokio::test]
async fn a_late_event_that_moves_no_silence_takes_nothing_back() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.word("e4", "agent_message", 100).await;
        house.go(700).await;
        late_word(&house, "e3", "agent_message", 50, 800).await;
        assert_eq!(marks(&house).await, [(700, MarkFate::Live)], "{}", database.name);
        house.assert_run(RunState::Running).await;
    }
}
