//! Subjects that somebody else has locked: nobody who has nothing to do with them waits for them.

use std::time::Duration;

use rekindle_core::sequence::{Action, CallWebhook};
use rekindle_core::time::HOUR;
use rekindle_engine::loops::Stop;
use rekindle_engine::runs::RunView;
use rekindle_ports::Tx;
use rekindle_ports::rows::NameKind;
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::database::postgres;
use tokio::time::timeout;

use crate::house::{House, sequence, step, wait, webhook};
use crate::schedules::{hourly, mail};

/// Locks Ann, as whoever takes in her events does, until it is dropped.
async fn lock_ann(house: &House) -> Box<dyn Tx> {
    let mut tx = house.store.begin(house.scope).await.expect("it answers");
    let ann = tx.key_of(NameKind::Customer, "ann").await.expect("it answers").expect("she is known");
    assert_eq!(tx.lock_customers(&[ann]).await.expect("free").len(), 1);
    tx
}

/// Lets the loops work side by side until something is so.
async fn meanwhile(house: &House, is_so: impl AsyncFn(&[RunView]) -> bool) {
    let look = async {
        while !is_so(&house.runs().await).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = house.loops.clone().run(Stop::default()) => panic!("nobody told them to stop"),
        looked = timeout(Duration::from_secs(30), look) => looked.expect("it comes about"),
    }
}

fn is_of(run: &RunView, conversation: &str) -> bool {
    run.conversation.as_deref() == Some(conversation)
}

#[tokio::test]
async fn a_locked_subject_keeps_no_other_from_being_noticed_and_has_its_turn() {
    let Some(database) = postgres().await else {
        return;
    };
    let house = House::with_two_quiet(&database).await;
    house.clock.set(at(600));
    let ann = lock_ann(&house).await;
    meanwhile(&house, async |runs| runs.iter().any(|run| is_of(run, "c2"))).await;
    assert!(!house.runs().await.iter().any(|run| is_of(run, "c1")), "she is locked");
    drop(ann);
    // The loops were given up half-way and may still hold her timer; its lease runs out.
    database.execute("UPDATE timers SET lease_until = 0 WHERE lease_until IS NOT NULL").await;
    house.go(600).await;
    assert!(house.runs().await.iter().any(|run| is_of(run, "c1")), "her turn came");
}

#[tokio::test]
async fn a_locked_subject_keeps_no_other_from_being_written_to() {
    let Some(database) = postgres().await else {
        return;
    };
    let house = House::with_two_quiet(&database).await;
    house.go(600).await;
    assert_eq!(house.runs().await.len(), 2);
    house.clock.set(at(4_200));
    let ann = lock_ann(&house).await;
    meanwhile(&house, async |_| !house.courier.sent().is_empty()).await;
    assert_eq!(house.courier.sent().len(), 1, "Bob was written to");
    drop(ann);
    database.execute("UPDATE runs SET lease_until = 0 WHERE lease_until IS NOT NULL").await;
    house.go(4_200).await;
    assert_eq!(house.courier.sent().len(), 2, "and then Ann");
}

#[tokio::test]
async fn a_run_of_a_conversation_that_became_somebodys_waits_for_that_one() {
    let Some(database) = postgres().await else {
        return;
    };
    let tell = Action::CallWebhook(CallWebhook { body: String::new(), ..webhook() });
    let house = House::with(&database, sequence(vec![wait("patience", HOUR), step("tell", tell)])).await;
    for conversation in ["c1", "c2"] {
        for (number, kind) in [(1, "customer_message"), (2, "agent_message")] {
            house.hear(event(&format!("{conversation}-{number}"), kind, 0).of(conversation)).await;
        }
    }
    house.go(600).await;
    let runs = house.runs().await;
    assert!(runs.len() == 2 && runs.iter().all(|run| run.customer.is_none()), "{runs:#?}");
    house.hear(event("known", "conversation_updated", 700).from_customer("ann")).await;
    house.clock.set(at(4_200));
    let ann = lock_ann(&house).await;
    meanwhile(&house, async |_| !house.courier.sent().is_empty()).await;
    assert_eq!(house.courier.sent().len(), 1, "nobody's conversation was told of");
    drop(ann);
    database.execute("UPDATE runs SET lease_until = 0 WHERE lease_until IS NOT NULL").await;
    house.go(4_200).await;
    assert_eq!(house.courier.sent().len(), 2, "and then that of Ann");
}

#[tokio::test]
async fn a_locked_subject_keeps_no_other_from_the_time_of_its_schedule_and_has_its_turn() {
    let Some(database) = postgres().await else {
        return;
    };
    let house = House::with(&database, hourly(mail())).await;
    house.answer_two().await;
    // Their stalls are over by then, so that nobody else asks for them at the same moment.
    house.go(3_599).await;
    house.clock.set(at(3_600));
    let ann = lock_ann(&house).await;
    meanwhile(&house, async |runs| runs.iter().any(|run| is_of(run, "c2"))).await;
    assert!(!house.runs().await.iter().any(|run| is_of(run, "c1")), "she is locked");
    drop(ann);
    // Whoever goes on begins with the same page, and takes nobody in twice.
    meanwhile(&house, async |runs| runs.iter().any(|run| is_of(run, "c1"))).await;
    let runs = house.runs().await;
    let of = |conversation: &str| runs.iter().filter(|run| is_of(run, conversation)).count();
    assert_eq!((runs.len(), of("c1"), of("c2")), (2, 1, 1), "{runs:#?}");
}
