//! An engine over a test's store and clock.

use std::collections::BTreeSet;
use std::sync::Arc;

use rekindle_core::funnel::Funnel;
use rekindle_core::ingest::{IngestReport, NewEvent};
use rekindle_core::scope::Scope;
use rekindle_engine::{Creation, Engine, Options, Parts};
use rekindle_ports::rows::NameKind;
use rekindle_ports::{Deliver, Store};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::build::{RECEIVED, key_of};
use crate::{ManualClock, Outbox, SeededMinter};

/// An engine with everything that a test wants to turn.
pub struct TestEngine {
    /// The engine.
    pub engine: Engine,
    /// Business time; it stands at [`RECEIVED`] at first.
    pub clock: ManualClock,
    /// What it sent.
    pub outbox: Arc<Outbox>,
    /// The store it works on.
    pub store: Arc<dyn Store>,
    /// Its tasks.
    pub tracker: TaskTracker,
}

impl TestEngine {
    /// An engine with one committer; engines that share a database need different seeds.
    pub fn new(store: Arc<dyn Store>, seed: u64) -> Self {
        Self::with_options(store, seed, Options::default())
    }

    /// An engine with sizes of its own.
    pub fn with_options(store: Arc<dyn Store>, seed: u64, options: Options) -> Self {
        let clock = ManualClock::at(RECEIVED);
        let tracker = TaskTracker::new();
        let outbox = Arc::new(Outbox::default());
        let engine = Engine::new(Parts {
            store: Arc::clone(&store),
            clock: Arc::new(clock.clone()),
            minter: Arc::new(SeededMinter::new(seed)),
            deliver: Arc::clone(&outbox) as Arc<dyn Deliver>,
            tracker: tracker.clone(),
            experiment_key: [7; 32],
            options,
        });
        Self { engine, clock, outbox, store, tracker }
    }

    /// Gives whoever the events name the key that pure tests give the name, before any of them is
    /// stored: what chance makes of somebody is then known, and the same in every workspace.
    pub async fn name(&self, scope: Scope, events: &[NewEvent]) {
        let named = |of: fn(&NewEvent) -> Option<&String>| -> Vec<(String, Uuid)> {
            let names: BTreeSet<&String> = events.iter().filter_map(of).collect();
            names.into_iter().map(|name| (name.clone(), key_of(name))).collect()
        };
        let all = [
            (NameKind::Customer, named(|event| event.customer.as_ref())),
            (NameKind::Conversation, named(|event| event.conversation.as_ref())),
        ];
        let mut tx = self.store.begin(scope).await.expect("the database answers");
        for (kind, names) in all.iter().filter(|(_, names)| !names.is_empty()) {
            tx.resolve(*kind, names, RECEIVED).await.expect("names can be given keys");
        }
        tx.commit().await.expect("the keys are kept");
    }

    /// Stores events; the store must not fail.
    pub async fn ingest(&self, scope: Scope, events: &[NewEvent]) -> IngestReport {
        self.engine.ingest(scope, events.to_vec()).await.expect("events can be stored")
    }

    /// Creates a funnel; it must be valid and new.
    pub async fn define(&self, scope: Scope, id: &str, funnel: &Funnel) {
        let created = self.engine.create_funnel(scope, id, funnel.clone(), Creation::default()).await;
        created.expect("the funnel is valid and new");
    }

    /// Fills every funnel of the workspace to its end.
    pub async fn fill(&self, scope: Scope) {
        while self.engine.fill_step(scope).await.expect("the fill goes on") {}
    }
}
