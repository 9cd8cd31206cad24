//! Runs that events and people start.

use rekindle_core::funnel::OwedBy;
use rekindle_core::sequence::{
    Action, Cause, Occasion, OnEvent, ReentryPer, ReentryRule, SendEmail, Sequence, Trigger, Wait,
};
use rekindle_core::time::{HOUR, SECOND};
use rekindle_engine::runs::Whom;
use rekindle_engine::{Creation, EngineError, Precondition};
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::ledger::{EndReason, RunState};
use rekindle_testkit::build::{EventExt, event};
use rekindle_testkit::databases;

use crate::house::{House, email, sequence, step, wrong_fields};

/// A mail two hours after a cart was filled.
fn cart() -> Sequence {
    let mail = SendEmail {
        subject: "Your {{ event.properties.item }}".into(),
        text: "It is still there, {{ customer.name }}.".into(),
        ..email()
    };
    let trigger = Trigger {
        funnel: "support".into(),
        stage: String::new(),
        on: Occasion::Event(OnEvent {
            when: "event.type == 'cart_filled' && event.properties.total > 10".into(),
        }),
        owed_by: OwedBy::Anyone,
    };
    let steps =
        vec![step("patience", Action::Wait(Wait::wall(2 * HOUR))), step("ask", Action::SendEmail(mail))];
    Sequence::new(trigger, steps)
}

fn filled(id: &str, seconds: i64) -> rekindle_core::ingest::NewEvent {
    event(id, "cart_filled", seconds).from_customer("ann").with("item", "lamp").with("total", 25.0)
}

#[tokio::test]
async fn an_event_starts_a_run_and_its_mail_speaks_of_it() {
    for database in databases().await {
        let house = House::with(&database, cart()).await;
        house.hear(event("small", "cart_filled", 5).from_customer("ann").with("total", 5.0)).await;
        house.hear(filled("f1", 10)).await;
        house.go(10).await;
        let run = house.the_run().await;
        assert_eq!((run.run.trigger.cause, run.run.trigger.anchor.as_str()), (Cause::Event, "f1"));
        house.go(10 + 2 * 3_600).await;
        let sent = house.courier.sent();
        assert_eq!(sent.len(), 1);
        assert!(format!("{:?}", sent[0]).contains("Your lamp"), "{sent:?}");
        house.assert_run(RunState::Completed).await;
    }
}

#[tokio::test]
async fn who_comes_back_gets_no_mail_unless_the_sequence_outlasts_it() {
    for database in databases().await {
        let house = House::with(&database, cart()).await;
        house.hear(filled("f1", 10)).await;
        house.word("e3", "customer_message", 60).await;
        house.go(10_000).await;
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Ended, Some(EndReason::CustomerReturned)));
    }
    for database in databases().await {
        let house = House::with(&database, Sequence { outlasts_return: true, ..cart() }).await;
        house.hear(filled("f1", 10)).await;
        house.go(10).await;
        house.word("e3", "customer_message", 60).await;
        house.go(10_000).await;
        house.assert_run(RunState::Completed).await;
        assert_eq!(house.courier.sent().len(), 1);
    }
}

#[tokio::test]
async fn who_came_back_in_the_same_batch_is_on_record_and_not_written_to() {
    for database in databases().await {
        let house = House::with(&database, cart()).await;
        house.clock.set(event("x", "x", 60).occurred_at);
        let both = vec![event("e3", "customer_message", 60).from_customer("ann"), filled("f1", 10)];
        house.engine.ingest(house.scope, both).await.expect("stored");
        house.go(10_000).await;
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Skipped, Some(EndReason::CustomerReturned)));
        assert!(house.courier.sent().is_empty());
    }
}

#[tokio::test]
async fn history_and_what_is_late_start_nothing() {
    for database in databases().await {
        let house = House::with(&database, Sequence { max_delay: 600 * SECOND, ..cart() }).await;
        // From before it was started: not even on record.
        house.clock.set(event("x", "x", 700).occurred_at);
        house.engine.ingest(house.scope, vec![filled("old", -10)]).await.expect("stored");
        assert!(house.runs().await.is_empty());
        house.engine.ingest(house.scope, vec![filled("late", 10)]).await.expect("stored");
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Skipped, Some(EndReason::Stale)));
        house.engine.pause_sequence(house.scope, "nudge").await.expect("active");
        house.hear(filled("paused", 710)).await;
        assert_eq!(house.runs().await[0].run.end_reason, Some(EndReason::Paused));
    }
}

#[tokio::test]
async fn who_was_back_before_a_late_event_came_in_is_not_written_to() {
    for database in databases().await {
        let house = House::with(&database, cart()).await;
        house.word("e3", "customer_message", 60).await;
        house.clock.set(event("x", "x", 600).occurred_at);
        house.engine.ingest(house.scope, vec![filled("f1", 10)]).await.expect("stored");
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Skipped, Some(EndReason::CustomerReturned)));
    }
}

#[tokio::test]
async fn entry_rules_re_entry_and_stages_hold_for_events_too() {
    for database in databases().await {
        let rule = ReentryRule { per: ReentryPer::Customer, cool_down: Some(HOUR) };
        let trigger = Trigger { stage: "answered".into(), ..cart().trigger };
        let strict = Sequence {
            trigger,
            entry: "event.properties.item != 'sock'".into(),
            reentry: Some(rule),
            ..cart()
        };
        let house = House::with(&database, strict).await;
        house.hear(filled("nowhere", 1)).await;
        assert!(house.runs().await.is_empty(), "it is in no stage yet");
        house.answer_ann().await;
        house.hear(filled("sock", 10).with("item", "sock")).await;
        assert_eq!(house.runs().await[0].run.end_reason, Some(EndReason::Filtered));
        // An event of somebody who is none: nothing that comes back.
        house.hear(filled("f1", 20)).await;
        house.hear(filled("f2", 30)).await;
        let reasons: Vec<_> = house.runs().await.iter().map(|run| run.run.end_reason).collect();
        assert_eq!(reasons[0], Some(EndReason::CoolDown));
        house.word("p1", "purchase", 40).await;
        house.go(10_000).await;
        assert!(house.courier.sent().is_empty());
    }
}

#[tokio::test]
async fn somebody_starts_a_run_by_hand_and_a_repeated_request_is_the_same_run() {
    for database in databases().await {
        let steps = vec![step("ask", Action::SendEmail(email()))];
        let house = House::with(&database, Sequence { entry: "false".into(), ..sequence(steps) }).await;
        house.answer_ann().await;
        let whom = Whom::Conversation("c1".into());
        let start = |how: Creation| house.engine.start_run(house.scope, "nudge", whom.clone(), how);
        let first = start(Creation::once("r1")).await.expect("started");
        let again = start(Creation::once("r1")).await.expect("the same");
        assert_eq!(first.run.id, again.run.id);
        assert_eq!(first.run.trigger.cause, Cause::Hand);
        house.courier.answer(SendOutcome::Delivered {
            code: 250,
            response: "ok".into(),
            answer: String::new(),
        });
        house.go(10).await;
        assert_eq!(house.courier.sent().len(), 1);
        let other = start(Creation::default()).await.expect("another");
        assert_ne!(other.run.id, first.run.id);
    }
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_start_is_said() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        let start = |sequence: &'static str, whom: Whom| {
            house.engine.start_run(house.scope, sequence, whom, Creation::default())
        };
        let ann = || Whom::Customer("ann".into());
        assert_eq!(wrong_fields(start("nudge", ann()).await), ["customer"]);
        let nobody = start("nudge", Whom::Conversation("nobody".into())).await;
        assert!(matches!(nobody, Err(EngineError::NotFound { .. })), "{nobody:?}");
        let nothing = start("nothing", ann()).await;
        assert!(matches!(nothing, Err(EngineError::NotFound { .. })), "{nothing:?}");
        house.engine.pause_sequence(house.scope, "nudge").await.expect("active");
        let paused = start("nudge", Whom::Conversation("c1".into())).await;
        let refused =
            matches!(paused, Err(EngineError::Precondition { reason: Precondition::SequenceState, .. }));
        assert!(refused, "{paused:?}");
    }
}
