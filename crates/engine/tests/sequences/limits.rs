//! How often a customer is written to, over all sequences.

use rekindle_core::sequence::contact::{ContactLimit, LimitPeriod};
use rekindle_core::sequence::{Action, LimitPolicy, MessageClass, Sequence};
use rekindle_core::time::{DAY, HOUR};
use rekindle_engine::Creation;
use rekindle_engine::workspace::WorkspaceChange;
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::ledger::{DeliveryRow, DeliveryState};
use rekindle_testkit::TestDatabase;
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::databases;

use crate::house::{House, email, retry, sequence, step, webhook, wrong_fields};

fn mail() -> Sequence {
    sequence(vec![step("ask", Action::SendEmail(email()))])
}

/// A house where nobody gets more than the limits say.
async fn limited(database: &TestDatabase, sequence: Sequence, limits: &[ContactLimit]) -> House {
    let house = House::with(database, sequence).await;
    let row = house.engine.workspace(house.scope).await.expect("a workspace");
    let mut body = row.body;
    body.contact_limits = limits.to_vec();
    let change = WorkspaceChange { body, etag: None };
    house.engine.update_workspace(house.scope, change).await.expect("good limits");
    house
}

fn one_a_day() -> ContactLimit {
    ContactLimit { count: 1, period: LimitPeriod::Rolling(DAY) }
}

/// Ann goes quiet in so many conversations at once.
async fn quiet(house: &House, conversations: u32) {
    for number in 0..conversations {
        for (id, kind) in [("a", "customer_message"), ("b", "agent_message")] {
            let word = event(&format!("{id}{number}"), kind, i64::from(number)).of(&format!("m{number}"));
            house.hear(word.from_customer("ann")).await;
        }
    }
}

async fn in_state(house: &House, state: DeliveryState) -> Vec<DeliveryRow> {
    house.deliveries().await.into_iter().filter(|delivery| delivery.state == state).collect()
}

#[tokio::test]
async fn one_mail_too_many_waits_until_there_is_room_and_says_so() {
    for database in databases().await {
        let house = limited(&database, mail(), &[one_a_day()]).await;
        quiet(&house, 3).await;
        house.go(700).await;
        assert_eq!(house.courier.sent().len(), 1, "{}", database.name);
        let waiting = in_state(&house, DeliveryState::Scheduled).await;
        assert!(waiting.iter().all(|it| it.next_at == Some(at(700).plus(DAY))), "{waiting:#?}");
        assert!(waiting[0].reason.starts_with("no more than 1 in 1d, zone UTC"), "{}", waiting[0].reason);
        house.go(700 + 86_399).await;
        assert_eq!(house.courier.sent().len(), 1);
        house.go(700 + 86_400).await;
        assert_eq!(house.courier.sent().len(), 2);
        house.go(700 + 2 * 86_400).await;
        assert_eq!(house.courier.sent().len(), 3);
    }
}

#[tokio::test]
async fn one_mail_too_many_is_left_out_where_the_policy_says_so_or_it_would_wait_too_long() {
    let skipping = Sequence { when_limited: LimitPolicy::Skip, ..mail() };
    let month = ContactLimit { count: 1, period: LimitPeriod::Rolling(20 * DAY) };
    for (sequence, limit) in [(skipping, one_a_day()), (mail(), month)] {
        for database in databases().await {
            let house = limited(&database, sequence.clone(), &[limit]).await;
            quiet(&house, 2).await;
            house.go(700).await;
            assert_eq!(house.courier.sent().len(), 1, "{}", database.name);
            let left_out = in_state(&house, DeliveryState::Cancelled).await;
            assert_eq!(left_out.len(), 1);
            assert!(left_out[0].reason.ends_with("left out"), "{}", left_out[0].reason);
        }
    }
}

#[tokio::test]
async fn room_is_given_back_by_what_fails_for_good_and_taken_once_by_what_is_tried_again() {
    for database in databases().await {
        let house = limited(&database, mail(), &[one_a_day()]).await;
        quiet(&house, 2).await;
        house.courier.answer(SendOutcome::Rejected {
            phase: "rcpt".into(),
            code: Some(550),
            response: "no".into(),
            suppress: false,
            disable_destination: false,
        });
        house.go(700).await;
        // The first was refused while the second was waiting already.
        assert_eq!(in_state(&house, DeliveryState::Failed).await.len(), 1, "{}", database.name);
        house.go(700 + 86_400).await;
        assert_eq!(in_state(&house, DeliveryState::Delivered).await.len(), 1);
        // Refused mail counts for nothing: a third finds the second alone.
        let contacts = house.engine.read(house.scope, |tx, _| {
            Box::pin(async move {
                let ann = tx.key_of(rekindle_ports::rows::NameKind::Customer, "ann").await?.expect("known");
                Ok(tx.contacts(&[ann], at(0)).await?.len())
            })
        });
        assert_eq!(contacts.await.expect("readable"), 1);
    }
    for database in databases().await {
        let house = limited(&database, mail(), &[one_a_day()]).await;
        quiet(&house, 1).await;
        house.courier.answer(retry());
        house.go(700).await;
        house.go(700 + 3_600).await;
        assert_eq!(house.courier.sent().len(), 2, "{}", database.name);
        assert_eq!(in_state(&house, DeliveryState::Delivered).await.len(), 1);
    }
}

#[tokio::test]
async fn of_two_sequences_that_of_the_higher_priority_takes_the_room() {
    for database in databases().await {
        let house = limited(&database, mail(), &[one_a_day()]).await;
        let urgent = Sequence { priority: 5, ..mail() };
        house
            .engine
            .create_sequence(house.scope, "urgent", urgent, Creation::default())
            .await
            .expect("a good sequence");
        house.engine.start_sequence(house.scope, "urgent", None).await.expect("startable");
        quiet(&house, 1).await;
        house.go(600).await;
        let sent = in_state(&house, DeliveryState::Delivered).await;
        let waiting = in_state(&house, DeliveryState::Scheduled).await;
        assert_eq!((sent.len(), waiting.len()), (1, 1), "{}", database.name);
        let runs = house.runs().await;
        let of = |delivery: &DeliveryRow| {
            let view = runs.iter().find(|view| view.run.id == delivery.run).expect("its run");
            view.run.sequence.clone()
        };
        assert_eq!((of(&sent[0]).as_str(), of(&waiting[0]).as_str()), ("urgent", "nudge"));
    }
}

#[tokio::test]
async fn who_is_held_out_takes_the_same_room() {
    for database in databases().await {
        let held = Sequence { holdout: 5_000, ..mail() };
        let house = limited(&database, held, &[one_a_day()]).await;
        for number in 0..12 {
            let who = format!("who{number}");
            let profile = event(&format!("p{number}"), "customer_updated", 0).only(&who);
            house.hear(profile.with("email", "who@example.invalid").with("name", "Who")).await;
            for conversation in ["x", "y"] {
                for (id, kind) in [("a", "customer_message"), ("b", "agent_message")] {
                    let id = format!("{id}{conversation}{number}");
                    let word = event(&id, kind, 0).of(&format!("{conversation}{number}"));
                    house.hear(word.from_customer(&who)).await;
                }
            }
        }
        house.go(600).await;
        let (sent, ghosts) = (
            in_state(&house, DeliveryState::Delivered).await.len(),
            in_state(&house, DeliveryState::HeldOut).await.len(),
        );
        assert_eq!(sent + ghosts, 12, "{}: one for each", database.name);
        assert!(sent > 0 && ghosts > 0, "{sent} {ghosts}");
        assert_eq!(in_state(&house, DeliveryState::Scheduled).await.len(), 12);
    }
}

#[tokio::test]
async fn what_was_asked_for_and_calls_need_no_room() {
    for database in databases().await {
        let asked_for = Sequence { class: MessageClass::Transactional, ..mail() };
        let house = limited(&database, asked_for, &[one_a_day()]).await;
        quiet(&house, 2).await;
        house.go(700).await;
        assert_eq!(house.courier.sent().len(), 2, "{}", database.name);
    }
    for database in databases().await {
        let calls = sequence(vec![step("tell", Action::CallWebhook(webhook()))]);
        let house = limited(&database, calls, &[one_a_day()]).await;
        quiet(&house, 2).await;
        house.go(700).await;
        assert_eq!(house.courier.sent().len(), 2, "{}", database.name);
    }
}

#[tokio::test]
async fn every_wrong_limit_is_named() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        let mut body = house.engine.workspace(house.scope).await.expect("a workspace").body;
        let rolling = |count, span| ContactLimit { count, period: LimitPeriod::Rolling(span) };
        body.contact_limits = vec![rolling(0, HOUR), rolling(1, 32 * DAY), one_a_day()];
        let answer = house.engine.update_workspace(house.scope, WorkspaceChange { body, etag: None }).await;
        let expected = ["contactLimits[0].count", "contactLimits[1].rolling"];
        assert_eq!(wrong_fields(answer), expected, "{}", database.name);
    }
}
