//! Warnings before a stall, and words to our own side.

use rekindle_core::funnel::{OwedBy, TimeBasis};
use rekindle_core::mark::{MarkFate, MarkKind};
use rekindle_core::sequence::{
    Action, Escalate, QuietHours, QuietPolicy, Sequence, Trigger, UnknownPolicy, Wait,
};
use rekindle_core::time::DAY;
use rekindle_engine::Creation;
use rekindle_engine::suppressions::NewSuppression;
use rekindle_engine::workspace::WorkspaceChange;
use rekindle_ports::ledger::{DeliveryState, EndReason, Message, RunState};
use rekindle_ports::resources::{SuppressionKind, SuppressionReason};
use rekindle_ports::rows::LivePolicy;
use rekindle_testkit::TestDatabase;
use rekindle_testkit::build::at;
use rekindle_testkit::databases;

use crate::house::{House, email, sequence, step, support, wrong_fields};

fn escalation(destination: &str) -> Escalate {
    let is_mail = destination == "relay";
    let said = |text: &str| if is_mail { text.to_owned() } else { String::new() };
    Escalate {
        destination: destination.into(),
        to: said("team@example.invalid"),
        subject: said("{{ customer.name }} waits"),
        text: said("Since {{ silence.since }}."),
        body: if is_mail { String::new() } else { r#"{"who":"{{ customer.id }}"}"#.into() },
        unknown: UnknownPolicy::Resend,
    }
}

/// Tells the team when our side is about to be late: by mail, then by webhook.
fn warned() -> Sequence {
    let trigger = Trigger {
        funnel: "support".into(),
        stage: "asked".into(),
        on: MarkKind::Warned.into(),
        owed_by: OwedBy::Agent,
    };
    let steps = vec![
        step("tell", Action::Escalate(escalation("relay"))),
        step("rest", Action::Wait(Wait::wall(600_000_000))),
        step("page", Action::Escalate(escalation("hook"))),
    ];
    Sequence { holdout: 5_000, ..Sequence::new(trigger, steps) }
}

/// A house whose first stage warns at three quarters of the 6,000 seconds after which it stalls.
async fn house(database: &TestDatabase, sequence: Sequence) -> House {
    let house = House::bare(database);
    house.furnish().await;
    let mut funnel = support();
    funnel.stages[0].warn_at = Some(750);
    house.publish(funnel, LivePolicy::Drain).await;
    house
        .engine
        .create_sequence(house.scope, "warn", sequence, Creation::default())
        .await
        .expect("a good sequence");
    house.engine.start_sequence(house.scope, "warn", None).await.expect("startable");
    house
}

#[tokio::test]
async fn a_warning_comes_at_its_fraction_of_the_rule_and_once() {
    for database in databases().await {
        let house = house(&database, warned()).await;
        house.word("e1", "customer_message", 0).await;
        house.go(4_499).await;
        assert!(house.courier.sent().is_empty());
        house.go(4_500).await;
        house.go(5_100).await;
        house.go(100_000).await;
        let sent = house.courier.sent();
        let steps: Vec<&str> = sent.iter().map(|delivery| delivery.step.as_str()).collect();
        assert_eq!(steps, ["tell", "page"], "{}", database.name);
        let Message::Email { to, subject, unsubscribe_url, .. } = &sent[0].message else { panic!("a mail") };
        assert_eq!((to.as_str(), subject.as_str()), ("team@example.invalid", "Ann waits"));
        assert!(unsubscribe_url.is_empty(), "nobody unsubscribes from a word to the team");
        let Message::Webhook { body, .. } = &sent[1].message else { panic!("a call") };
        assert!(body.contains("conversation.escalated") && body.contains("ann"), "{body}");
        let view = house.the_run().await;
        assert_eq!(view.run.due_at, at(4_500));
        let reason = view.mark.expect("on record").reason;
        assert_eq!(reason, "about to stall after 1h 15m of a customer message without an answer");
    }
}

#[tokio::test]
async fn a_warning_in_business_time_comes_at_the_business_instant() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let mut body = house.engine.workspace(house.scope).await.expect("a workspace").body;
        let spec = rekindle_core::calendar::CalendarSpec {
            hours: "Mo-Fr 09:00-17:00".into(),
            holidays: Vec::new(),
            zone: "Europe/Berlin".into(),
        };
        body.calendars.insert("office".into(), spec);
        house.engine.update_workspace(house.scope, WorkspaceChange { body, etag: None }).await.expect("good");
        let mut funnel = support();
        funnel.calendar_name = "office".into();
        funnel.stages[0].warn_at = Some(500);
        funnel.stages[0].stall.as_mut().expect("a rule").basis = TimeBasis::Business;
        funnel.stages[0].stall.as_mut().expect("a rule").after = 4 * 3_600_000_000;
        house.publish(funnel, LivePolicy::Drain).await;
        // The test's time begins on a Monday, at midnight UTC; Berlin opens at eight UTC.
        house.word("e1", "customer_message", 3_600).await;
        house.go(10 * 3_600 - 1).await;
        let marks = |house: &House| {
            let (engine, scope) = (house.engine.clone(), house.scope);
            async move {
                let read = engine.read(scope, |tx, _| {
                    Box::pin(async move {
                        let key = tx.key_of(rekindle_ports::rows::NameKind::Conversation, "c1").await?;
                        Ok(tx.marks_of(&[key.expect("known")]).await?)
                    })
                });
                read.await.expect("readable")
            }
        };
        assert!(marks(&house).await.is_empty());
        house.go(10 * 3_600).await;
        let found = marks(&house).await;
        assert_eq!(found.len(), 1, "{}", database.name);
        assert_eq!((found[0].key.kind, found[0].due_at), (MarkKind::Warned, at(10 * 3_600)));
    }
}

#[tokio::test]
async fn our_answer_ends_what_our_silence_began() {
    for database in databases().await {
        let house = house(&database, warned()).await;
        house.word("e1", "customer_message", 0).await;
        house.go(4_500).await;
        assert_eq!(house.courier.sent().len(), 1);
        house.word("e2", "agent_message", 4_600).await;
        house.go(100_000).await;
        assert_eq!(house.courier.sent().len(), 1, "{}", database.name);
        let run = house.the_run().await.run;
        assert_eq!(run.state, RunState::Ended);
        assert!(matches!(run.end_reason, Some(EndReason::AgentActed | EndReason::StageLeft)), "{run:?}");
    }
}

#[tokio::test]
async fn a_silence_that_ends_after_its_warning_and_before_its_stall_was_no_mistake() {
    for database in databases().await {
        let house = house(&database, warned()).await;
        house.word("e1", "customer_message", 0).await;
        house.go(4_500).await;
        house.word("e2", "agent_message", 5_000).await;
        house.go(100_000).await;
        let mark = house.the_run().await.mark.expect("on record");
        assert_eq!((mark.key.kind, mark.fate), (MarkKind::Warned, MarkFate::Live), "{}", database.name);
    }
}

#[tokio::test]
async fn a_customer_who_asks_once_more_still_waits() {
    for database in databases().await {
        let house = house(&database, warned()).await;
        house.word("e1", "customer_message", 0).await;
        house.go(4_500).await;
        house.word("e2", "customer_message", 4_600).await;
        house.go(5_100).await;
        assert_eq!(house.courier.sent().len(), 2, "{}", database.name);
        house.assert_run(RunState::Completed).await;
    }
}

#[tokio::test]
async fn words_to_our_own_side_know_no_night_no_holdout_and_no_suppression_of_the_customer() {
    for database in databases().await {
        let quiet = QuietHours {
            hours: "Mo-Su 00:00-23:59".into(),
            holidays: Vec::new(),
            policy: QuietPolicy::Skip,
            max_deferral: DAY,
        };
        let house = house(&database, Sequence { quiet: Some(quiet), ..warned() }).await;
        let suppression = NewSuppression {
            kind: SuppressionKind::Customer,
            value: "ann".into(),
            reason: SuppressionReason::Unsubscribed,
            note: String::new(),
        };
        house.engine.add_suppression(house.scope, suppression).await.expect("a good entry");
        house.word("e1", "customer_message", 0).await;
        house.go(4_500).await;
        house.go(5_100).await;
        assert_eq!(house.courier.sent().len(), 2, "{}", database.name);
        assert!(
            house.deliveries().await.iter().all(|it| it.state == DeliveryState::Delivered && it.internal)
        );
    }
}

#[tokio::test]
async fn nobody_nags_a_customer_to_whom_a_word_is_owed_and_mails_to_the_team_say_all() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let trigger = Trigger { owed_by: OwedBy::Agent, ..sequence(Vec::new()).trigger };
        let silent = Escalate { to: String::new(), subject: String::new(), ..escalation("relay") };
        let steps = vec![step("ask", Action::SendEmail(email())), step("tell", Action::Escalate(silent))];
        let wrong = Sequence::new(trigger, steps);
        let created = house.engine.create_sequence(house.scope, "wrong", wrong, Creation::default()).await;
        let expected = ["steps[0].sendEmail.to", "steps[1].escalate.to", "steps[1].escalate.subject"];
        assert_eq!(wrong_fields(created), expected, "{}", database.name);
    }
}
