//! Three replicas on a database of their own, one of which is killed or put to sleep while it
//! holds something.

use std::time::{Duration, Instant};

use rekindle_testkit::sql::{Closed, Sql};

use crate::checker::{Sent, check};
use crate::database::{self, Database};
use crate::desk;
use crate::read_back::settled;
use crate::receiver::Receiver;
use crate::service::{START, Service, Settings};
use crate::surroundings::{until, when};

/// For stalls, claims and sends of a whole test, on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// What a replica is in the middle of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has claimed a timer and is about to mark the silence.
    Detection,
    /// It has claimed a run and is about to write its delivery.
    Run,
    /// It has claimed a delivery and waits for the receiver's answer.
    Delivery,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Detection, Self::Run, Self::Delivery];

    /// The table whose rows are claimed.
    fn claims(self) -> &'static str {
        match self {
            Self::Detection => "timers",
            Self::Run => "runs",
            Self::Delivery => "deliveries",
        }
    }

    /// The table that nobody can write to while somebody is to be held there.
    fn closed(self) -> Option<&'static str> {
        match self {
            Self::Detection => Some("marks"),
            Self::Run => Some("deliveries"),
            Self::Delivery => None,
        }
    }

    /// Calls that the receiver gets when whoever was there is not heard of again.
    fn calls(self) -> usize {
        if self == Self::Delivery { 2 } else { 1 }
    }

    /// What a sleeper says when it finds out.
    fn finding(self) -> &'static str {
        match self {
            Self::Detection | Self::Run => "claimed work could not be done",
            Self::Delivery => "the claim was lost while sending",
        }
    }
}

/// Three replicas.
pub struct Trio {
    settings: Settings,
    receiver: Receiver,
    replicas: Vec<Replica>,
    sent: Vec<Sent>,
    conversations: usize,
    sql: Sql,
    _database: Database,
}

/// One of them.
struct Replica {
    /// How it signs its claims.
    name: String,
    service: Service,
}

/// A conversation whose work somebody holds.
pub struct Held {
    stage: Stage,
    conversation: String,
    holder: usize,
    closed: Option<Closed>,
}

impl Trio {
    /// Three replicas with leases of this length; `None` without a server.
    pub async fn start(lease: Duration) -> Option<Self> {
        let database = database::postgres().await?;
        let receiver = Receiver::start().await;
        let settings = Settings::of(&database)
            .reaching(receiver.only())
            .with("LEASE__TTL_MS", &lease.as_millis().to_string())
            .with("DATABASE__MAX_CONNECTIONS", "5");
        let mut replicas = Vec::new();
        for _ in 0..3 {
            replicas.push(Replica::start(&settings).await);
        }
        desk::set_up(&replicas[0].service.channel, receiver.only()).await;
        let sql = Sql::open(&database.url).await;
        Some(Self {
            settings,
            receiver,
            replicas,
            sent: Vec::new(),
            conversations: 0,
            sql,
            _database: database,
        })
    }

    /// Lets a conversation go quiet, and waits until one of the replicas holds it there.
    pub async fn hold(&mut self, stage: Stage) -> Held {
        let conversation = format!("c{}", self.conversations);
        let taker = &self.replicas[self.conversations % self.replicas.len()];
        self.conversations += 1;
        let closed = if let Some(table) = stage.closed() {
            Some(self.sql.close(table).await)
        } else {
            self.receiver.hold_answers();
            None
        };
        self.sent.extend(desk::answered(&taker.service.channel, std::slice::from_ref(&conversation)).await);
        let claims =
            format!("SELECT lease_owner::text FROM {} WHERE lease_owner IS NOT NULL", stage.claims());
        let owner = until("somebody holds it", PATIENCE, async || {
            let owner = self.sql.texts(&claims).await.pop()?;
            self.is_in_the_middle(stage, &conversation).await.then_some(owner)
        })
        .await;
        let holder = self.replicas.iter().position(|replica| replica.name == owner);
        Held { stage, conversation, holder: holder.expect("one of the three"), closed }
    }

    /// Whether whoever claimed it has come as far as it is let.
    async fn is_in_the_middle(&self, stage: Stage, conversation: &str) -> bool {
        let Some(table) = stage.closed() else {
            return self.calls(conversation) == 1;
        };
        let waiting = format!(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        );
        self.sql.number(&waiting).await > 0
    }

    /// Kills whoever holds it; how long it takes until another has done its work. A new replica
    /// takes the place of the dead one.
    pub async fn kill(&mut self, held: Held) -> Duration {
        let dead = self.replicas.swap_remove(held.holder);
        dead.service.process.kill();
        let killed = Instant::now();
        let expected = held.stage.calls();
        let conversation = held.conversation.clone();
        self.let_go(held).await;
        let (taken_over, new) = tokio::join!(
            async {
                until("the others take over", PATIENCE, async || when(self.calls(&conversation) >= expected))
                    .await;
                killed.elapsed()
            },
            Replica::start(&self.settings)
        );
        self.replicas.push(new);
        self.rest().await;
        taken_over
    }

    /// Stops whoever holds it for `sleep`, in which another does its work, and wakes it: nothing
    /// in the database may change.
    pub async fn sleep_and_wake(&mut self, held: Held, sleep: Duration) {
        let Held { stage, holder, conversation, .. } = &held;
        let (stage, holder, conversation) = (*stage, *holder, conversation.clone());
        let findings = self.replicas[holder].service.process.count(stage.finding());
        self.replicas[holder].service.process.signal("STOP");
        let asleep = Instant::now();
        self.let_go(held).await;
        until("the others take over", PATIENCE + sleep, async || {
            when(self.calls(&conversation) >= stage.calls())
        })
        .await;
        self.rest().await;
        tokio::time::sleep(sleep.saturating_sub(asleep.elapsed())).await;
        let before = self.sql.everything().await;
        let sleeper = &self.replicas[holder].service.process;
        sleeper.signal("CONT");
        until("the sleeper finds out", PATIENCE, async || when(sleeper.count(stage.finding()) > findings))
            .await;
        assert_eq!(self.sql.everything().await, before, "the sleeper wrote, at {stage:?}");
    }

    /// Checks everything that was promised over all that happened, and new work by every replica.
    pub async fn check(mut self) {
        for replica in &self.replicas {
            let conversation = format!("last-{}", replica.name);
            self.sent.extend(desk::answered(&replica.service.channel, &[conversation]).await);
        }
        let channel = &self.replicas[0].service.channel;
        let history = settled(channel, &self.sent, &[self.receiver.arrivals()], PATIENCE).await;
        assert_eq!(check(&history), []);
        assert_eq!(history.runs.len(), self.conversations + self.replicas.len());
    }

    /// Lets the world go on.
    async fn let_go(&self, held: Held) {
        self.receiver.answer();
        if let Some(closed) = held.closed {
            closed.open().await;
        }
    }

    /// Waits until nothing is to be done.
    async fn rest(&self) {
        let open = "SELECT (SELECT count(*) FROM runs WHERE state = 1) \
                    + (SELECT count(*) FROM deliveries WHERE lease_owner IS NOT NULL)";
        until("every run ends", PATIENCE, async || when(self.sql.number(open).await == 0)).await;
    }

    /// Calls that came about a conversation.
    fn calls(&self, conversation: &str) -> usize {
        self.receiver.calls().iter().filter(|call| call.conversation == conversation).count()
    }
}

impl Replica {
    async fn start(settings: &Settings) -> Self {
        let mut service = settings.start().await;
        let named = |line: &str| Some(line.split_once("at work replica=")?.1.trim().to_owned());
        let name = service.process.says("it says how it signs", START, named).await;
        Self { name, service }
    }
}
