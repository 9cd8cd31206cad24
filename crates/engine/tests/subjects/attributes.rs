//! Attributes: set, taken away, repeated, refused.

use rekindle_core::ingest::RejectionReason;
use rekindle_core::value::{Properties, Value};
use rekindle_engine::subjects::AttributeChange;
use rekindle_engine::{EngineError, Precondition};
use rekindle_testkit::build::at;

use crate::fixture::{change, fixtures, properties};

#[tokio::test]
async fn attributes_create_their_subject_and_only_named_keys_change() {
    for fixture in fixtures().await {
        let (engine, scope) = (&fixture.test.engine, fixture.scope);
        let first = AttributeChange { customer: Some("ann".into()), ..change(&[("a", "1"), ("b", "1")]) };
        engine.update_conversation_attributes(scope, "talk", first).await.expect("can be set");
        fixture.test.clock.set(at(10));
        let mut second = change(&[("a", "2")]);
        second.attributes.insert("b".into(), Value::Null);
        let updated = engine.update_conversation_attributes(scope, "talk", second).await.expect("can be set");
        assert_eq!(
            updated.view.row.attributes.current(),
            properties(&[("a", "2")]),
            "{}",
            fixture.database.name
        );
        assert_eq!(updated.view.customer.as_deref(), Some("ann"));
        // What held before another change does not undo it.
        let earlier = AttributeChange { at: Some(at(5)), ..change(&[("a", "0"), ("c", "0")]) };
        let updated =
            engine.update_conversation_attributes(scope, "talk", earlier).await.expect("can be set");
        assert_eq!(updated.view.row.attributes.current(), properties(&[("a", "2"), ("c", "0")]));
    }
}

#[tokio::test]
async fn a_repeated_request_changes_nothing_and_another_is_refused() {
    for fixture in fixtures().await {
        let (engine, scope) = (&fixture.test.engine, fixture.scope);
        let request = |value| AttributeChange { request_id: Some("r1".into()), ..change(&[("plan", value)]) };
        for second in [0, 10] {
            fixture.test.clock.set(at(second));
            let updated =
                engine.update_customer_attributes(scope, "ann", request("pro")).await.expect("can be set");
            assert_eq!(updated.view.event_count, 1, "{}", fixture.database.name);
        }
        let other =
            engine.update_customer_attributes(scope, "ann", request("free")).await.expect_err("says another");
        assert!(matches!(other, EngineError::RequestIdReused { id } if id == "r1"));
        let elsewhere =
            engine.update_customer_attributes(scope, "ben", request("pro")).await.expect_err("is of another");
        assert!(matches!(elsewhere, EngineError::RequestIdReused { .. }));
    }
}

#[tokio::test]
async fn wrong_attributes_are_named_as_the_request_has_them() {
    for fixture in fixtures().await {
        let engine = &fixture.test.engine;
        let change = AttributeChange {
            attributes: Properties::from([("n".into(), Value::Number(f64::NAN))]),
            at: Some(rekindle_core::Timestamp(0)),
            request_id: Some("\u{7}".into()),
            customer: None,
        };
        let refused =
            engine.update_conversation_attributes(fixture.scope, "", change).await.expect_err("all is wrong");
        let EngineError::Invalid { violations, .. } = refused else {
            panic!("{refused}");
        };
        let fields: Vec<_> = violations.into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["requestId", "name", "effectiveTime", "attributes.n"]);
    }
}

#[tokio::test]
async fn an_erased_subject_takes_no_attributes() {
    for fixture in fixtures().await {
        let (engine, scope) = (&fixture.test.engine, fixture.scope);
        fixture.customer_is("ann", &[("plan", "pro")]).await;
        engine.erase_customer(scope, "ann").await.expect("can be erased");
        let refused = engine.update_customer_attributes(scope, "ann", change(&[("plan", "free")])).await;
        let refused = refused.expect_err("is erased");
        assert!(matches!(refused, EngineError::Precondition { reason: Precondition::SubjectErased, .. }));
        let event = rekindle_testkit::build::event("1", "visit", 5);
        let event = rekindle_testkit::build::EventExt::only(event, "ann");
        assert_eq!(fixture.rejections(&[event]).await, [RejectionReason::SubjectErased]);
    }
}
