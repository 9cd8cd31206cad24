//! Stories that the ledger tells.

use rekindle_core::sequence::{Action, QuietHours, QuietPolicy, Sequence};
use rekindle_core::time::DAY;
use rekindle_engine::EngineError;
use rekindle_engine::runs::{Statement, Subject};
use rekindle_ports::ledger::RunState;
use rekindle_testkit::build::{EventExt, event};
use rekindle_testkit::databases;

use crate::house::{House, email, retry, sequence, step};

async fn told(house: &House) -> Vec<Statement> {
    let subject = Subject::Conversation("c1".into());
    house.engine.explain(house.scope, subject).await.expect("a conversation")
}

fn texts(story: &[Statement]) -> Vec<&str> {
    story.iter().map(|told| told.text.as_str()).collect()
}

fn input<'a>(told: &'a Statement, key: &str) -> Option<&'a str> {
    told.inputs.iter().find(|(name, _)| *name == key).map(|(_, value)| value.as_str())
}

#[tokio::test]
async fn a_message_that_was_sent_says_by_which_rule_and_to_whom() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.courier.answer(retry());
        house.go(600).await;
        house.go(4_200).await;
        house.go(4_200 + 1_200).await;
        let story = told(&house).await;
        let expected = [
            r#"Noticed as stalled in stage "answered"."#,
            r#"Sequence "nudge" began."#,
            r#"Step "patience" waits 1h, until 2026-01-05T01:10:00Z."#,
            r#"The message of step "ask" was written."#,
            r#"Attempt 1 of step "ask" to reach a***@example.invalid did not succeed (nobody there)."#,
            r#"The message of step "ask" was sent to a***@example.invalid and taken (250 accepted)."#,
            r#"Step "more-patience" waits 1h, until 2026-01-05T02:30:00Z."#,
        ];
        assert_eq!(texts(&story), expected, "{}", database.name);
        assert_eq!(input(&story[0], "rule"), Some("stalled after 10m of customer silence"));
        assert_eq!(input(&story[0], "funnel"), Some("support revision 1"));
        assert_eq!(input(&story[1], "sequence"), Some("nudge revision 1"));
        let run = house.the_run().await.run.id;
        let of_run = house.engine.explain(house.scope, Subject::Run(run)).await.expect("a run");
        assert_eq!(of_run, story);
        let delivery = house.deliveries().await[0].id.clone();
        let of_delivery = house.engine.explain(house.scope, Subject::Delivery(delivery)).await;
        assert_eq!(of_delivery.expect("a delivery"), story);
    }
}

#[tokio::test]
async fn a_message_that_a_reply_made_needless_names_the_reply() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(600).await;
        house.word("e3", "customer_message", 2_000).await;
        house.go(10_000).await;
        let story = told(&house).await;
        let last = story.last().expect("a story");
        assert_eq!(last.text, "The run ended, and nothing more is sent: the customer came back.");
        assert_eq!(input(last, "event"), Some("e3 (customer_message)"), "{}", database.name);
    }
}

#[tokio::test]
async fn a_message_that_waits_and_one_of_who_is_held_out_say_why() {
    for database in databases().await {
        let quiet = QuietHours {
            hours: "Mo-Su 00:00-08:00".into(),
            holidays: Vec::new(),
            policy: QuietPolicy::Defer,
            max_deferral: DAY,
        };
        let steps = vec![step("ask", Action::SendEmail(email()))];
        let house =
            House::with(&database, Sequence { quiet: Some(quiet), holdout: 5_000, ..sequence(steps) }).await;
        for number in 0..12 {
            let customer = format!("who{number}");
            let profile = event(&format!("p{number}"), "customer_updated", 0).only(&customer);
            house.hear(profile.with("email", "who@example.invalid").with("name", "Who")).await;
            for (id, kind) in [("a", "customer_message"), ("b", "agent_message")] {
                let word = event(&format!("{id}{number}"), kind, 0).of(&format!("h{number}"));
                house.hear(word.from_customer(&customer)).await;
            }
        }
        house.go(600).await;
        house.go(8 * 3_600).await;
        let mut seen = [0, 0];
        for view in house.runs().await {
            assert_eq!(view.run.state, RunState::Completed);
            let story = house.engine.explain(house.scope, Subject::Run(view.run.id)).await.expect("a run");
            let texts = texts(&story);
            let waits = r#"The message of step "ask" was not sent yet: quiet hours until 2026-01-05T08:00:00Z, zone UTC (the workspace's)."#;
            assert!(texts.contains(&waits), "{texts:#?}");
            let held = r#"The message of step "ask" was not sent: the customer is held out."#;
            let sent =
                r#"The message of step "ask" was sent to w***@example.invalid and taken (250 accepted)."#;
            for (place, text) in [held, sent].into_iter().enumerate() {
                seen[place] += usize::from(texts.contains(&text));
            }
        }
        assert_eq!(seen[0] + seen[1], 12, "{}", database.name);
        assert!(seen[0] > 0 && seen[1] > 0, "{seen:?}");
    }
}

#[tokio::test]
async fn what_did_not_begin_says_why_and_what_nobody_knows_is_not_found() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.engine.pause_sequence(house.scope, "nudge").await.expect("it is active");
        house.answer_ann().await;
        house.go(600).await;
        let story = told(&house).await;
        let expected = [
            r#"Noticed as stalled in stage "answered"."#,
            r#"Sequence "nudge" did not begin: the sequence was paused."#,
        ];
        assert_eq!(texts(&story), expected, "{}", database.name);
        for subject in [
            Subject::Conversation("c404".into()),
            Subject::Run(uuid::Uuid::nil()),
            Subject::Delivery("x".into()),
        ] {
            let answer = house.engine.explain(house.scope, subject).await;
            assert!(matches!(answer, Err(EngineError::NotFound { .. })), "{answer:?}");
        }
    }
}
