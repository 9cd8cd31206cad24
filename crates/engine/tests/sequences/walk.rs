//! A stall, a run, its messages; and everything that ends it.

use rekindle_engine::Creation;
use rekindle_ports::ledger::{DeliveryState, EndReason, Message, RunState};
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::databases;

use crate::house::{House, retry};

#[tokio::test]
async fn a_stalled_customer_gets_the_mail_and_the_call_once() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(599).await;
        assert!(house.runs().await.is_empty());
        house.go(600).await;
        let view = house.the_run().await;
        assert_eq!((view.conversation.as_deref(), view.customer.as_deref()), (Some("c1"), Some("ann")));
        assert_eq!((view.run.since, view.run.due_at), (at(0), at(600)));
        assert_eq!((view.current_step.as_str(), view.funnel_revision), ("patience", Some(1)));
        assert_eq!(view.mark.expect("on record").reason, "stalled after 10m of customer silence");
        house.go(4_199).await;
        assert!(house.courier.sent().is_empty());
        house.go(4_200).await;
        house.go(7_799).await;
        assert_eq!(house.courier.sent().len(), 1);
        house.go(7_800).await;
        house.go(1_000_000).await;
        let sent = house.courier.sent();
        let [mail, call] = sent.as_slice() else { panic!("two messages: {sent:#?}") };
        let Message::Email { to, subject, text, unsubscribe_url, .. } = &mail.message else {
            panic!("a mail")
        };
        assert_eq!((to.as_str(), subject.as_str()), ("ann@example.invalid", "Did that help, Ann?"));
        assert_eq!(text, &format!("You were last heard of at {}.", at(0).to_rfc3339()));
        let customer = mail.customer.expect("known").to_string();
        assert!(unsubscribe_url.ends_with(&customer), "{unsubscribe_url}");
        let Message::Webhook { body, .. } = &call.message else { panic!("a call") };
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["type"], "conversation.stalled");
        assert_eq!(body["data"]["conversation"], "c1");
        assert_eq!(body["data"]["custom"]["who"], "ann");
        house.assert_run(RunState::Completed).await;
        let expected = [
            "started",
            "waiting",
            "delivery_created",
            "delivery_settled",
            "waiting",
            "delivery_created",
            "delivery_settled",
            "completed",
        ];
        assert_eq!(house.lines().await, expected, "{}", database.name);
    }
}

#[tokio::test]
async fn a_customer_who_comes_back_before_the_mail_gets_none() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        house.word("e3", "customer_message", 2_000).await;
        house.go(4_200).await;
        house.go(100_000).await;
        assert!(house.courier.sent().is_empty());
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Ended, Some(EndReason::CustomerReturned)));
        assert!(house.deliveries().await.is_empty());
    }
}

#[tokio::test]
async fn a_mail_that_waits_for_its_second_attempt_is_cancelled_by_a_return() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.courier.answer(retry());
        house.go(600).await;
        house.go(4_200).await;
        assert_eq!(house.deliveries().await[0].state, DeliveryState::Scheduled);
        house.word("e3", "customer_message", 4_300).await;
        house.go(100_000).await;
        assert_eq!(house.courier.sent().len(), 1);
        let delivery = house.deliveries().await.remove(0);
        assert_eq!(delivery.state, DeliveryState::Cancelled);
        assert_eq!(delivery.reason, "the customer came back");
        house.assert_run(RunState::Ended).await;
    }
}

#[tokio::test]
async fn a_retry_sends_the_same_bytes_under_the_same_id() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.courier.answer(retry());
        house.go(600).await;
        house.go(4_200).await;
        house.go(4_200 + 1_200).await;
        let sent = house.courier.sent();
        assert_eq!(sent.len(), 2);
        assert_eq!((&sent[0].id, &sent[0].message), (&sent[1].id, &sent[1].message));
        let view = house.engine.delivery(house.scope, &sent[0].id).await.expect("there");
        assert_eq!(view.delivery.state, DeliveryState::Delivered);
        assert_eq!(view.attempts.len(), 2);
        assert_eq!((view.conversation.as_deref(), view.customer.as_deref()), (Some("c1"), Some("ann")));
    }
}

#[tokio::test]
async fn history_starts_nothing() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.clock.set(at(10_000));
        let late = ["customer_message", "agent_message"].into_iter().enumerate();
        let late = late.map(|(place, kind)| event(&format!("e{place}"), kind, 0).from_customer("ann"));
        house.engine.ingest(house.scope, late.collect()).await.expect("stored");
        house.go(10_000).await;
        house.go(1_000_000).await;
        assert!(house.courier.sent().is_empty());
        assert!(house.runs().await.iter().all(|view| view.run.state == RunState::Skipped));
    }
}

#[tokio::test]
async fn a_stall_that_is_noticed_too_late_is_skipped_and_says_so() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600 + 3_601).await;
        house.go(1_000_000).await;
        assert!(house.courier.sent().is_empty());
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Skipped, Some(EndReason::Stale)));
    }
}

#[tokio::test]
async fn a_stall_from_before_the_start_starts_nothing_and_is_on_record() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let created = house
            .engine
            .create_sequence(house.scope, "nudge", crate::house::nudge(), Creation::default())
            .await;
        created.expect("good");
        house.answer_ann().await;
        house.clock.set(at(700));
        house.engine.start_sequence(house.scope, "nudge", None).await.expect("startable");
        house.go(700).await;
        house.go(100_000).await;
        assert!(house.courier.sent().is_empty());
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Skipped, Some(EndReason::NotStarted)));
    }
}
