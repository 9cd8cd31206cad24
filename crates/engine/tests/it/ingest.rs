//! What ingest does with events that are late, doubled, wrong, stamped ahead, or that change
//! whom a conversation belongs to; on both databases.

use std::sync::Arc;

use rekindle_core::ingest::RejectionReason;
use rekindle_core::scope::Scope;
use rekindle_core::time::{DAY, MINUTE};
use rekindle_testkit::build::{EventExt, FunnelExt, RECEIVED, at, event, events, funnel};
use rekindle_testkit::{Dump, TestDatabase, TestEngine, databases};

use crate::histories::question;

const FUNNEL: &str = "journey";
const SCOPE: &str = "default";

struct Fixture {
    engine: TestEngine,
    scope: Scope,
    database: TestDatabase,
}

async fn fixtures() -> Vec<Fixture> {
    let over = |database: TestDatabase| Fixture {
        engine: TestEngine::new(Arc::new(database.store.clone()), 1),
        scope: Scope::of(SCOPE),
        database,
    };
    databases().await.into_iter().map(over).collect()
}

impl Fixture {
    async fn reached(&self) -> Vec<i64> {
        let answer = self
            .engine
            .engine
            .query_funnel(self.scope, question(RECEIVED.plus(DAY)))
            .await
            .expect("an answer");
        answer.figures.stages.iter().map(|stage| stage.reached).collect()
    }

    async fn dump(&self) -> Dump {
        Dump::of(&*self.engine.store, self.scope, FUNNEL).await
    }
}

#[tokio::test]
async fn a_reused_id_is_rejected_and_the_rest_of_the_batch_is_stored() {
    for fixture in fixtures().await {
        let Fixture { engine, scope, .. } = &fixture;
        engine.define(*scope, FUNNEL, &funnel(&["a", "b"])).await;
        engine.ingest(*scope, &[event("1", "a", 0)]).await;
        let batch = [
            event("2", "b", 5),
            event("1", "a", 7),
            event("3", "b", 6),
            event("3", "b", 6),
            event("2", "b", 9),
            event("", "b", 8),
        ];
        let report = engine.ingest(*scope, &batch).await;
        assert_eq!((report.accepted, report.duplicates), (2, 1), "{}", fixture.database.name);
        let rejected: Vec<_> = report.rejections.iter().map(|r| (r.index, r.reason)).collect();
        let expected =
            [(1, RejectionReason::IdReused), (4, RejectionReason::IdReused), (5, RejectionReason::Invalid)];
        assert_eq!(rejected, expected);
        assert_eq!(fixture.reached().await, [1, 1]);
    }
}

#[tokio::test]
async fn a_batch_that_comes_again_changes_nothing() {
    for fixture in fixtures().await {
        let Fixture { engine, scope, .. } = &fixture;
        engine.define(*scope, FUNNEL, &funnel(&["a", "b"])).await;
        let batch = events(&[("a", 0), ("b", 1), ("a", 2)]);
        engine.ingest(*scope, &batch).await;
        let before = fixture.dump().await;
        engine.clock.advance(DAY);
        let report = engine.ingest(*scope, &batch).await;
        assert_eq!((report.accepted, report.duplicates), (0, 3));
        assert_eq!(fixture.dump().await, before, "{}", fixture.database.name);
    }
}

#[tokio::test]
async fn a_stamp_too_far_ahead_counts_as_its_receipt_once_and_for_ever() {
    for fixture in fixtures().await {
        let Fixture { engine, scope, .. } = &fixture;
        engine.define(*scope, FUNNEL, &funnel(&["a", "b"]).window(0)).await;
        engine.clock.set(at(100));
        let ahead = |id, kind, span| rekindle_core::ingest::NewEvent {
            occurred_at: at(100).plus(span),
            ..event(id, kind, 0)
        };
        engine.ingest(*scope, &[event("1", "a", 100), ahead("2", "b", 5 * MINUTE + 1)]).await;
        assert_eq!(fixture.reached().await, [1, 1], "received at the instant of the first");
        engine.clock.advance(DAY);
        engine.ingest(*scope, &[ahead("2", "b", 5 * MINUTE + 1)]).await;
        assert_eq!(fixture.reached().await, [1, 1]);
    }
}

#[tokio::test]
async fn a_stamp_five_minutes_ahead_stands() {
    for fixture in fixtures().await {
        let Fixture { engine, scope, .. } = &fixture;
        engine.define(*scope, FUNNEL, &funnel(&["a", "b"]).window(5 * 60)).await;
        engine.clock.set(at(100));
        engine.ingest(*scope, &[event("1", "a", 100), event("2", "b", 400)]).await;
        assert_eq!(fixture.reached().await, [1, 1], "{}", fixture.database.name);
    }
}

#[tokio::test]
async fn the_first_event_in_order_that_names_a_customer_says_whose_the_conversation_is() {
    for fixture in fixtures().await {
        let Fixture { engine, scope, .. } = &fixture;
        engine.define(*scope, FUNNEL, &funnel(&["a", "b"]).of_customers()).await;
        engine.ingest(*scope, &[event("1", "a", 10)]).await;
        assert_eq!(fixture.reached().await, [0, 0], "nobody's");
        engine.ingest(*scope, &[event("2", "x", 20).from_customer("ada")]).await;
        assert_eq!(fixture.reached().await, [1, 0], "ada's, from its first event on");
        engine.ingest(*scope, &[event("3", "b", 5).only("bob"), event("4", "b", 15).only("bob")]).await;
        engine.ingest(*scope, &[event("5", "x", 1).from_customer("bob")]).await;
        assert_eq!(fixture.reached().await, [1, 1], "bob's");
        let owners: Vec<String> = fixture.dump().await.journeys.keys().cloned().collect();
        assert_eq!(owners, ["bob"], "{}", fixture.database.name);
    }
}

#[tokio::test]
async fn a_late_attribute_folds_a_hundred_conversations_at_once_and_leaves_the_rest_to_the_fill() {
    for fixture in fixtures().await {
        let Fixture { engine, scope, .. } = &fixture;
        engine.define(*scope, FUNNEL, &funnel(&["a", "b"]).stage_rule(0, "customer.plan == \"pro\"")).await;
        engine.fill(*scope).await;
        let asked: Vec<_> = (0..120)
            .map(|n| event(&format!("e{n}"), "a", 10).of(&format!("c{n}")).from_customer("ada"))
            .collect();
        engine.ingest(*scope, &asked).await;
        assert_eq!(fixture.reached().await, [0, 0]);
        let plan = event("plan", "customer_updated", 5).only("ada").with("plan", "pro");
        let report = engine.ingest(*scope, &[plan]).await;
        assert_eq!(report.refold_pending, 20, "{}", fixture.database.name);
        let answer = engine.engine.query_funnel(*scope, question(RECEIVED)).await.expect("an answer");
        assert!(!answer.complete, "the answer says that it is not whole");
        assert_eq!(fixture.reached().await, [100, 0]);
        engine.fill(*scope).await;
        assert_eq!(fixture.reached().await, [120, 0]);
    }
}

#[tokio::test]
async fn an_attribute_that_is_set_in_one_conversation_holds_in_all_of_the_customer() {
    for fixture in fixtures().await {
        let Fixture { engine, scope, .. } = &fixture;
        let pro = "customer.plan == \"pro\"";
        engine.define(*scope, FUNNEL, &funnel(&["a", "b"]).stage_rule(0, pro).stage_rule(1, pro)).await;
        engine.fill(*scope).await;
        engine.ingest(*scope, &[event("1", "a", 10).of("c1").from_customer("ada")]).await;
        assert_eq!(fixture.reached().await, [0, 0]);
        let plan = |id, seconds| event(id, "customer_updated", seconds).of("c2").with("plan", "pro");
        engine.ingest(*scope, &[plan("2", 5).from_customer("ada")]).await;
        assert_eq!(fixture.reached().await, [1, 0], "{}: a late one", fixture.database.name);
        engine.ingest(*scope, &[event("3", "b", 20).of("c1").from_customer("ada")]).await;
        assert_eq!(fixture.reached().await, [1, 1], "{}: one that runs along", fixture.database.name);
        // In ada's conversation of somebody else: it is not ada who is on that plan.
        engine.ingest(*scope, &[event("4", "a", 30).of("c3").from_customer("bob")]).await;
        engine.ingest(*scope, &[plan("5", 40).from_customer("bob"), event("6", "a", 50).of("c3")]).await;
        assert_eq!(fixture.reached().await, [2, 1], "{}: bob's", fixture.database.name);
    }
}

#[tokio::test]
async fn a_silence_that_a_pause_interrupts_can_be_stored_in_one_batch() {
    for fixture in fixtures().await {
        let Fixture { engine, scope, .. } = &fixture;
        let snoozes = funnel(&["customer_message", "b"])
            .stall(0, 10, rekindle_core::funnel::OwedBy::Agent)
            .ended("snoozed")
            .reopened("woken");
        engine.define(*scope, FUNNEL, &snoozes).await;
        let said = [
            ("customer_message", 0),
            ("snoozed", 20),
            ("woken", 30),
            ("snoozed", 50),
            ("woken", 60),
            ("agent_message", 70),
        ];
        let report = engine.ingest(*scope, &events(&said)).await;
        assert_eq!(report.accepted, 6, "{}", fixture.database.name);
    }
}

#[tokio::test]
async fn the_least_sequence_there_is_orders_like_any_other() {
    for fixture in fixtures().await {
        let Fixture { engine, scope, .. } = &fixture;
        engine.define(*scope, FUNNEL, &funnel(&["a", "b"])).await;
        let first = event("z", "a", 0).sequence(i64::MIN);
        let report = engine.ingest(*scope, &[first, event("y", "b", 0)]).await;
        assert_eq!((report.accepted, report.rejections.len()), (2, 0), "{}", fixture.database.name);
        assert_eq!(fixture.reached().await, [1, 1]);
    }
}

#[tokio::test]
async fn ids_order_by_bytes_whatever_the_database_sorts_by() {
    for fixture in fixtures().await {
        let Fixture { engine, scope, .. } = &fixture;
        let say = |id: &str, kind: &str| event(id, kind, 10);
        // The late event makes the conversation be folded from the stored stream.
        engine.ingest(*scope, &[say("a", "customer_message"), say("B", "agent_message")]).await;
        engine.ingest(*scope, &[event("0", "note", 5)]).await;
        let late = fixture.dump().await;
        let other = Scope::of("in order");
        engine
            .ingest(other, &[event("0", "note", 5), say("B", "agent_message"), say("a", "customer_message")])
            .await;
        let sorted = Dump::of(&*engine.store, other, FUNNEL).await;
        assert_eq!(late.conversations, sorted.conversations, "{}", fixture.database.name);
    }
}
