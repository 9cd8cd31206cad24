//! A game: customers who talk, fall silent, move and are suppressed; replicas that die; a clock
//! that jumps.

use std::collections::BTreeMap;
use std::sync::Arc;

use rekindle_core::sequence::Sequence;
use rekindle_core::sequence::contact::{ContactLimit, LimitPeriod};
use rekindle_core::time::{DAY, HOUR};
use rekindle_engine::Creation;
use rekindle_engine::suppressions::NewSuppression;
use rekindle_engine::workspace::WorkspaceChange;
use rekindle_ports::Store;
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::ledger::RunState;
use rekindle_ports::resources::{SuppressionKind, SuppressionReason};
use rekindle_testkit::TestDatabase;
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::faulty::{Fault, FaultyStore};

use super::dice::Dice;
use super::sequences;
use crate::house::{House, retry, unknown};

/// Customers of a game; each has two conversations.
const CUSTOMERS: u32 = 4;
const ZONES: [&str; 4] = ["UTC", "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe"];

/// A game as it stands.
pub struct Game {
    pub house: House,
    pub sequence: Sequence,
    pub limits: Vec<ContactLimit>,
    /// Zones of customers since when, in seconds.
    pub zones: BTreeMap<String, Vec<(i64, String)>>,
    /// When customers were suppressed, in seconds.
    pub suppressed: BTreeMap<String, i64>,
    dice: Dice,
    now: i64,
    events: u32,
    replicas: u64,
}

impl Game {
    /// A house with everything in place and a sequence at work.
    pub async fn begin(database: &TestDatabase, mut dice: Dice) -> Self {
        let sequence = sequences::any(&mut dice);
        let house = House::bare(database);
        house.furnish().await;
        let limits = match dice.below(3) {
            0 => Vec::new(),
            1 => vec![ContactLimit { count: 1, period: LimitPeriod::Rolling(DAY) }],
            _ => vec![ContactLimit { count: 2, period: LimitPeriod::Rolling(2 * DAY) }],
        };
        let mut body = house.engine.workspace(house.scope).await.expect("a workspace").body;
        body.contact_limits.clone_from(&limits);
        house.engine.update_workspace(house.scope, WorkspaceChange { body, etag: None }).await.expect("good");
        let created =
            house.engine.create_sequence(house.scope, "nudge", sequence.clone(), Creation::default());
        created.await.unwrap_or_else(|error| panic!("{error:?}: {sequence:#?}"));
        house.engine.start_sequence(house.scope, "nudge", None).await.expect("startable");
        let game = Self {
            house,
            sequence,
            limits,
            zones: BTreeMap::new(),
            suppressed: BTreeMap::new(),
            dice,
            now: 0,
            events: 0,
            replicas: 100,
        };
        for number in 0..CUSTOMERS {
            let who = format!("who{number}");
            let profile = event(&format!("p{number}"), "customer_updated", 0).only(&who);
            game.house.hear(profile.with("email", "who@example.invalid").with("name", "Who")).await;
        }
        game
    }

    /// Makes a move.
    pub async fn play(&mut self) {
        let customer = self.dice.below(CUSTOMERS);
        let who = format!("who{customer}");
        match self.dice.below(16) {
            0..=3 => {
                self.say("customer_message", customer).await;
                self.say("agent_message", customer).await;
            }
            4 => self.say("customer_message", customer).await,
            5 => self.say("agent_message", customer).await,
            6 => self.say("ping", customer).await,
            7 => {
                let plan = self.dice.one_of(&["pro", "free"]);
                self.upsert(&who, "plan", plan).await;
            }
            8 => {
                let zone = self.dice.one_of(&ZONES);
                self.zones.entry(who.clone()).or_default().push((self.now, zone.into()));
                self.upsert(&who, "zone", zone).await;
            }
            9 if self.dice.once_in(3) => self.suppress(&who).await,
            10 => self.decide().await,
            11 | 12 => self.crash().await,
            13 => {
                let outcome = match self.dice.below(3) {
                    0 => retry(),
                    1 => unknown(),
                    _ => SendOutcome::Rejected {
                        phase: "rcpt".into(),
                        code: Some(550),
                        response: "no".into(),
                        suppress: false,
                        disable_destination: false,
                    },
                };
                self.house.courier.answer(outcome);
            }
            _ => {}
        }
        let step = self.dice.one_of(&[60, 600, 600, 600, 3_600, 7_200, 20_000, 50_000]);
        self.now += i64::from(step);
        self.house.go(self.now).await;
    }

    /// Lets time pass until nothing more happens.
    pub async fn finish(&mut self) {
        let resumed = self.house.engine.resume_sequence(self.house.scope, "nudge").await;
        drop(resumed);
        for _ in 0..400 {
            self.now += 6 * 3_600;
            self.house.go(self.now).await;
            let open = self.house.runs().await.iter().any(|view| view.run.state == RunState::Running);
            if !open {
                break;
            }
        }
    }

    async fn say(&mut self, kind: &str, customer: u32) {
        self.events += 1;
        let conversation = format!("t{customer}-{}", self.dice.below(2));
        let word = event(&format!("v{:04}", self.events), kind, self.now).of(&conversation);
        let word = word.from_customer(&format!("who{customer}"));
        let word = if kind == "ping" { word.by(rekindle_core::event::Author::System) } else { word };
        self.house.hear(word).await;
    }

    async fn upsert(&mut self, who: &str, key: &str, value: &str) {
        self.events += 1;
        let profile = event(&format!("v{:04}", self.events), "customer_updated", self.now).only(who);
        self.house.hear(profile.with(key, value)).await;
    }

    async fn suppress(&mut self, who: &str) {
        self.suppressed.entry(who.to_owned()).or_insert(self.now);
        self.house.clock.set(at(self.now));
        let entry = NewSuppression {
            kind: SuppressionKind::Customer,
            value: who.to_owned(),
            reason: SuppressionReason::Unsubscribed,
            note: String::new(),
        };
        self.house.engine.add_suppression(self.house.scope, entry).await.expect("a good entry");
    }

    /// Somebody pauses, resumes, or cancels a run.
    async fn decide(&mut self) {
        self.house.clock.set(at(self.now));
        let (engine, scope) = (&self.house.engine, self.house.scope);
        match self.dice.below(3) {
            0 if self.dice.once_in(3) => drop(engine.pause_sequence(scope, "nudge").await),
            0 | 1 => drop(engine.resume_sequence(scope, "nudge").await),
            _ => {
                let runs = self.house.runs().await;
                let open: Vec<_> = runs.iter().filter(|view| view.run.state == RunState::Running).collect();
                if !open.is_empty() {
                    let run = open[self.dice.below(open.len() as u32) as usize].run.id;
                    engine.cancel_run(scope, run).await.expect("it is open");
                }
            }
        }
    }

    /// A replica works and dies at some commit, which may or may not have been kept.
    async fn crash(&mut self) {
        self.replicas += 1;
        let fault = self.dice.one_of(&[Fault::Before, Fault::After, Fault::Conflict]);
        let store = FaultyStore::new(Arc::clone(&self.house.store), self.dice.below(8), fault);
        let store: Arc<dyn Store> = Arc::new(store);
        let (clock, courier) = (self.house.clock.clone(), Arc::clone(&self.house.courier));
        clock.set(at(self.now));
        // Its claims run out as it dies.
        let doomed = House::over(store, clock, courier, self.replicas, 1);
        drop(doomed.loops.turn().await);
    }
}

/// A span for people to read in a failure.
pub const fn hours(span: i64) -> i64 {
    span / HOUR
}
