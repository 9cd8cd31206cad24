//! Customers whom the workspace holds out of everything that is marketing.

use std::collections::HashMap;

use rekindle_core::sequence::arm::{Arm, Chance, WORKSPACE};
use rekindle_core::sequence::{Action, MessageClass, Sequence};
use rekindle_engine::Creation;
use rekindle_engine::workspace::WorkspaceChange;
use rekindle_ports::ledger::DeliveryState;
use rekindle_testkit::build::{EventExt, event};
use rekindle_testkit::databases;
use uuid::Uuid;

use crate::house::{House, sequence, step, webhook, wrong_fields};

const CUSTOMERS: u32 = 30;

fn told(class: MessageClass, holdout: u16) -> Sequence {
    Sequence { class, holdout, ..sequence(vec![step("tell", Action::CallWebhook(webhook()))]) }
}

/// Sets the share that the workspace holds out, in parts of 10,000; the fields that are wrong.
async fn hold_out(house: &House, holdout: u16) -> Vec<String> {
    let mut body = house.engine.workspace(house.scope).await.expect("a workspace").body;
    body.holdout = holdout;
    match house.engine.update_workspace(house.scope, WorkspaceChange { body, etag: None }).await {
        Ok(row) => {
            assert_eq!(row.body.holdout, holdout);
            Vec::new()
        }
        refused => wrong_fields(refused),
    }
}

async fn start(house: &House, id: &str, sequence: Sequence) {
    let made = house.engine.create_sequence(house.scope, id, sequence, Creation::default()).await;
    made.expect("a good sequence");
    house.engine.start_sequence(house.scope, id, None).await.expect("nothing stands in the way");
}

/// Everybody goes quiet, and all runs come to their end.
async fn all_quiet(house: &House) {
    for number in 0..CUSTOMERS {
        for (id, kind) in [("a", "customer_message"), ("b", "agent_message")] {
            let word = event(&format!("{id}{number}"), kind, 0).of(&format!("q{number}"));
            house.hear(word.from_customer(&format!("who{number}"))).await;
        }
    }
    house.go(600).await;
}

/// Arms by sequence and customer, and the share that runs say was held out.
async fn arms(house: &House) -> HashMap<(String, Uuid), (Arm, Option<u16>)> {
    let runs = house.runs().await.into_iter().map(|view| {
        let run = view.run;
        let customer = run.customer.expect("a known customer");
        ((run.sequence, customer), (run.arm, run.progress.held_share))
    });
    runs.collect()
}

fn draws(experiment: &str, customer: Uuid, holdout: u16) -> Arm {
    Chance { key: &[7; 32], experiment, subject: customer }.arm(holdout)
}

#[tokio::test]
async fn whom_the_workspace_holds_out_hears_of_no_marketing_and_of_all_they_asked_for() {
    for database in databases().await {
        let house = House::with(&database, told(MessageClass::Marketing, 2_000)).await;
        assert!(hold_out(&house, 5_000).await.is_empty());
        start(&house, "news", told(MessageClass::Marketing, 0)).await;
        start(&house, "receipt", told(MessageClass::Transactional, 0)).await;
        all_quiet(&house).await;
        let arms = arms(&house).await;
        assert_eq!(arms.len(), 3 * CUSTOMERS as usize, "{}", database.name);
        let mut held_out = 0;
        for ((sequence, customer), (arm, share)) in &arms {
            let everywhere = draws(WORKSPACE, *customer, 5_000);
            let (expected, logged) = match (sequence.as_str(), everywhere) {
                ("receipt", _) => (Arm::Treated, Some(0)),
                ("news", everywhere) => (everywhere, Some(5_000)),
                (_, Arm::HeldOut) => (Arm::HeldOut, Some(6_000)),
                (own, Arm::Treated) => (draws(own, *customer, 2_000), Some(6_000)),
            };
            assert_eq!((*arm, *share), (expected, logged), "{sequence} {customer}");
            held_out += usize::from(expected == Arm::HeldOut);
        }
        // Some of both kinds, or the test would show nothing.
        assert!((10..50).contains(&held_out), "{held_out}");
        let ghosts =
            house.deliveries().await.into_iter().filter(|it| it.state == DeliveryState::HeldOut).count();
        assert_eq!((ghosts, house.courier.sent().len()), (held_out, arms.len() - held_out));
    }
}

#[tokio::test]
async fn arms_are_as_large_as_sequence_and_workspace_together_make_them() {
    for database in databases().await {
        let house = House::with(&database, told(MessageClass::Marketing, 2_000)).await;
        assert!(hold_out(&house, 5_000).await.is_empty());
        all_quiet(&house).await;
        // What is held out from now on does not concern the runs that have begun.
        assert!(hold_out(&house, 0).await.is_empty());
        let answer = house.recovery("nudge", None).await;
        let sample = answer.recovery.sample_ratio;
        assert_eq!(sample.assigned, i64::from(CUSTOMERS), "{}", database.name);
        assert!((sample.expected - 0.6 * f64::from(CUSTOMERS)).abs() < 1e-9, "{sample:?}");
        assert!(!sample.is_mismatch(), "{sample:?}");
        assert_eq!(answer.recovery.arms.held_out.eligible, sample.held_out);
    }
}

#[tokio::test]
async fn a_workspace_holds_out_one_half_at_most() {
    for database in databases().await {
        let house = House::bare(&database);
        assert_eq!(hold_out(&house, 5_001).await, ["holdout"], "{}", database.name);
        assert!(hold_out(&house, 5_000).await.is_empty());
        let row = house.engine.workspace(house.scope).await.expect("a workspace");
        assert_eq!(row.body.holdout, 5_000);
    }
}
