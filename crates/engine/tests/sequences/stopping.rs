//! A process that stops, or that was stopped for too long: what it gives back, gives up and
//! does not send.

use std::sync::Arc;
use std::time::Duration;

use rekindle_core::sequence::{Action, SendEmail, UnknownPolicy};
use rekindle_core::time::{HOUR, SECOND};
use rekindle_engine::loops::Stop;
use rekindle_ports::Store;
use rekindle_ports::ledger::{AttemptOutcome, DeliveryState, RunState};
use rekindle_testkit::build::at;
use rekindle_testkit::{Fault, FaultyStore, TestDatabase, databases};

use crate::house::{House, email, sequence, step};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// Half a minute of them: no process takes that long to give something back.
const LOOKS: usize = 1_500;

/// A house in which Ann's stall is due, and the sequence mails her at once.
async fn due(database: &TestDatabase, email: SendEmail) -> House {
    let house = House::with(database, sequence(vec![step("ask", Action::SendEmail(email))])).await;
    house.answer_ann().await;
    house.clock.set(at(600));
    house
}

/// Turns the loops `times` times, each of which claims one thing: the timer, the run.
async fn turn(house: &House, times: usize) {
    for _ in 0..times {
        assert_eq!(house.loops.turn().await.expect("the loops can work"), 1);
    }
}

/// Another process of the house, whose n-th commit is held.
fn replica(house: &House, good: u32, fault: Fault, ttl: i64) -> (House, Arc<FaultyStore>) {
    let store = Arc::new(FaultyStore::new(Arc::clone(&house.store), good, fault));
    let held: Arc<dyn Store> = Arc::clone(&store) as _;
    (House::over(held, house.clock.clone(), Arc::clone(&house.courier), 2, ttl), store)
}

/// What a process claimed in the moment in which it was told to stop is there for the others at
/// once: `turns` lead to the claim in question.
async fn gives_back(turns: usize) {
    for database in databases().await {
        let house = due(&database, email()).await;
        turn(&house, turns).await;
        let (stopping, store) = replica(&house, 0, Fault::Held, HOUR);
        let stop = Stop::default();
        let told = async {
            store.until_held().await;
            stop.claims.cancel();
            store.release();
        };
        tokio::join!(stopping.loops.run(stop.clone()), told);
        // A delivery is given back in a task of its own; its lease would hold for an hour.
        for _ in 0..LOOKS {
            house.go(600).await;
            if !house.courier.sent().is_empty() {
                break;
            }
            tokio::time::sleep(LOOK).await;
        }
        assert_eq!(house.courier.sent().len(), 1, "nothing was given back");
        house.assert_run(RunState::Completed).await;
        let view = house.engine.delivery(house.scope, &house.courier.ids()[0]).await.expect("there");
        let outcomes: Vec<_> = view.attempts.iter().map(|attempt| attempt.outcome).collect();
        assert_eq!(outcomes, [Some(AttemptOutcome::Delivered)]);
    }
}

#[tokio::test]
async fn a_run_that_was_claimed_when_the_process_stops_is_given_back() {
    gives_back(1).await;
}

#[tokio::test]
async fn a_delivery_that_was_claimed_when_the_process_stops_is_given_back() {
    gives_back(2).await;
}

/// A process sends, hears nothing, and has no more time.
async fn gives_up(email: SendEmail) -> Vec<(DeliveryState, Option<AttemptOutcome>)> {
    let mut ends = Vec::new();
    for database in databases().await {
        let house = due(&database, email.clone()).await;
        turn(&house, 2).await;
        house.courier.hang();
        let stop = Stop::default();
        let told = async {
            house.courier.hung().await;
            stop.claims.cancel();
            stop.sends.cancel();
        };
        tokio::join!(house.loops.clone().run(stop.clone()), told);
        let id = house.courier.ids().remove(0);
        // The outcome is recorded in a task of its own.
        let view = loop {
            let view = house.engine.delivery(house.scope, &id).await.expect("there");
            if view.attempts[0].outcome.is_some() {
                break view;
            }
            tokio::time::sleep(LOOK).await;
        };
        assert_eq!((view.attempts.len(), view.attempts[0].phase.as_str()), (1, "stopped"));
        ends.push((view.delivery.state, view.attempts[0].outcome));
    }
    ends
}

#[tokio::test]
async fn a_send_that_outlasts_the_process_is_unknown_and_tried_again() {
    for end in gives_up(email()).await {
        assert_eq!(end, (DeliveryState::Scheduled, Some(AttemptOutcome::Unknown)));
    }
}

#[tokio::test]
async fn a_send_that_outlasts_the_process_is_parked_when_the_policy_says_so() {
    for end in gives_up(SendEmail { unknown: UnknownPolicy::Park, ..email() }).await {
        assert_eq!(end, (DeliveryState::Unknown, Some(AttemptOutcome::Unknown)));
    }
}

#[tokio::test]
async fn a_process_that_was_asleep_between_its_commit_and_its_send_does_not_send() {
    for database in databases().await {
        let house = due(&database, email()).await;
        turn(&house, 2).await;
        // Its first commit is the claim, its second *attempt started*, of which it hears late.
        let (sleeper, store) = replica(&house, 1, Fault::HeldAfter, SECOND);
        let another = async {
            store.until_held().await;
            // Its lease ends by the database's clock, and another takes over.
            while house.courier.sent().is_empty() {
                house.go(600).await;
                tokio::time::sleep(LOOK).await;
            }
            store.release();
        };
        let (claimed, ()) = tokio::join!(sleeper.loops.turn(), another);
        assert_eq!(claimed.expect("the loops can work"), 1);
        sleeper.loops.drain().await.expect("the loops can work");
        assert_eq!(house.courier.sent().len(), 1, "the sleeper sent what another had sent");
        house.assert_run(RunState::Completed).await;
    }
}
