//! What runs learn from webhooks, and events that they add themselves.

use std::collections::BTreeMap;

use rekindle_core::event::Author;
use rekindle_core::ingest::NewEvent;
use rekindle_core::sequence::{
    Action, Branch, CallWebhook, Case, EmitEvent, Occasion, OnEvent, SendEmail, Sequence, Step, Trigger,
    WaitFor,
};
use rekindle_core::time::HOUR;
use rekindle_engine::Creation;
use rekindle_engine::runs::Whom;
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::ledger::{DeliveryState, Message, RunState};
use rekindle_testkit::build::{EventExt, event};
use rekindle_testkit::databases;

use crate::house::{House, email, sequence, step, webhook, wrong_fields};

fn asks_for_a_coupon() -> Step {
    let wants = BTreeMap::from([
        ("code".to_owned(), "/coupon/code".to_owned()),
        ("worth".to_owned(), "/coupon/worth".to_owned()),
    ]);
    step("coupon", Action::CallWebhook(CallWebhook { variables: wants, ..webhook() }))
}

fn offers() -> Sequence {
    let mail = SendEmail { subject: "Take {{ variables.code }}".into(), ..email() };
    let way =
        Case { when: "run.variables.worth > 5".into(), steps: vec![step("offer", Action::SendEmail(mail))] };
    let branch = Branch { cases: vec![way], otherwise: Vec::new() };
    sequence(vec![asks_for_a_coupon(), step("which", Action::Branch(branch))])
}

fn answered(body: &str) -> SendOutcome {
    SendOutcome::Delivered { code: 200, response: "cut".into(), answer: body.to_owned() }
}

#[tokio::test]
async fn the_answer_of_a_webhook_decides_the_way_and_stands_in_the_mail() {
    for database in databases().await {
        let house = House::with(&database, offers()).await;
        house.answer_ann().await;
        house.courier.answer(answered(r#"{"coupon":{"code":"WELCOME","worth":10,"secret":"x"}}"#));
        house.go(600).await;
        house.go(601).await;
        let sent = house.courier.sent();
        assert_eq!(sent.len(), 2);
        let Message::Email { subject, .. } = &sent[1].message else { panic!("a mail") };
        assert_eq!(subject, "Take WELCOME");
        assert!(house.lines().await.contains(&"learnt".to_owned()));
        assert!(!format!("{:?}", house.the_run().await).contains("secret"));
    }
}

#[tokio::test]
async fn an_answer_that_says_nothing_leaves_the_variables_as_they_are() {
    for database in databases().await {
        let house = House::with(&database, offers()).await;
        house.answer_ann().await;
        let bodies = ["", "<html>", "[]", r#"{"coupon":{"worth":[10]}}"#];
        for (place, body) in bodies.iter().enumerate() {
            house.courier.answer(answered(body));
            let whom = Whom::Conversation("c1".into());
            house.engine.start_run(house.scope, "nudge", whom, Creation::default()).await.expect("started");
            house.go(10).await;
            house.go(11).await;
            assert_eq!(house.courier.sent().len(), place + 1, "{body}");
            assert_eq!(house.runs().await[0].run.state, RunState::Completed);
        }
    }
}

#[tokio::test]
async fn a_rule_can_only_name_variables_that_something_gives() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        let mut wrong = offers();
        wrong.steps.remove(0);
        let answer = house.engine.create_sequence(house.scope, "other", wrong, Creation::default()).await;
        assert_eq!(wrong_fields(answer), ["steps[0].branch.cases[0].when"]);
    }
}

fn tells(kind: &str) -> Step {
    let properties = r#"{"who": "{{ customer.name }}", "stage": "{{ stage.id }}"}"#.into();
    step("tell", Action::EmitEvent(EmitEvent { kind: kind.into(), properties }))
}

#[tokio::test]
async fn an_event_that_a_run_adds_is_in_the_stream_once_and_starts_others() {
    for database in databases().await {
        let house = House::with(&database, sequence(vec![tells("nudged")])).await;
        let trigger = Trigger {
            stage: String::new(),
            on: Occasion::Event(OnEvent {
                when: "event.type == 'nudged' && event.properties.who == 'Ann'".into(),
            }),
            ..sequence(Vec::new()).trigger
        };
        let second = Sequence::new(trigger, vec![step("ask", Action::SendEmail(email()))]);
        house.engine.create_sequence(house.scope, "second", second, Creation::default()).await.expect("good");
        house.engine.start_sequence(house.scope, "second", None).await.expect("nothing in the way");
        house.answer_ann().await;
        house.go(600).await;
        house.go(601).await;
        let runs = house.runs().await;
        assert_eq!(runs.len(), 2, "{runs:#?}");
        assert!(runs.iter().all(|run| run.run.state == RunState::Completed));
        assert!(runs[0].run.trigger.anchor.starts_with("sequence:nudge:"));
        assert_eq!(house.courier.sent().len(), 1);
        let told = house.deliveries().await;
        assert_eq!((told[0].state, told[0].destination.as_str()), (DeliveryState::Delivered, ""));
    }
}

#[tokio::test]
async fn a_sequence_does_not_start_itself_and_meets_what_others_wait_for() {
    for database in databases().await {
        let trigger = Trigger {
            stage: String::new(),
            on: Occasion::Event(OnEvent { when: "event.type == 'ping'".into() }),
            ..sequence(Vec::new()).trigger
        };
        let house = House::with(&database, Sequence::new(trigger, vec![tells("ping")])).await;
        let wait = WaitFor {
            rule: "event.type == 'ping' && event.author == 'system'".into(),
            within: HOUR,
            then: vec![step("ask", Action::SendEmail(email()))],
            otherwise: Vec::new(),
        };
        let waits = sequence(vec![step("heard", Action::WaitFor(wait))]);
        house.engine.create_sequence(house.scope, "waits", waits, Creation::default()).await.expect("good");
        house.engine.start_sequence(house.scope, "waits", None).await.expect("nothing in the way");
        house.answer_ann().await;
        house.go(600).await;
        let ping = event("p1", "ping", 700).from_customer("ann");
        house.hear(NewEvent { author: Some(Author::Agent), ..ping }).await;
        house.go(701).await;
        house.go(702).await;
        assert_eq!(house.courier.sent().len(), 1, "what waited was met");
        let pings = house.runs().await.iter().filter(|run| run.run.sequence == "nudge").count();
        assert_eq!(pings, 1);
    }
}

#[tokio::test]
async fn of_sequences_that_start_each_other_there_is_an_end() {
    for database in databases().await {
        let on = |kind: &str| Trigger {
            stage: String::new(),
            on: Occasion::Event(OnEvent { when: format!("event.type == '{kind}'") }),
            ..sequence(Vec::new()).trigger
        };
        let house = House::with(&database, Sequence::new(on("ping"), vec![tells("pong")])).await;
        let other = Sequence::new(on("pong"), vec![tells("ping")]);
        house.engine.create_sequence(house.scope, "other", other, Creation::default()).await.expect("good");
        house.engine.start_sequence(house.scope, "other", None).await.expect("nothing in the way");
        let ping = event("p1", "ping", 700).from_customer("ann");
        house.hear(NewEvent { author: Some(Author::Agent), ..ping }).await;
        for second in 701..720 {
            house.go(second).await;
        }
        assert_eq!(house.runs().await.len(), 6, "one by hand of a client, five behind it");
    }
}

#[tokio::test]
async fn nothing_is_added_for_whom_is_held_out() {
    for database in databases().await {
        let held = Sequence { holdout: 5_000, ..sequence(vec![tells("nudged")]) };
        let house = House::with(&database, held).await;
        for number in 0..20 {
            let (who, conversation) = (format!("u{number}"), format!("n{number}"));
            for (id, kind) in [("1", "customer_message"), ("2", "agent_message")] {
                let word = event(&format!("{who}-{id}"), kind, 0).of(&conversation).from_customer(&who);
                house.hear(word).await;
            }
            let about = event(&format!("{who}-0"), "customer_updated", 0).only(&who);
            house.hear(about.with("name", who.as_str())).await;
        }
        house.go(600).await;
        house.go(601).await;
        let told = house.deliveries().await;
        assert_eq!(told.len(), 20);
        let held = told.iter().filter(|it| it.state == DeliveryState::HeldOut).count();
        let added = told.iter().filter(|it| it.state == DeliveryState::Delivered).count();
        assert_eq!(held + added, 20);
        assert!((3..=17).contains(&held), "{held}");
    }
}
