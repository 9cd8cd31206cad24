//! Start, pause, resume, archive, cancel.

use rekindle_core::sequence::SequenceState;
use rekindle_engine::error::EngineResult;
use rekindle_engine::runs::LedgerQuery;
use rekindle_engine::{EngineError, Precondition};
use rekindle_ports::ledger::{DeliveryState, EndReason, RunState};
use rekindle_testkit::databases;
use uuid::Uuid;

use crate::house::{House, change, nudge, retry};

fn refusal<T: std::fmt::Debug>(answer: EngineResult<T>) -> Precondition {
    match answer {
        Err(EngineError::Precondition { reason, .. }) => reason,
        other => panic!("not refused for its state: {other:?}"),
    }
}

#[tokio::test]
async fn a_paused_sequence_sends_nothing_and_goes_on_when_resumed() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        let paused = house.engine.pause_sequence(house.scope, "nudge").await.expect("active");
        assert_eq!(paused.state, SequenceState::Paused);
        house.go(4_200).await;
        house.go(10_000).await;
        assert!(house.courier.sent().is_empty());
        house.assert_run(RunState::Running).await;
        house.engine.resume_sequence(house.scope, "nudge").await.expect("paused");
        house.go(10_060).await;
        assert_eq!(house.courier.sent().len(), 1);
    }
}

#[tokio::test]
async fn a_message_that_waits_for_a_retry_waits_out_a_pause() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.courier.answer(retry());
        house.go(600).await;
        house.go(4_200).await;
        house.engine.pause_sequence(house.scope, "nudge").await.expect("active");
        house.go(10_000).await;
        assert_eq!(house.courier.sent().len(), 1);
        assert_eq!(house.deliveries().await[0].reason, "its sequence is paused");
        house.engine.resume_sequence(house.scope, "nudge").await.expect("paused");
        house.go(10_060).await;
        assert_eq!(house.courier.sent().len(), 2);
    }
}

#[tokio::test]
async fn a_stall_during_a_pause_starts_nothing_and_is_on_record() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.engine.pause_sequence(house.scope, "nudge").await.expect("active");
        house.go(600).await;
        house.engine.resume_sequence(house.scope, "nudge").await.expect("paused");
        house.go(100_000).await;
        assert!(house.courier.sent().is_empty());
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Skipped, Some(EndReason::Paused)));
    }
}

#[tokio::test]
async fn archiving_ends_the_runs() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.courier.answer(retry());
        house.go(600).await;
        house.go(4_200).await;
        let archived = house.engine.archive_sequence(house.scope, "nudge").await.expect("there");
        assert_eq!((archived.sequence.state, archived.ended_runs), (SequenceState::Archived, 1));
        let again = house.engine.archive_sequence(house.scope, "nudge").await.expect("there");
        assert_eq!((again.sequence.etag, again.ended_runs), (archived.sequence.etag, 0));
        house.go(100_000).await;
        assert_eq!(house.courier.sent().len(), 1);
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Ended, Some(EndReason::SequenceArchived)));
        assert_eq!(house.deliveries().await[0].state, DeliveryState::Cancelled);
        assert_eq!(house.lines().await.last().map(String::as_str), Some("ended"));
    }
}

#[tokio::test]
async fn every_verb_is_refused_in_the_wrong_state() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        let (engine, scope) = (&house.engine, house.scope);
        assert_eq!(
            refusal(engine.start_sequence(scope, "nudge", None).await),
            Precondition::SequenceNotStartable
        );
        assert_eq!(refusal(engine.resume_sequence(scope, "nudge").await), Precondition::SequenceState);
        assert_eq!(refusal(engine.delete_sequence(scope, "nudge", None).await), Precondition::SequenceState);
        engine.pause_sequence(scope, "nudge").await.expect("active");
        assert_eq!(refusal(engine.pause_sequence(scope, "nudge").await), Precondition::SequenceState);
        engine.archive_sequence(scope, "nudge").await.expect("there");
        assert_eq!(refusal(engine.resume_sequence(scope, "nudge").await), Precondition::SequenceState);
        assert_eq!(
            refusal(engine.update_sequence(scope, "nudge", change(nudge())).await),
            Precondition::SequenceState
        );
        engine.delete_sequence(scope, "nudge", None).await.expect("archived");
        assert!(matches!(engine.sequence(scope, "nudge").await, Err(EngineError::NotFound { .. })));
    }
}

#[tokio::test]
async fn a_run_is_cancelled_once_and_sends_nothing_more() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        let id = house.the_run().await.run.id;
        for _ in 0..2 {
            let view = house.engine.cancel_run(house.scope, id).await.expect("cancelled once, or already");
            assert_eq!(
                (view.run.state, view.run.end_reason),
                (RunState::Cancelled, Some(EndReason::Cancelled))
            );
            assert_eq!(view.current_step, "");
        }
        house.go(100_000).await;
        assert!(house.courier.sent().is_empty());
        assert_eq!(house.lines().await, ["started", "waiting", "cancelled"]);
        assert!(matches!(
            house.engine.cancel_run(house.scope, Uuid::max()).await,
            Err(EngineError::NotFound { .. })
        ));
    }
}

#[tokio::test]
async fn a_run_that_is_over_cannot_be_cancelled() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        house.word("e3", "customer_message", 700).await;
        let id = house.the_run().await.run.id;
        assert_eq!(refusal(house.engine.cancel_run(house.scope, id).await), Precondition::RunNotCancellable);
    }
}

#[tokio::test]
async fn a_waiting_delivery_is_cancelled_and_its_run_goes_on() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.courier.answer(retry());
        house.go(600).await;
        house.go(4_200).await;
        let id = house.deliveries().await[0].id.clone();
        for _ in 0..2 {
            let view =
                house.engine.cancel_delivery(house.scope, &id).await.expect("it waits, or is cancelled");
            assert_eq!(view.delivery.state, DeliveryState::Cancelled);
        }
        house.go(4_200).await;
        house.go(100_000).await;
        assert_eq!(house.courier.sent().len(), 2, "one attempt of the mail, and the call");
        house.assert_run(RunState::Completed).await;
        let call = house.deliveries().await[1].id.clone();
        let answer = house.engine.cancel_delivery(house.scope, &call).await;
        assert_eq!(refusal(answer), Precondition::DeliveryNotCancellable);
    }
}

#[tokio::test]
async fn runs_and_deliveries_are_listed_by_the_names_that_clients_know() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        house.go(4_200).await;
        let asked =
            |conversation: Option<&str>, customer: Option<&str>, sequence: Option<&str>| LedgerQuery {
                conversation: conversation.map(str::to_owned),
                customer: customer.map(str::to_owned),
                sequence: sequence.map(str::to_owned),
                ..LedgerQuery::default()
            };
        for (query, count) in [
            (asked(Some("c1"), None, None), 1),
            (asked(None, Some("ann"), Some("nudge")), 1),
            (asked(Some("c1"), Some("bob"), None), 0),
            (asked(Some("c2"), None, None), 0),
            (asked(None, None, Some("other")), 0),
        ] {
            let runs = house.engine.runs(house.scope, query.clone(), 10).await.expect("readable");
            let deliveries = house.engine.deliveries(house.scope, query.clone(), 10).await.expect("readable");
            assert_eq!((runs.len(), deliveries.len()), (count, count), "{query:?}");
        }
    }
}
