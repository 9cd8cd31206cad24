//! A service in a test: a database, a clock that stands still, and a courier.
//!
//! Second 0 is [`START`](rekindle_testkit::build::START). A stall in `answered` is due 600
//! seconds after the agent's word.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rekindle_core::funnel::{Funnel, OwedBy};
use rekindle_core::ingest::NewEvent;
use rekindle_core::mark::MarkKind;
use rekindle_core::metrics::Period;
use rekindle_core::scope::Scope;
use rekindle_core::sequence::{Action, CallWebhook, SendEmail, Sequence, Step, Trigger, UnknownPolicy, Wait};
use rekindle_core::time::{DAY, HOUR, SECOND};
use rekindle_core::violation::Violation;
use rekindle_engine::destinations::DestinationDraft;
use rekindle_engine::error::EngineResult;
use rekindle_engine::funnels::FunnelChange;
use rekindle_engine::loops::{LoopOptions, Loops};
use rekindle_engine::metrics::{RecoveryAnswer, RecoveryQuestion};
use rekindle_engine::runs::{LedgerQuery, RunView};
use rekindle_engine::sequences::{RunImpact, SequenceChange};
use rekindle_engine::workspace::WorkspaceChange;
use rekindle_engine::{Creation, Engine, EngineError, Options, Parts};
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::ledger::{DeliveryRow, EndReason, RunState};
use rekindle_ports::resources::{DestinationKind, MailboxSpec, RunPolicy, SmtpTls, WorkspaceBody};
use rekindle_ports::rows::{Lease, LivePolicy};
use rekindle_ports::{Deliver, Store};
use rekindle_testkit::build::{EventExt, FunnelExt, at, event, funnel};
use rekindle_testkit::{ManualClock, SeededMinter, TestDatabase};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::courier::Courier;

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub struct House {
    pub engine: Engine,
    pub loops: Loops,
    pub clock: ManualClock,
    pub courier: Arc<Courier>,
    pub store: Arc<dyn Store>,
    pub scope: Scope,
}

impl House {
    /// A house without anything in it.
    pub fn bare(database: &TestDatabase) -> Self {
        let store: Arc<dyn Store> = Arc::new(database.store.clone());
        Self::over(store, ManualClock::at(at(0)), Arc::default(), 1, 30 * SECOND)
    }

    /// Another process over the same world; its claims hold for `ttl` microseconds.
    pub fn over(
        store: Arc<dyn Store>,
        clock: ManualClock,
        courier: Arc<Courier>,
        seed: u64,
        ttl: i64,
    ) -> Self {
        let deliver = Arc::clone(&courier) as Arc<dyn Deliver>;
        let engine = Engine::new(Parts {
            store: Arc::clone(&store),
            clock: Arc::new(clock.clone()),
            minter: Arc::new(SeededMinter::new(seed)),
            deliver: Arc::clone(&deliver),
            tracker: TaskTracker::new(),
            experiment_key: [7; 32],
            options: Options::default(),
        });
        let lease = Lease { owner: format!("replica-{seed}"), ttl };
        let options = LoopOptions { lease, poll: Duration::from_secs(1), concurrency: 4, side_by_side: 2 };
        let loops = Loops::new(&engine, deliver, options);
        Self { engine, loops, clock, courier, store, scope: Scope::of("default") }
    }

    /// A house with a relay, a hook, a funnel, the sequence `nudge` at work, and the customer Ann.
    pub async fn furnished(database: &TestDatabase) -> Self {
        Self::with(database, nudge()).await
    }

    /// The same with another sequence.
    pub async fn with(database: &TestDatabase, sequence: Sequence) -> Self {
        let house = Self::bare(database);
        house.furnish().await;
        let created = house.engine.create_sequence(house.scope, "nudge", sequence, Creation::default()).await;
        created.expect("a good sequence");
        house.engine.start_sequence(house.scope, "nudge", None).await.expect("nothing stands in the way");
        house
    }

    /// Two quiet conversations in a furnished house: `c1` of Ann, and `c2` of Bob.
    pub async fn with_two_quiet(database: &TestDatabase) -> Self {
        let house = Self::furnished(database).await;
        house.answer_two().await;
        house
    }

    /// Ann in `c1` and Bob in `c2` are answered at 0.
    pub async fn answer_two(&self) {
        let bob = event("bob-1", "customer_updated", 0).only("bob");
        self.hear(bob.with("email", "bob@example.invalid").with("name", "Bob")).await;
        self.answer_ann().await;
        for (id, kind) in [("b1", "customer_message"), ("b2", "agent_message")] {
            self.hear(event(id, kind, 0).of("c2").from_customer("bob")).await;
        }
    }

    /// Everything but a sequence.
    pub async fn furnish(&self) {
        let body = WorkspaceBody {
            sender: Some(MailboxSpec { name: "Support".into(), address: "support@example.invalid".into() }),
            ..WorkspaceBody::default()
        };
        let change = WorkspaceChange { body, etag: None };
        self.engine.update_workspace(self.scope, change).await.expect("a good workspace");
        for (id, draft) in [("relay", relay()), ("hook", hook())] {
            self.engine
                .create_destination(self.scope, id, draft, Creation::default())
                .await
                .expect("a good destination");
        }
        self.engine
            .create_funnel(self.scope, "support", support(), Creation::default())
            .await
            .expect("a good funnel");
        while self.engine.fill_step(self.scope).await.expect("the fill goes on") {}
        let ann = event("ann-1", "customer_updated", 0).only("ann");
        self.hear(ann.with("email", "ann@example.invalid").with("name", "Ann")).await;
    }

    /// Publishes a good change of `nudge`; what it does to the runs.
    pub async fn revise(&self, change: SequenceChange) -> RunImpact {
        let published = self.engine.update_sequence(self.scope, "nudge", change).await;
        published.expect("a good change").impact
    }

    /// Publishes the funnel's next revision, and fills it.
    pub async fn publish(&self, funnel: Funnel, policy: LivePolicy) {
        let stage_map = BTreeMap::new();
        let change = FunnelChange { funnel, etag: None, policy, stage_map, validate_only: false };
        self.engine.update_funnel(self.scope, "support", change).await.expect("a good funnel");
        while self.engine.fill_step(self.scope).await.expect("the fill goes on") {}
    }

    /// Takes in an event at its own instant.
    pub async fn hear(&self, event: NewEvent) {
        self.clock.set(event.occurred_at);
        let report = self.engine.ingest(self.scope, vec![event]).await.expect("it can be stored");
        assert_eq!(report.accepted, 1, "{report:?}");
    }

    /// A word in the conversation `c1` with Ann.
    pub async fn word(&self, id: &str, kind: &str, seconds: i64) {
        self.hear(event(id, kind, seconds).from_customer("ann")).await;
    }

    /// Ann asks at 0 and is answered; she is stalled at 600 if she says nothing.
    pub async fn answer_ann(&self) {
        self.word("e1", "customer_message", 0).await;
        self.word("e2", "agent_message", 0).await;
    }

    /// Does everything that is due at a second.
    pub async fn go(&self, seconds: i64) {
        self.clock.set(at(seconds));
        self.loops.drain().await.expect("the loops can work");
    }

    /// All runs, newest first.
    pub async fn runs(&self) -> Vec<RunView> {
        self.engine.runs(self.scope, LedgerQuery::default(), 100).await.expect("readable")
    }

    /// The one run that there is.
    pub async fn the_run(&self) -> RunView {
        let mut runs = self.runs().await;
        assert_eq!(runs.len(), 1, "one run: {runs:#?}");
        runs.remove(0)
    }

    /// All deliveries, oldest first.
    pub async fn deliveries(&self) -> Vec<DeliveryRow> {
        let views = self.engine.deliveries(self.scope, LedgerQuery::default(), 100).await.expect("readable");
        views.into_iter().rev().map(|view| view.delivery).collect()
    }

    /// Steps whose messages were sent, in order.
    pub fn sent(&self) -> Vec<String> {
        self.courier.sent().into_iter().map(|delivery| delivery.step).collect()
    }

    /// Kinds of the ledger lines of the one run.
    pub async fn lines(&self) -> Vec<String> {
        let id = self.the_run().await.run.id;
        let events = self.engine.run_events(self.scope, id).await.expect("readable");
        events.into_iter().map(|event| event.kind).collect()
    }

    /// What a sequence had recovered by a second, or has by now, each run within seven days.
    pub async fn recovery(&self, sequence: &str, as_of: Option<i64>) -> RecoveryAnswer {
        let question = RecoveryQuestion {
            sequence: sequence.into(),
            period: Period::default(),
            window: 7 * DAY,
            as_of: as_of.map(at),
        };
        self.engine.query_recovery(self.scope, question).await.expect("there is such a sequence")
    }

    /// Has the one run fail at a second; its id.
    pub async fn fail_the_run(&self, seconds: i64) -> Uuid {
        let run = self.the_run().await.run.id;
        let mut tx = self.store.begin(self.scope).await.expect("it answers");
        tx.end_runs(&[(run, EndReason::Failed)], at(seconds)).await.expect("written");
        tx.commit().await.expect("committed");
        run
    }

    /// Asserts where the one run is.
    pub async fn assert_run(&self, state: RunState) {
        let run = self.the_run().await.run;
        assert_eq!(run.state, state, "{run:#?}");
    }
}

pub fn relay() -> DestinationDraft {
    DestinationDraft {
        display_name: "Relay".into(),
        kind: DestinationKind::Smtp {
            host: "127.0.0.1".into(),
            port: 25,
            tls: SmtpTls::PlaintextLoopback,
            username: String::new(),
            sender: None,
        },
        secrets: None,
    }
}

pub fn hook() -> DestinationDraft {
    let url = "https://hook.invalid/in".into();
    DestinationDraft {
        display_name: "Hook".into(),
        kind: DestinationKind::Webhook { url, headers: BTreeMap::new(), allow_http: false },
        secrets: Some(vec![SECRET.into()]),
    }
}

/// Asked, answered, bought; with a stall rule for each but the last.
pub fn support() -> Funnel {
    let mut funnel = funnel(&["customer_message", "agent_message", "purchase"])
        .stall(0, 6_000, OwedBy::Agent)
        .stall(1, 600, OwedBy::Customer);
    funnel.stages[0].id = "asked".into();
    funnel.stages[1].id = "answered".into();
    funnel
}

/// An hour, a mail, an hour, a call.
pub fn nudge() -> Sequence {
    sequence(vec![wait("patience", HOUR), mail("ask"), wait("more-patience", HOUR), call("tell")])
}

pub fn sequence(steps: Vec<Step>) -> Sequence {
    Sequence {
        display_name: "Nudge".into(),
        ..Sequence::new(
            Trigger {
                funnel: "support".into(),
                stage: "answered".into(),
                on: MarkKind::Stalled.into(),
                owed_by: OwedBy::Anyone,
            },
            steps,
        )
    }
}

/// A change of a sequence that leaves its runs where they are.
pub fn change(sequence: Sequence) -> SequenceChange {
    SequenceChange {
        sequence,
        etag: None,
        run_policy: RunPolicy::Drain,
        step_map: BTreeMap::new(),
        validate_only: false,
    }
}

/// A change that says what becomes of the runs, and in which steps they go on.
pub fn edit(sequence: Sequence, run_policy: RunPolicy, map: &[(&str, &str)]) -> SequenceChange {
    let step_map = map.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    SequenceChange { run_policy, step_map, ..change(sequence) }
}

pub fn step(id: &str, action: Action) -> Step {
    Step { id: id.into(), action }
}

/// A wait on the wall clock.
pub fn wait(id: &str, span: i64) -> Step {
    step(id, Action::Wait(Wait::wall(span)))
}

pub fn mail(id: &str) -> Step {
    step(id, Action::SendEmail(email()))
}

pub fn call(id: &str) -> Step {
    step(id, Action::CallWebhook(webhook()))
}

pub fn email() -> SendEmail {
    SendEmail {
        destination: "relay".into(),
        subject: "Did that help, {{ customer.name }}?".into(),
        text: "You were last heard of at {{ silence.since }}.".into(),
        html: String::new(),
        to: String::new(),
        unknown: UnknownPolicy::Resend,
    }
}

pub fn webhook() -> CallWebhook {
    CallWebhook {
        destination: "hook".into(),
        body: r#"{"who":"{{ customer.id }}"}"#.into(),
        unknown: UnknownPolicy::Resend,
        variables: BTreeMap::new(),
    }
}

pub fn unknown() -> SendOutcome {
    SendOutcome::Unknown { phase: "final_reply".into(), detail: "the connection broke".into() }
}

pub fn retry() -> SendOutcome {
    SendOutcome::Retry { phase: "connect".into(), code: None, response: "nobody there".into(), after: None }
}

/// The fields that an answer says are wrong.
pub fn wrong_fields<T: std::fmt::Debug>(answer: EngineResult<T>) -> Vec<String> {
    match answer {
        Err(EngineError::Invalid { violations, .. }) => {
            violations.into_iter().map(|Violation { field, .. }| field).collect()
        }
        other => panic!("not a list of wrong fields: {other:?}"),
    }
}
