//! Two replicas, what surrounds them, and what befalls them.

use std::time::{Duration, Instant};

use rekindle_proto::v1::delivery::State as DeliveryState;
use rekindle_proto::v1::run::State as RunState;
use tokio::time::{sleep, timeout};

use super::blows::{Blow, Blows, LEASE, LONGEST};
use super::tally::Tally;
use super::witness::Witness;
use crate::checker::{History, Violation, check};
use crate::database::{self, Database};
use crate::desk::{self, Ports};
use crate::kill_loop::oracle::Oracle;
use crate::mailbox::Mailbox;
use crate::read_back::settled_but_for;
use crate::receiver::Receiver;
use crate::service::{START, Service, Settings};

/// Both have something of everything to do after this long: conversations stall after a second.
const WARM: Duration = Duration::from_millis(2_500);
/// Calls get no answer for so long before their sender is put to sleep.
const UNANSWERED: Duration = Duration::from_millis(200);
/// Time for everything to come to rest: leases that grow with each loss, a retry after five
/// seconds, and a busy machine.
const REST: Duration = Duration::from_mins(2);
/// Beyond every wait between two attempts of these deliveries.
const LATER: Duration = Duration::from_hours(24);

/// Two replicas on a database of their own.
pub struct Pair {
    replicas: [Replica; 2],
    /// Replicas that were started so far.
    started: usize,
    oracle: Oracle,
    blows: Blows,
    tally: Tally,
    witness: Witness,
    receiver: Receiver,
    mailbox: Mailbox,
    database: Database,
}

/// One of them.
pub struct Replica {
    /// How the witness knows it.
    writer: String,
    /// How it signs its claims.
    owner: String,
    /// The service.
    pub service: Service,
}

impl Replica {
    /// Starts a replica, and waits until it says how it signs.
    pub async fn start(settings: Settings, writer: String) -> Self {
        let mut service = settings.start().await;
        let named = |line: &str| Some(line.split_once("at work replica=")?.1.trim().to_owned());
        let owner = service.process.says("it says how it signs", START, named).await;
        Self { writer, owner, service }
    }

    /// Lets a witness know it.
    pub async fn introduce(&self, witness: &Witness) {
        witness.meet(&self.writer, &self.owner).await;
    }

    /// How often it found that a claim was lost under which it sends.
    fn told_off(&self) -> usize {
        self.service.process.count("the claim was lost before sending")
            + self.service.process.count("the claim was lost while sending")
    }
}

/// What a replica is told that the witness knows by the name of `writer`.
pub fn settings(database: &Database, ports: Ports, writer: &str) -> Settings {
    Settings::of_url(&Witness::url(&database.url, writer))
        .reaching(ports)
        .with("LEASE__TTL_MS", &LEASE.as_millis().to_string())
        .with("LEASE__POLL_MS", "100")
        .with("DATABASE__MAX_CONNECTIONS", "6")
}

impl Pair {
    /// Two replicas with the desk set up, and a witness; `None`, and that is said, without a server.
    pub async fn start(seed: u64) -> Option<Self> {
        let database = database::postgres().await?;
        let (receiver, mailbox) = (Receiver::start().await, Mailbox::start().await);
        let ports = Ports { hook: receiver.address().port(), mail: Some(mailbox.address().port()) };
        let replica = async |number: usize| {
            let writer = writer(number);
            Replica::start(settings(&database, ports, &writer), writer).await
        };
        let replicas = [replica(0).await, replica(1).await];
        desk::set_up(&replicas[0].service.channel, ports).await;
        let witness = Witness::call(&database.url).await;
        for replica in &replicas {
            replica.introduce(&witness).await;
        }
        Some(Self {
            replicas,
            started: 2,
            oracle: Oracle::new(seed),
            blows: Blows::new(seed),
            tally: Tally::default(),
            witness,
            receiver,
            mailbox,
            database,
        })
    }

    /// Blows for so long, and what was found after them.
    pub async fn under_fire(mut self, span: Duration) -> Tally {
        for whom in [0, 1] {
            self.tell_while(whom, sleep(WARM / 2)).await;
        }
        let began = Instant::now();
        while began.elapsed() < span {
            let (blow, whom, before) = (self.blows.draw(), self.blows.whom(), self.blows.before());
            self.tell_while(whom, sleep(before)).await;
            self.strike(blow, whom).await;
        }
        self.tally.span = began.elapsed();
        self.close().await
    }

    async fn strike(&mut self, blow: Blow, whom: usize) {
        let other = 1 - whom;
        match blow {
            Blow::Kill => {
                self.tally.kills += 1;
                self.tally.told_off += self.replicas[whom].told_off();
                self.replicas[whom].service.process.signal("KILL");
                let new = self.one_more(None);
                let new = self.tell_while(other, new).await;
                new.introduce(&self.witness).await;
                self.replicas[whom] = new;
            }
            Blow::Sleep(span) => {
                self.tally.sleeps += 1;
                // What it sends now is under way when it stops, and answered when it wakes.
                self.receiver.hold_answers();
                self.tell_while(whom, sleep(UNANSWERED)).await;
                self.signal(whom, "STOP");
                self.receiver.answer();
                self.tell_while(other, sleep(span)).await;
                self.signal(whom, "CONT");
            }
            Blow::Nap(span) => {
                self.tally.naps += 1;
                self.signal(whom, "STOP");
                self.tell_while(other, sleep(span)).await;
                self.signal(whom, "CONT");
            }
            Blow::Both(first, second) => {
                self.tally.both += 1;
                self.signal(whom, "STOP");
                self.signal(other, "STOP");
                // It hears this when it wakes.
                self.tell_while(whom, sleep(first)).await;
                self.signal(whom, "CONT");
                self.tell_while(whom, sleep(second)).await;
                self.signal(other, "CONT");
            }
        }
    }

    fn signal(&self, whom: usize, name: &str) {
        self.replicas[whom].service.process.signal(name);
    }

    /// Tells a replica of conversations for as long as something else takes. What it does not
    /// acknowledge is told again, to whoever is told next.
    async fn tell_while<T>(&mut self, to: usize, other: impl Future<Output = T>) -> T {
        let channel = &self.replicas[to].service.channel;
        tokio::select! {
            () = self.oracle.tell(channel, &self.receiver) => unreachable!("it goes on for ever"),
            done = other => done,
        }
    }

    /// One more replica, whose clock may run ahead.
    fn one_more(&mut self, ahead: Option<Duration>) -> impl Future<Output = Replica> + use<> {
        let writer = writer(self.started);
        self.started += 1;
        let settings = settings(&self.database, self.ports(), &writer);
        let settings = if let Some(ahead) = ahead { settings.ahead(ahead) } else { settings };
        Replica::start(settings, writer)
    }

    fn ports(&self) -> Ports {
        Ports { hook: self.receiver.address().port(), mail: Some(self.mailbox.address().port()) }
    }

    /// Lets both finish everything, and checks all that was promised.
    async fn close(mut self) -> Tally {
        let channel = self.replicas[0].service.channel.clone();
        timeout(REST, self.oracle.close(&channel, &self.receiver))
            .await
            .expect("replicas that are left alone take what is left");
        assert_eq!(self.oracle.rejected, Vec::<String>::new());
        let sent = self.oracle.sent();
        let arrivals = [self.receiver.arrivals().clone(), self.mailbox.arrivals().clone()];
        let arrivals = arrivals.each_ref();
        settled_but_for(|it| waits(it) || is_stamped_early(it), &channel, &sent, &arrivals, REST).await;
        for replica in &self.replicas {
            self.tally.told_off += replica.told_off();
            replica.service.process.signal("KILL");
        }
        // The next attempt of what could not be delivered is due in minutes or hours.
        let last = self.one_more(Some(LATER)).await;
        last.introduce(&self.witness).await;
        let history = settled_but_for(is_stamped_early, &last.service.channel, &sent, &arrivals, REST).await;
        last.service.process.kill();
        self.tally.find(&history);
        self.tally.taken_over = self.witness.takeovers().await;
        self.tally.noted = self.witness.noted().await;
        assert_eq!(check(&patient(history)), []);
        assert_eq!(self.witness.complaints().await, Vec::<String>::new());
        self.tally
    }
}

fn writer(number: usize) -> String {
    format!("replica-{number}")
}

/// Whether something is only not over because its next attempt is due later.
fn waits(violation: &Violation) -> bool {
    matches!(
        violation,
        Violation::DeliveryAstray { state: DeliveryState::Scheduled, .. }
            | Violation::RunAstray { state: RunState::Scheduled | RunState::Running, .. }
    )
}

/// Whether it may only seem so: see [`patient`].
fn is_stamped_early(violation: &Violation) -> bool {
    matches!(violation, Violation::SentAfterReturn { .. })
}

/// The same history, with ends of runs as late as they may have been committed: whoever is stopped
/// between a look at the clock and its write writes what the clock said before. That nothing begins
/// after an acknowledged return stays as strict as it is, and that nothing begins after the commit
/// that ends a run is for the witness to say.
fn patient(mut history: History) -> History {
    // Stops follow each other so closely that a unit of work may meet some of them.
    let late = (5 * LONGEST).as_micros() as i64;
    for run in &mut history.runs {
        run.ended_at = run.ended_at.map(|at| at + late);
    }
    history
}
