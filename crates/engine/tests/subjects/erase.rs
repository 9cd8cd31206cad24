//! Erasing: nothing that was said stays, and everything that was counted does.

use rekindle_core::funnel::OwedBy;
use rekindle_core::ingest::RejectionReason;
use rekindle_core::sequence::contact::{ContactLimit, LimitPeriod};
use rekindle_core::sequence::{
    Action, LimitPolicy, Occasion, OnEvent, QuietHours, QuietPolicy, Sequence, Step, Trigger, WaitFor,
};
use rekindle_core::time::DAY;
use rekindle_engine::subjects::{ConversationList, CustomerList, ErasedConversation, ErasedCustomer};
use rekindle_engine::workspace::WorkspaceChange;
use rekindle_engine::{EngineError, ResourceKind};
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::resources::{SequenceRow, SuppressionKind};
use rekindle_testkit::build::{EventExt, event};
use rekindle_testkit::everything;

use crate::fixture::{CANARY, Fixture, PEOPLE, canary_events, fixtures, other_events, sequence};

const ADDRESS: &str = "canary@cage.invalid";

/// A customer is written to, bounces, and is about to be written to again.
async fn stalled(fixture: &Fixture) {
    fixture.customer_is("canary-name", &[("email", ADDRESS), ("nickname", "canary-nick")]).await;
    fixture.conversation_is("canary-talk", &[("note", "canary-note"), ("channel", "chat")]).await;
    fixture.happens(&canary_events()).await;
    fixture.happens(&other_events()).await;
    fixture.outbox.answer(SendOutcome::Rejected {
        phase: "recipient".into(),
        code: Some(550),
        response: format!("5.1.1 {ADDRESS}: no such user"),
        suppress: true,
        disable_destination: false,
    });
    fixture.until(700).await;
    assert_eq!(fixture.outbox.sent().len(), 1, "{}", fixture.database.name);
    assert!(everything(&fixture.database).await.contains(CANARY));
}

async fn has_no_canary(fixture: &Fixture) {
    let all = everything(&fixture.database).await;
    let found: Vec<&str> = all.lines().filter(|line| line.to_lowercase().contains(CANARY)).collect();
    assert_eq!(found, Vec::<&str>::new(), "{}", fixture.database.name);
}

#[tokio::test]
async fn an_erased_customer_is_in_no_row_and_every_figure_stays() {
    for fixture in fixtures().await {
        stalled(&fixture).await;
        let before = fixture.figures().await;
        let engine = &fixture.test.engine;
        let erased = engine.erase_customer(fixture.scope, "canary-name").await.expect("can be erased");
        // Three events and two changes of attributes; one run still waited.
        assert_eq!(
            erased,
            ErasedCustomer { conversations: 1, events: 5, runs: 1 },
            "{}",
            fixture.database.name
        );
        has_no_canary(&fixture).await;
        assert_eq!(fixture.figures().await, before, "{}", fixture.database.name);
    }
}

#[tokio::test]
async fn an_erased_conversation_is_in_no_row_and_the_figures_of_its_customer_stay() {
    for fixture in fixtures().await {
        let said: Vec<_> = canary_events().into_iter().filter(|event| event.conversation.is_some()).collect();
        let said: Vec<_> = said.into_iter().map(|event| event.from_customer("somebody")).collect();
        fixture.conversation_is("canary-talk", &[("note", "canary-note")]).await;
        fixture.happens(&said).await;
        fixture.happens(&other_events()).await;
        fixture.until(700).await;
        let before = fixture.figures().await;
        let engine = &fixture.test.engine;
        let erased = engine.erase_conversation(fixture.scope, "canary-talk").await.expect("can be erased");
        assert_eq!(erased.events, 3, "{}", fixture.database.name);
        has_no_canary(&fixture).await;
        assert_eq!(fixture.figures().await, before, "{}", fixture.database.name);
        let customer = engine.customer(fixture.scope, "somebody").await.expect("the customer stays");
        assert_eq!((customer.event_count, customer.conversation_count), (6, 2), "{}", fixture.database.name);
        fixture.happens(&[event("o4", "agent_message", 800).of("talk")]).await;
    }
}

#[tokio::test]
async fn what_names_the_erased_is_refused_and_what_was_stored_before_is_known() {
    for fixture in fixtures().await {
        stalled(&fixture).await;
        let engine = &fixture.test.engine;
        engine.erase_customer(fixture.scope, "canary-name").await.expect("can be erased");
        assert_eq!(fixture.rejections(&canary_events()).await, [], "{}", fixture.database.name);
        let late = [
            event("n1", "customer_message", 800).of("canary-talk"),
            event("n2", "customer_message", 801).only("canary-name"),
            event("n3", "customer_message", 802).of("talk").from_customer("canary-name"),
        ];
        let refused = fixture.rejections(&late).await;
        assert_eq!(refused, [RejectionReason::SubjectErased; 3], "{}", fixture.database.name);
        let reused = [event("canary-1", "customer_message", 803).of("talk")];
        assert_eq!(
            fixture.rejections(&reused).await,
            [RejectionReason::IdReused],
            "{}",
            fixture.database.name
        );
        has_no_canary(&fixture).await;
    }
}

#[tokio::test]
async fn the_erased_are_found_nowhere_and_erasing_again_does_nothing() {
    for fixture in fixtures().await {
        stalled(&fixture).await;
        let (engine, scope) = (&fixture.test.engine, fixture.scope);
        engine.erase_customer(scope, "canary-name").await.expect("can be erased");
        let customer = engine.customer(scope, "canary-name").await.expect_err("is erased");
        assert!(matches!(customer, EngineError::NotFound { kind: ResourceKind::Customer, .. }));
        let conversation =
            engine.conversation_events(scope, "canary-talk", None, 10).await.expect_err("is erased");
        assert!(matches!(conversation, EngineError::NotFound { kind: ResourceKind::Conversation, .. }));
        assert_eq!(fixture.conversations(ConversationList::default()).await, ["talk"]);
        assert_eq!(fixture.customers(CustomerList::default()).await, ["somebody"]);
        let again = engine.erase_customer(scope, "canary-name").await.expect("was erased");
        assert_eq!(again, ErasedCustomer::default());
        let again = engine.erase_conversation(scope, "canary-talk").await.expect("was erased");
        assert_eq!(again, ErasedConversation::default());
        let unknown = engine.erase_conversation(scope, "never").await.expect_err("is unknown");
        assert!(matches!(unknown, EngineError::NotFound { kind: ResourceKind::Conversation, .. }));
    }
}

#[tokio::test]
async fn nobody_writes_to_the_erased_and_their_address_stays_suppressed() {
    for fixture in fixtures().await {
        stalled(&fixture).await;
        let engine = &fixture.test.engine;
        engine.erase_customer(fixture.scope, "canary-name").await.expect("can be erased");
        // A day later the sequence that waited would have written.
        fixture.until(90_000).await;
        assert_eq!(fixture.outbox.sent().len(), 1, "{}", fixture.database.name);
        let entries = vec![(SuppressionKind::Address, ADDRESS.to_owned())];
        let suppressed = engine.read(fixture.scope, move |tx, _| {
            let entries = entries.clone();
            Box::pin(async move { Ok(tx.suppressed(&entries).await?) })
        });
        let suppressed = suppressed.await.expect("an answer");
        assert_eq!(suppressed.len(), 1, "{}", fixture.database.name);
        assert_eq!((suppressed[0].value.as_str(), suppressed[0].note.as_str()), (ADDRESS, ""));
    }
}

/// A zone that names the customer of the canary, as ledgers tell of it.
const ZONE: &str = "Atlantic/Canary";

/// Rows of a table that tell of the zone.
async fn told_of_zone(fixture: &Fixture, table: &str) -> usize {
    let all = everything(&fixture.database).await;
    all.lines().filter(|line| line.starts_with(&format!("{table} ")) && line.contains(ZONE)).count()
}

#[tokio::test]
async fn the_zone_by_which_an_erased_customer_was_let_rest_is_told_nowhere() {
    for fixture in fixtures().await {
        let engine = &fixture.test.engine;
        let quiet = QuietHours {
            hours: "Mo-Su 00:00-20:00".into(),
            holidays: Vec::new(),
            policy: QuietPolicy::Skip,
            max_deferral: DAY,
        };
        let with = |id: &str, change: &dyn Fn(&mut Sequence)| {
            let mut row = sequence(id, 0);
            change(&mut row.body);
            row
        };
        let rests = with("rests", &|body| body.quiet = Some(quiet.clone()));
        // Both come behind the one that is written to anyway.
        let defers = with("defers", &|body| body.priority = -1);
        let leaves_out = with("leaves-out", &|body| {
            (body.priority, body.when_limited) = (-1, LimitPolicy::Skip);
        });
        fixture.has(vec![rests, defers, leaves_out]).await;
        let mut body = engine.workspace(fixture.scope).await.expect("a workspace").body;
        body.contact_limits = vec![ContactLimit { count: 1, period: LimitPeriod::Rolling(DAY) }];
        let change = WorkspaceChange { body, etag: None };
        engine.update_workspace(fixture.scope, change).await.expect("good limits");
        fixture.customer_is("canary-name", &[("email", ADDRESS), ("zone", ZONE)]).await;
        fixture.happens(&canary_events()).await;
        fixture.until(700).await;
        assert_eq!(fixture.outbox.sent().len(), 1, "{}", fixture.database.name);
        // What rested, what waits for room, and what was left out, once as a line and once as a message.
        assert_eq!(told_of_zone(&fixture, "run_events").await, 3, "{}", fixture.database.name);
        assert_eq!(told_of_zone(&fixture, "deliveries").await, 2, "{}", fixture.database.name);
        engine.erase_customer(fixture.scope, "canary-name").await.expect("can be erased");
        has_no_canary(&fixture).await;
    }
}

/// A run about a customer that waits for two events, one after the other; any event of some kind
/// starts it.
fn listens() -> SequenceRow {
    let wait_for = |rule: &str, then: Vec<Step>| {
        Action::WaitFor(WaitFor { rule: rule.into(), within: DAY, then, otherwise: Vec::new() })
    };
    let second = Step { id: "second".into(), action: wait_for("event.type == 'never'", Vec::new()) };
    let first = Step { id: "first".into(), action: wait_for("event.type == 'look'", vec![second]) };
    let trigger = Trigger {
        funnel: PEOPLE.into(),
        stage: String::new(),
        on: Occasion::Event(OnEvent { when: "event.type == 'resolution'".into() }),
        owed_by: OwedBy::Anyone,
    };
    let body = Sequence { outlasts_return: true, ..Sequence::new(trigger, vec![first]) };
    SequenceRow { body, ..sequence("listens", 0) }
}

#[tokio::test]
async fn what_a_run_of_somebody_else_heard_of_an_erased_conversation_is_told_by_no_id() {
    for fixture in fixtures().await {
        fixture.has(vec![listens()]).await;
        fixture.happens(&other_events()).await;
        fixture.until(31).await;
        let look = |id: &str, seconds| event(id, "look", seconds).of("canary-talk").from_customer("somebody");
        fixture.happens(&[look("canary-met", 40)]).await;
        fixture.until(41).await;
        // Nobody has asked yet whether this one meets a rule.
        fixture.happens(&[look("canary-heard", 42)]).await;
        let all = everything(&fixture.database).await;
        for (table, id) in [("run_events ", "canary-met"), ("runs ", "canary-heard")] {
            let told = all.lines().any(|line| line.starts_with(table) && line.contains(id));
            assert!(told, "{table} {id}, {}", fixture.database.name);
        }
        let engine = &fixture.test.engine;
        engine.erase_conversation(fixture.scope, "canary-talk").await.expect("can be erased");
        has_no_canary(&fixture).await;
        fixture.until(43).await;
        has_no_canary(&fixture).await;
    }
}
