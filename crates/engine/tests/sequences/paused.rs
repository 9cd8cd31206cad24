//! Runs that somebody holds: one, all of a customer, all of a sequence.

use rekindle_engine::runs::{LedgerQuery, RunChange};
use rekindle_engine::{EngineError, Precondition};
use rekindle_ports::ledger::{EndReason, RunState};
use rekindle_ports::resources::RunPolicy;
use rekindle_testkit::databases;

use crate::house::{House, edit, nudge, retry};

#[tokio::test]
async fn a_held_run_takes_no_step_until_it_may_and_still_ends_with_a_return() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        let id = house.the_run().await.run.id;
        let held = house.engine.change_run(house.scope, id, RunChange::Pause).await.expect("open");
        assert!(held.run.paused_at.is_some());
        house.go(20_000).await;
        assert!(house.courier.sent().is_empty());
        // Twice is once.
        house.engine.change_run(house.scope, id, RunChange::Pause).await.expect("open");
        house.engine.change_run(house.scope, id, RunChange::Resume).await.expect("open");
        house.go(20_000).await;
        assert_eq!(house.courier.sent().len(), 1, "the wait was over");
        house.engine.change_run(house.scope, id, RunChange::Pause).await.expect("open");
        house.word("e3", "customer_message", 20_001).await;
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Ended, Some(EndReason::CustomerReturned)));
        let over = house.engine.change_run(house.scope, id, RunChange::Resume).await;
        assert!(
            matches!(over, Err(EngineError::Precondition { reason: Precondition::RunNotCancellable, .. })),
            "{over:?}"
        );
        let lines = house.lines().await;
        assert_eq!(lines.iter().filter(|kind| *kind == "paused").count(), 2);
        assert_eq!(lines.iter().filter(|kind| *kind == "resumed").count(), 1);
    }
}

#[tokio::test]
async fn a_held_run_is_held_in_its_new_revision_too() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        let id = house.the_run().await.run.id;
        house.engine.change_run(house.scope, id, RunChange::Pause).await.expect("open");
        house.revise(edit(nudge(), RunPolicy::Migrate, &[])).await;
        house.go(20_000).await;
        assert!(house.courier.sent().is_empty() && house.deliveries().await.is_empty());
        let run = house.the_run().await.run;
        assert_eq!((run.sequence_revision, run.paused_at.is_some(), run.next_at), (2, true, None));
        house.engine.change_run(house.scope, id, RunChange::Resume).await.expect("open");
        house.go(20_001).await;
        assert_eq!(house.courier.sent().len(), 1);
    }
}

#[tokio::test]
async fn a_message_of_a_held_run_waits_with_it() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.courier.answer(retry());
        house.go(600).await;
        house.go(4_200).await;
        let id = house.the_run().await.run.id;
        house.engine.change_run(house.scope, id, RunChange::Pause).await.expect("open");
        house.go(10_000).await;
        assert_eq!(house.courier.sent().len(), 1);
        assert_eq!(house.deliveries().await[0].reason, "its run is held by somebody");
        house.engine.change_run(house.scope, id, RunChange::Resume).await.expect("open");
        house.go(10_060).await;
        assert_eq!(house.courier.sent().len(), 2);
        house.go(20_000).await;
        house.assert_run(RunState::Completed).await;
    }
}

#[tokio::test]
async fn the_runs_of_a_customer_are_held_let_go_and_cancelled_together() {
    for database in databases().await {
        let house = House::with_two_quiet(&database).await;
        house.go(600).await;
        let of_bob = LedgerQuery { customer: Some("bob".into()), ..LedgerQuery::default() };
        let change =
            |query: &LedgerQuery, change| house.engine.change_runs(house.scope, query.clone(), change);
        assert_eq!(change(&of_bob, RunChange::Pause).await.expect("changed"), 1);
        assert_eq!(change(&of_bob, RunChange::Pause).await.expect("changed"), 0);
        house.go(4_200).await;
        assert_eq!(house.courier.sent().len(), 1, "Ann's alone");
        assert_eq!(change(&of_bob, RunChange::Resume).await.expect("changed"), 1);
        house.go(4_201).await;
        assert_eq!(house.courier.sent().len(), 2);
        let all = LedgerQuery { sequence: Some("nudge".into()), ..LedgerQuery::default() };
        assert_eq!(change(&all, RunChange::End(EndReason::Cancelled)).await.expect("changed"), 2);
        assert!(house.runs().await.iter().all(|run| run.run.state == RunState::Cancelled));
        let nobody = LedgerQuery { customer: Some("nobody".into()), ..LedgerQuery::default() };
        assert_eq!(change(&nobody, RunChange::Pause).await.expect("changed"), 0);
    }
}
