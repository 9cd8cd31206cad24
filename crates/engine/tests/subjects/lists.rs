//! Lists: every condition on its own, rules that SQL can test and rules that it cannot.

use rekindle_core::funnel::OwedBy;
use rekindle_core::metrics::positions::Condition;
use rekindle_engine::EngineError;
use rekindle_engine::subjects::{ConversationList, CustomerList, PositionFilter};
use rekindle_testkit::build::{EventExt, event};

use crate::fixture::{DESK, Fixture, PEOPLE, fixtures};

/// `open` is stalled, `asked` waits for us, `done` is resolved; `asked` is of nobody.
async fn desk(fixture: &Fixture) {
    fixture.customer_is("ann", &[("plan", "pro"), ("email", "ann@shop.invalid")]).await;
    fixture.customer_is("ben", &[("plan", "free")]).await;
    let events = [
        event("1", "customer_message", 10).of("open").from_customer("ann"),
        event("2", "agent_message", 11).of("open"),
        event("3", "customer_message", 12).of("asked"),
        event("4", "customer_message", 13).of("done").from_customer("ben"),
        event("5", "agent_message", 14).of("done"),
        event("6", "resolution", 15).of("done"),
    ];
    for event in events {
        fixture.happens(&[event]).await;
    }
    fixture.conversation_is("asked", &[("channel", "mail")]).await;
    fixture.until(700).await;
}

fn filter(rule: &str) -> ConversationList {
    ConversationList { filter: rule.into(), ..ConversationList::default() }
}

fn in_desk(stage: Option<&str>, condition: Option<Condition>) -> ConversationList {
    let position = PositionFilter { funnel: DESK.into(), stage: stage.map(str::to_owned), condition };
    ConversationList { position: Some(position), ..ConversationList::default() }
}

#[tokio::test]
async fn conversations_are_listed_by_each_condition() {
    for fixture in fixtures().await {
        desk(&fixture).await;
        let cases = [
            (ConversationList::default(), vec!["done", "asked", "open"]),
            (ConversationList { owed_by: Some(OwedBy::Agent), ..ConversationList::default() }, vec!["asked"]),
            (
                ConversationList { owed_by: Some(OwedBy::Customer), ..ConversationList::default() },
                vec!["open"],
            ),
            (ConversationList { resolved: Some(true), ..ConversationList::default() }, vec!["done"]),
            (
                ConversationList { resolved: Some(false), ..ConversationList::default() },
                vec!["asked", "open"],
            ),
            (ConversationList { customer: Some("ann".into()), ..ConversationList::default() }, vec!["open"]),
            (ConversationList { customer: Some("nobody".into()), ..ConversationList::default() }, vec![]),
            (filter(r#"customer.plan == "pro""#), vec!["open"]),
            (filter(r#"customer.plan != "pro" && conversation.channel != "mail""#), vec!["done"]),
            (filter(r#"customer.email.matches("^a.*@")"#), vec!["open"]),
            (filter(r#"!conversation.channel.matches("^m")"#), vec!["done", "open"]),
            (in_desk(None, None), vec!["done", "asked", "open"]),
            (in_desk(Some("s1"), None), vec!["asked"]),
            (in_desk(None, Some(Condition::Stalled)), vec!["open"]),
            (in_desk(None, Some(Condition::Active)), vec!["asked"]),
            (in_desk(Some("s3"), Some(Condition::Completed)), vec!["done"]),
            (in_desk(None, Some(Condition::Abandoned)), vec![]),
        ];
        for (list, expected) in cases {
            let found = fixture.conversations(list.clone()).await;
            assert_eq!(found, expected, "{} {list:?}", fixture.database.name);
        }
    }
}

#[tokio::test]
async fn customers_are_listed_by_each_condition() {
    for fixture in fixtures().await {
        desk(&fixture).await;
        let position =
            |condition| PositionFilter { funnel: PEOPLE.into(), stage: None, condition: Some(condition) };
        let cases = [
            (CustomerList::default(), vec!["ben", "ann"]),
            (
                CustomerList { filter: r#"customer.plan == "pro""#.into(), ..CustomerList::default() },
                vec!["ann"],
            ),
            (
                CustomerList { filter: r#"!customer.plan.matches("r$")"#.into(), ..CustomerList::default() },
                vec!["ben", "ann"],
            ),
            (
                CustomerList { filter: r#"customer.plan.matches("^f")"#.into(), ..CustomerList::default() },
                vec!["ben"],
            ),
            (
                CustomerList { position: Some(position(Condition::Completed)), ..CustomerList::default() },
                vec!["ben", "ann"],
            ),
            (
                CustomerList { position: Some(position(Condition::Stalled)), ..CustomerList::default() },
                vec![],
            ),
        ];
        for (list, expected) in cases {
            let found = fixture.customers(list.clone()).await;
            assert_eq!(found, expected, "{} {list:?}", fixture.database.name);
        }
    }
}

#[tokio::test]
async fn a_conversation_and_a_customer_tell_what_is_known_of_them() {
    for fixture in fixtures().await {
        desk(&fixture).await;
        let (engine, scope) = (&fixture.test.engine, fixture.scope);
        let open = engine.conversation(scope, "open").await.expect("is there");
        assert_eq!((open.customer.as_deref(), open.row.event_count), (Some("ann"), 2));
        let position = &open.positions[0];
        assert_eq!(
            (position.funnel.as_str(), position.stage.as_deref(), position.live),
            (DESK, Some("s2"), true)
        );
        assert_eq!(position.condition, Some(Condition::Stalled));
        assert_eq!(position.quiet.map(|quiet| quiet.owed_by), Some(OwedBy::Customer));
        let ann = engine.customer(scope, "ann").await.expect("is there");
        // Two messages and the change of attributes.
        assert_eq!((ann.event_count, ann.conversation_count), (3, 1), "{}", fixture.database.name);
        assert_eq!(ann.positions.iter().map(|at| at.funnel.as_str()).collect::<Vec<_>>(), [PEOPLE]);
    }
}

#[tokio::test]
async fn wrong_conditions_are_named() {
    for fixture in fixtures().await {
        let (engine, scope) = (&fixture.test.engine, fixture.scope);
        let wrong_stage = ConversationList { filter: "event.type == 1".into(), ..in_desk(Some("s9"), None) };
        let refused = engine.conversations(scope, wrong_stage).await.expect_err("both are wrong");
        assert_eq!(fields(refused), ["filter", "position.stage"]);
        let people = PositionFilter { funnel: PEOPLE.into(), stage: None, condition: None };
        let wrong_kind = ConversationList { position: Some(people), ..filter("conversation.(") };
        let refused = engine.conversations(scope, wrong_kind).await.expect_err("both are wrong");
        assert_eq!(fields(refused), ["filter", "position.funnel"]);
        let of_conversations =
            CustomerList { filter: "conversation.x == 1".into(), ..CustomerList::default() };
        let refused =
            engine.customers(scope, of_conversations).await.expect_err("customers are in no conversation");
        assert_eq!(fields(refused), ["filter"]);
    }
}

fn fields(error: EngineError) -> Vec<String> {
    match error {
        EngineError::Invalid { violations, .. } => {
            violations.into_iter().map(|violation| violation.field).collect()
        }
        other => panic!("{other}"),
    }
}
