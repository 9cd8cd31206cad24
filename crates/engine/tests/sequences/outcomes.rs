//! What is sent or not when nobody knows, when nobody may, and when somebody died.

use std::sync::Arc;
use std::time::Duration;

use rekindle_core::sequence::{Action, SendEmail, Sequence, UnknownPolicy, Wait};
use rekindle_core::time::SECOND;
use rekindle_engine::runs::{LedgerQuery, Resolution};
use rekindle_engine::suppressions::{NewSuppression, SuppressionQuery};
use rekindle_engine::{EngineError, Precondition};
use rekindle_ports::Store;
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::ledger::{AttemptOutcome, DeliveryState, RunState};
use rekindle_ports::resources::{SuppressionKind, SuppressionReason};
use rekindle_testkit::build::at;
use rekindle_testkit::{MortalStore, databases};

use crate::courier::FORBIDDEN;
use crate::house::{House, email, sequence, step, unknown, webhook};

/// A mail at once, then a call.
fn hasty(email: SendEmail) -> Sequence {
    sequence(vec![step("ask", Action::SendEmail(email)), step("tell", Action::CallWebhook(webhook()))])
}

#[tokio::test]
async fn whoever_unsubscribed_gets_no_message_by_any_way() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        let customer = house.the_run().await.run.customer.expect("known");
        for _ in 0..2 {
            house.engine.unsubscribe_customer(house.scope, customer).await.expect("as often as one likes");
        }
        house.go(4_200).await;
        house.go(100_000).await;
        assert!(house.courier.sent().is_empty());
        let states: Vec<_> = house.deliveries().await.iter().map(|row| row.state).collect();
        assert_eq!(states, [DeliveryState::Suppressed; 2]);
        house.assert_run(RunState::Completed).await;
    }
}

#[tokio::test]
async fn a_suppressed_address_gets_no_mail_and_the_run_goes_on() {
    for database in databases().await {
        let house = House::with(&database, hasty(email())).await;
        let new = NewSuppression {
            kind: SuppressionKind::Domain,
            value: "EXAMPLE.invalid".into(),
            reason: SuppressionReason::Manual,
            note: String::new(),
        };
        house.engine.add_suppression(house.scope, new).await.expect("a domain");
        house.answer_ann().await;
        house.go(600).await;
        let states: Vec<_> = house.deliveries().await.iter().map(|row| row.state).collect();
        assert_eq!(states, [DeliveryState::Suppressed, DeliveryState::Delivered]);
    }
}

#[tokio::test]
async fn nobody_is_written_to_whom_the_operator_does_not_name() {
    for database in databases().await {
        let to = format!("ann{FORBIDDEN}");
        let house = House::with(&database, hasty(SendEmail { to, ..email() })).await;
        house.answer_ann().await;
        house.go(600).await;
        assert_eq!(house.deliveries().await[0].state, DeliveryState::Suppressed);
        assert_eq!(house.courier.sent().len(), 1, "the call");
    }
}

#[tokio::test]
async fn an_address_that_does_not_exist_is_never_written_to_again() {
    for database in databases().await {
        let house = House::with(&database, hasty(email())).await;
        house.courier.answer(SendOutcome::Rejected {
            phase: "rcpt_to".into(),
            code: Some(550),
            response: "no such user".into(),
            suppress: true,
            disable_destination: false,
        });
        house.answer_ann().await;
        house.go(600).await;
        assert_eq!(house.deliveries().await[0].state, DeliveryState::Failed);
        let listed =
            house.engine.suppressions(house.scope, SuppressionQuery::default(), 10).await.expect("readable");
        assert_eq!(
            (listed[0].value.as_str(), listed[0].reason),
            ("ann@example.invalid", SuppressionReason::HardBounce)
        );
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_sent_again_when_the_policy_is_to_resend() {
    for database in databases().await {
        let house = House::with(&database, hasty(email())).await;
        house.courier.answer(unknown());
        house.answer_ann().await;
        house.go(600).await;
        assert_eq!(house.deliveries().await[0].state, DeliveryState::Scheduled);
        house.go(600 + 1_200).await;
        let sent = house.courier.sent();
        assert_eq!((&sent[0].id, &sent[0].message), (&sent[1].id, &sent[1].message));
        house.assert_run(RunState::Completed).await;
    }
}

#[tokio::test]
async fn an_unknown_outcome_is_parked_until_somebody_decides() {
    for database in databases().await {
        let parked = SendEmail { unknown: UnknownPolicy::Park, ..email() };
        let house = House::with(&database, hasty(parked)).await;
        house.courier.answer(unknown());
        house.answer_ann().await;
        house.go(600).await;
        house.go(100_000).await;
        assert_eq!(house.courier.sent().len(), 2, "the mail once, then the call");
        let query = LedgerQuery { delivery_states: vec![DeliveryState::Unknown], ..LedgerQuery::default() };
        let unknown = house.engine.deliveries(house.scope, query, 10).await.expect("readable").remove(0);
        let id = unknown.delivery.id.as_str();
        assert_eq!(unknown.attempts[0].outcome, Some(AttemptOutcome::Unknown));
        let resolved =
            house.engine.resolve_delivery(house.scope, id, Resolution::Delivered, "she said so").await;
        let resolved = resolved.expect("it was unknown").delivery;
        assert_eq!((resolved.state, resolved.reason.as_str()), (DeliveryState::Delivered, "she said so"));
        let twice = house.engine.resolve_delivery(house.scope, id, Resolution::Resend, "").await;
        assert!(matches!(
            twice,
            Err(EngineError::Precondition { reason: Precondition::DeliveryNotUnknown, .. })
        ));
        assert_eq!(house.lines().await.last().map(String::as_str), Some("resolved"));
    }
}

#[tokio::test]
async fn a_parked_message_is_sent_again_when_somebody_wants_it() {
    for database in databases().await {
        let parked = SendEmail { unknown: UnknownPolicy::Park, ..email() };
        let house = House::with(&database, hasty(parked)).await;
        house.courier.answer(unknown());
        house.answer_ann().await;
        house.go(600).await;
        let id = house.deliveries().await[0].id.clone();
        // Long after it expired.
        house.clock.set(at(3_000_000));
        house
            .engine
            .resolve_delivery(house.scope, &id, Resolution::Resend, "")
            .await
            .expect("it was unknown");
        house.go(3_000_000).await;
        assert_eq!(house.courier.ids().iter().filter(|sent| **sent == id).count(), 2);
        assert_eq!(house.deliveries().await[0].state, DeliveryState::Delivered);
    }
}

#[tokio::test]
async fn a_parked_message_is_not_sent_again_after_the_customer_came_back() {
    for database in databases().await {
        let parked = SendEmail { unknown: UnknownPolicy::Park, ..email() };
        let steps = vec![
            step("ask", Action::SendEmail(parked)),
            step("patience", Action::Wait(Wait::wall(rekindle_core::time::DAY))),
        ];
        let house = House::with(&database, sequence(steps)).await;
        house.courier.answer(unknown());
        house.answer_ann().await;
        house.go(600).await;
        house.word("e3", "customer_message", 700).await;
        let id = house.deliveries().await[0].id.clone();
        let answer = house.engine.resolve_delivery(house.scope, &id, Resolution::Resend, "").await;
        assert!(matches!(
            answer,
            Err(EngineError::Precondition { reason: Precondition::DeliveryNotUnknown, .. })
        ));
    }
}

#[tokio::test]
async fn a_message_whose_sender_died_is_sent_again_under_the_same_id() {
    for database in databases().await {
        let house = House::with(&database, hasty(email())).await;
        let sent = die_while_sending(&house).await;
        assert_eq!((&sent[0].id, &sent[0].message), (&sent[1].id, &sent[1].message));
        let view = house.engine.delivery(house.scope, &sent[0].id).await.expect("there");
        let outcomes: Vec<_> = view.attempts.iter().map(|attempt| attempt.outcome).collect();
        assert_eq!(outcomes, [Some(AttemptOutcome::Unknown), Some(AttemptOutcome::Delivered)]);
    }
}

#[tokio::test]
async fn a_message_whose_sender_died_is_parked_when_the_policy_says_so() {
    for database in databases().await {
        let parked = SendEmail { unknown: UnknownPolicy::Park, ..email() };
        let house = House::with(&database, hasty(parked)).await;
        let sent = die_while_sending(&house).await;
        assert_ne!(sent[0].id, sent[1].id, "the mail and the call");
        assert_eq!(house.deliveries().await[0].state, DeliveryState::Unknown);
    }
}

/// How long the claim of the one that dies holds: time to begin to send on a busy machine.
const LEASE: i64 = 2 * SECOND;

/// The stall is noticed and the mail written by one process; another begins to send it and is
/// never heard of again. Everything that arrived once its claim has run out.
async fn die_while_sending(house: &House) -> Vec<rekindle_ports::ledger::DeliveryRow> {
    house.answer_ann().await;
    house.clock.set(at(600));
    for _ in 0..2 {
        // A timer, then a run; the delivery is due at the third.
        assert_eq!(house.loops.turn().await.expect("the loops can work"), 1);
    }
    assert_eq!(house.deliveries().await[0].state, DeliveryState::Scheduled);
    let mortal = Arc::new(MortalStore::new(Arc::clone(&house.store)));
    let store: Arc<dyn Store> = Arc::clone(&mortal) as _;
    let doomed = House::over(store, house.clock.clone(), Arc::clone(&house.courier), 2, LEASE);
    house.courier.hang();
    assert_eq!(doomed.loops.turn().await.expect("the loops can work"), 1);
    house.courier.hung().await;
    mortal.die();
    // Its lease ends by the database's clock.
    while house.courier.sent().len() < 2 {
        house.go(600).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    house.courier.sent()
}
