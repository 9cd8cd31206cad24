//! A support desk: a funnel of conversations and one of customers, a sequence that writes,
//! and a customer whose every word can be recognised.

use std::sync::Arc;
use std::time::Duration;

use rekindle_core::funnel::{Funnel, OwedBy, Property, PropertyScope};
use rekindle_core::ingest::{NewEvent, RejectionReason};
use rekindle_core::mark::MarkKind;
use rekindle_core::metrics::{BreakdownSpec, Period};
use rekindle_core::scope::Scope;
use rekindle_core::sequence::{
    Action, SendEmail, Sequence, SequenceState, Step, Trigger, UnknownPolicy, Wait,
};
use rekindle_core::time::HOUR;
use rekindle_core::value::{Properties, Value};
use rekindle_engine::loops::{LoopOptions, Loops};
use rekindle_engine::metrics::FunnelQuestion;
use rekindle_engine::subjects::{AttributeChange, ConversationList, CustomerList};
use rekindle_ports::resources::{
    DestinationKind, DestinationRow, MailboxSpec, SequenceRow, SmtpTls, WorkspaceBody, WorkspaceRow,
};
use rekindle_ports::rows::Lease;
use rekindle_testkit::build::{EventExt, FunnelExt, at, event, funnel};
use rekindle_testkit::{Outbox, TestDatabase, TestEngine, databases};

/// In every name, id, text and attribute of the customer that is erased.
pub const CANARY: &str = "canary";

pub const DESK: &str = "desk";
pub const PEOPLE: &str = "people";

pub struct Fixture {
    pub test: TestEngine,
    pub loops: Loops,
    pub outbox: Arc<Outbox>,
    pub scope: Scope,
    pub database: TestDatabase,
}

/// A desk on every database; nothing happened yet, and the clock stands at second 0.
pub async fn fixtures() -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    for database in databases().await {
        let test = TestEngine::new(Arc::new(database.store.clone()), 1);
        let outbox = Arc::clone(&test.outbox);
        let lease = Lease { owner: "replica".into(), ttl: HOUR };
        let options = LoopOptions { lease, poll: Duration::from_secs(1), concurrency: 4, side_by_side: 2 };
        let loops = Loops::new(&test.engine, outbox.clone(), options);
        let fixture = Fixture { test, loops, outbox, scope: Scope::of("default"), database };
        fixture.test.clock.set(at(0));
        fixture.define().await;
        fixtures.push(fixture);
    }
    fixtures
}

impl Fixture {
    async fn define(&self) {
        self.test.define(self.scope, DESK, &desk()).await;
        self.test.define(self.scope, PEOPLE, &people()).await;
        self.has(vec![sequence("writes", 0), sequence("waits", 24 * HOUR)]).await;
        let written = self.test.engine.write(self.scope, move |tx, now| {
            Box::pin(async move {
                tx.save_destination(&relay()).await?;
                let sender = Some(MailboxSpec { name: String::new(), address: "desk@shop.invalid".into() });
                let body = WorkspaceBody { sender, ..WorkspaceBody::default() };
                Ok(tx.save_workspace(&WorkspaceRow { body, revision: 1, updated_at: now }).await?)
            })
        });
        written.await.expect("definitions can be stored");
        self.test.fill(self.scope).await;
    }

    /// Puts sequences to work as they are.
    pub async fn has(&self, rows: Vec<SequenceRow>) {
        let written = self.test.engine.write(self.scope, move |tx, _| {
            let rows = rows.clone();
            Box::pin(async move {
                for row in &rows {
                    tx.save_sequence(row).await?;
                }
                Ok(())
            })
        });
        written.await.expect("sequences can be stored");
    }

    /// Stores events at the instant of the newest.
    pub async fn happens(&self, events: &[NewEvent]) {
        let newest = events.iter().map(|event| event.occurred_at).max().expect("something happens");
        self.test.clock.set(newest);
        let report = self.test.ingest(self.scope, events).await;
        assert_eq!(report.rejections, [], "{}", self.database.name);
    }

    /// Why each of the events is not stored; nothing for duplicates.
    pub async fn rejections(&self, events: &[NewEvent]) -> Vec<RejectionReason> {
        let report = self.test.ingest(self.scope, events).await;
        assert_eq!(report.accepted, 0, "{}", self.database.name);
        report.rejections.into_iter().map(|rejection| rejection.reason).collect()
    }

    /// Moves the time on and does what is due.
    pub async fn until(&self, seconds: i64) {
        self.test.clock.set(at(seconds));
        self.loops.drain().await.expect("the loops work");
    }

    /// All figures of both funnels, with their breakdowns.
    pub async fn figures(&self) -> String {
        let mut all = Vec::new();
        let by = |property| BreakdownSpec { property, at_entry: false, top: 10 };
        for (id, breakdowns) in [(DESK, broken_down().map(by).into()), (PEOPLE, Vec::new())] {
            let question = FunnelQuestion {
                funnel: id.into(),
                revision: None,
                unit: None,
                period: Period::default(),
                as_of: Some(at(100_000)),
                filter: String::new(),
                breakdowns,
                trend: None,
                compare: None,
            };
            let answer = self.test.engine.query_funnel(self.scope, question).await.expect("an answer");
            all.push(format!("{:#?}\n{:#?}", answer.figures, answer.breakdowns));
        }
        all.join("\n")
    }

    /// Sets attributes of a conversation.
    pub async fn conversation_is(&self, name: &str, attributes: &[(&str, &str)]) {
        let changed = self.test.engine.update_conversation_attributes(self.scope, name, change(attributes));
        changed.await.expect("attributes can be set");
    }

    /// Sets attributes of a customer.
    pub async fn customer_is(&self, name: &str, attributes: &[(&str, &str)]) {
        let changed = self.test.engine.update_customer_attributes(self.scope, name, change(attributes));
        changed.await.expect("attributes can be set");
    }

    /// Names of all conversations on pages of one, in the order of the list.
    pub async fn conversations(&self, list: ConversationList) -> Vec<String> {
        let mut names = Vec::new();
        let mut after = None;
        loop {
            let list = ConversationList { after, limit: 1, ..list.clone() };
            let page = self.test.engine.conversations(self.scope, list).await.expect("a page");
            names.extend(page.conversations.into_iter().map(|view| view.row.name));
            after = page.next;
            if after.is_none() {
                return names;
            }
        }
    }

    /// Names of all customers on pages of one, in the order of the list.
    pub async fn customers(&self, list: CustomerList) -> Vec<String> {
        let mut names = Vec::new();
        let mut after = None;
        loop {
            let list = CustomerList { after, limit: 1, ..list.clone() };
            let page = self.test.engine.customers(self.scope, list).await.expect("a page");
            names.extend(page.customers.into_iter().map(|view| view.row.name));
            after = page.next;
            if after.is_none() {
                return names;
            }
        }
    }
}

/// Attributes set now, by a call that is not repeated.
pub fn change(attributes: &[(&str, &str)]) -> AttributeChange {
    AttributeChange { attributes: properties(attributes), ..AttributeChange::default() }
}

pub fn properties(pairs: &[(&str, &str)]) -> Properties {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect()
}

/// What the customer of the canary says, and the agent who answers.
pub fn canary_events() -> Vec<NewEvent> {
    let said = |id: &str, kind: &str, seconds| {
        let mut event =
            event(&format!("{CANARY}-{id}"), kind, seconds).of("canary-talk").from_customer("canary-name");
        event.text = Some("my canary is ill".into());
        event.with("card", "canary-card").with("plan", "pro")
    };
    vec![
        said("1", "customer_message", 10),
        said("2", "agent_message", 20),
        said("3", "visit", 25).only("canary-name"),
    ]
}

/// What somebody else says.
pub fn other_events() -> Vec<NewEvent> {
    vec![
        event("o1", "customer_message", 12).of("talk").from_customer("somebody").with("plan", "free"),
        event("o2", "agent_message", 22).of("talk"),
        event("o3", "resolution", 30).of("talk"),
    ]
}

/// Its rules read attributes, so that checkpoints hold them.
fn desk() -> Funnel {
    let mut desk = funnel(&["customer_message", "agent_message", "resolution"])
        .stage_rule(0, r#"customer.email != "nobody" && conversation.note != "none""#)
        .stall(1, 600, OwedBy::Customer)
        .abandon(1, 36_000, OwedBy::Customer);
    desk.breakdowns = broken_down().into();
    desk
}

/// Properties that stay when everything else is erased.
fn broken_down() -> [Property; 2] {
    let property = |scope, key: &str| Property { scope, key: key.into() };
    [property(PropertyScope::Event, "plan"), property(PropertyScope::Conversation, "channel")]
}

fn people() -> Funnel {
    funnel(&["customer_message", "agent_message"])
        .stage_rule(0, r#"event.properties.card != "none" && conversation.note != "none""#)
        .stall(1, 600, OwedBy::Anyone)
        .of_customers()
}

/// A mail to who is stalled in the desk, after a wait of so many microseconds.
pub fn sequence(id: &str, wait: i64) -> SequenceRow {
    let email = SendEmail {
        destination: "relay".into(),
        subject: "Are you still there?".into(),
        text: "Are you still there?".into(),
        html: String::new(),
        to: String::new(),
        unknown: UnknownPolicy::Resend,
    };
    let mut steps = vec![Step { id: "mail".into(), action: Action::SendEmail(email) }];
    if wait > 0 {
        steps.insert(0, Step { id: "wait".into(), action: Action::Wait(Wait::wall(wait)) });
    }
    SequenceRow {
        id: id.into(),
        revision: 1,
        changed_by: 0,
        etag: String::new(),
        state: SequenceState::Active,
        body: Sequence::new(
            Trigger {
                funnel: DESK.into(),
                stage: "s2".into(),
                on: MarkKind::Stalled.into(),
                owed_by: OwedBy::Anyone,
            },
            steps,
        ),
        created_at: at(0),
        updated_at: at(0),
        started_at: Some(at(0)),
    }
}

fn relay() -> DestinationRow {
    DestinationRow {
        id: "relay".into(),
        display_name: String::new(),
        kind: DestinationKind::Smtp {
            host: "relay.invalid".into(),
            port: 465,
            tls: SmtpTls::Implicit,
            username: String::new(),
            sender: None,
        },
        secrets: Vec::new(),
        disabled: None,
        etag: String::new(),
        created_at: at(0),
        updated_at: at(0),
    }
}
