//! Events whose stamps are not their receipts: ahead of them where they start runs, and behind where
//! runs wait for them.

use rekindle_core::event::Author;
use rekindle_core::ingest::NewEvent;
use rekindle_core::sequence::{Action, Occasion, OnEvent, Sequence, Step, Trigger, Wait, WaitFor};
use rekindle_core::time::HOUR;
use rekindle_ports::ledger::{EndReason, RunState};
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::{TestDatabase, databases};

use crate::house::{House, sequence, step, webhook};

/// When a cart is known to be filled.
const RECEIVED: i64 = 100;
/// Stamps of its event, and the instant that counts: the stamp within five minutes, and beyond them
/// the receipt.
const STAMPS: [(i64, i64); 2] = [(RECEIVED + 240, RECEIVED + 240), (RECEIVED + 3_600, RECEIVED)];

fn call(id: &str) -> Step {
    step(id, Action::CallWebhook(webhook()))
}

/// A call two hours after a cart was filled.
fn cart() -> Sequence {
    let on = Occasion::Event(OnEvent { when: "event.type == 'cart_filled'".into() });
    let trigger = Trigger { stage: String::new(), on, ..sequence(Vec::new()).trigger };
    Sequence::new(trigger, vec![step("patience", Action::Wait(Wait::wall(2 * HOUR))), call("tell")])
}

/// Within an hour of the stall, what comes of an opened invoice or of none.
fn awaits_the_invoice() -> Sequence {
    let wait = WaitFor {
        rule: "event.type == 'invoice_opened'".into(),
        within: HOUR,
        then: vec![call("met")],
        otherwise: vec![call("late")],
    };
    sequence(vec![step("hear", Action::WaitFor(wait))])
}

/// Takes in an event at a second that is not its own.
async fn receive(house: &House, event: NewEvent, second: i64) {
    house.clock.set(at(second));
    let report = house.engine.ingest(house.scope, vec![event]).await.expect("it can be stored");
    assert_eq!(report.accepted, 1, "{report:?}");
}

/// A house in which a cart was filled with a stamp, and its run waits.
async fn filled(database: &TestDatabase, stamp: i64) -> House {
    let house = House::with(database, cart()).await;
    receive(&house, event("f1", "cart_filled", stamp).from_customer("ann"), RECEIVED).await;
    house.go(RECEIVED).await;
    house
}

/// Steps whose messages were sent, in order.
fn sent(house: &House) -> Vec<String> {
    house.courier.sent().into_iter().map(|delivery| delivery.step).collect()
}

#[tokio::test]
async fn the_run_of_an_event_that_is_stamped_ahead_waits_from_its_receipt() {
    for (stamp, due) in STAMPS {
        for database in databases().await {
            let house = filled(&database, stamp).await;
            let run = house.the_run().await.run;
            assert_eq!((run.due_at, run.since), (at(due), at(RECEIVED)), "{}: {stamp}", database.name);
            house.go(RECEIVED + 7_199).await;
            assert!(sent(&house).is_empty());
            house.go(RECEIVED + 7_200).await;
            assert_eq!(sent(&house), ["tell"]);
        }
    }
}

#[tokio::test]
async fn a_return_counts_from_the_receipt_of_an_event_that_is_stamped_ahead() {
    for (stamp, _) in STAMPS {
        // Said right before the cart was known to be filled, and at that instant.
        for (said, ends) in [(RECEIVED - 1, false), (RECEIVED, true)] {
            for database in databases().await {
                let house = filled(&database, stamp).await;
                let word = event("e1", "customer_message", said).from_customer("ann");
                receive(&house, word, RECEIVED + 20).await;
                let run = house.the_run().await.run;
                let expected = if ends {
                    (RunState::Ended, Some(EndReason::CustomerReturned))
                } else {
                    (RunState::Running, None)
                };
                assert_eq!((run.state, run.end_reason), expected, "{}: {stamp}, {said}", database.name);
                house.go(100_000).await;
                assert_eq!(sent(&house).len(), usize::from(!ends));
            }
        }
    }
}

#[tokio::test]
async fn an_event_that_is_stored_after_its_wait_was_looked_at_is_heard_if_it_came_in_time() {
    // Waited for from 600 to 4200. Received after the look; received in time and looked at after it;
    // received when time was up.
    for (received, looked, came) in [(750, 750, "met"), (4_199, 5_000, "met"), (4_200, 4_200, "late")] {
        for database in databases().await {
            let house = House::with(&database, awaits_the_invoice()).await;
            house.answer_ann().await;
            house.go(600).await;
            // Another event, for which the run looks.
            house.hear(event("n1", "note", 700)).await;
            house.go(700).await;
            assert_eq!(house.the_run().await.run.next_at, Some(at(4_200)));
            // Stamped before that look.
            let opened = event("o1", "invoice_opened", 650).by(Author::System);
            receive(&house, opened, received).await;
            house.go(looked).await;
            assert_eq!(sent(&house), [came], "{}: received at {received}", database.name);
            house.assert_run(RunState::Completed).await;
        }
    }
}
