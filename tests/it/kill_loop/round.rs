//! A round: lives that end badly, one after the other, over one database.

use std::time::{Duration, Instant};

use rekindle_engine::failpoint::{Failpoint, Unit};
use rekindle_proto::v1::delivery::State as DeliveryState;
use rekindle_proto::v1::run::State as RunState;
use tokio::time::{sleep, timeout};

use super::blows::{Blow, Blows, Moment};
use super::house::{House, Wire};
use super::oracle::Oracle;
use super::tally::Tally;
use crate::checker::Violation;
use crate::desk;
use crate::process::Process;
use crate::read_back::{settled, settled_but_for};
use crate::service::{Service, Settings};
use crate::surroundings::{now, until, when};

/// Time for everything to come to rest: a lease, a retry after five seconds, and a busy machine.
const REST: Duration = Duration::from_mins(2);
/// For something to happen in a life, where it is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// For events to be acknowledged again after the database was away; a life waits for it.
const RECOVERY: Duration = Duration::from_mins(1);
/// Beyond every wait between two attempts of these deliveries.
const LATER: Duration = Duration::from_hours(24);

/// A round.
pub struct Round {
    house: House,
    settings: Settings,
    oracle: Oracle,
    blows: Blows,
    tally: Tally,
}

impl Round {
    /// A round over a fresh database, with the desk set up.
    pub async fn begin(house: House, seed: u64, round: usize) -> Self {
        let settings = house.settings();
        let service = settings.start().await;
        desk::set_up(&service.channel, house.ports()).await;
        service.process.kill();
        let seed = seed.wrapping_add(round as u64);
        // As many lives as die at failpoints in a round are between the first of two rounds.
        let blows = Blows::new(seed, round * 34, house.has_server());
        Self { house, settings, oracle: Oracle::new(seed), blows, tally: Tally::default() }
    }

    /// So many lives, and what was found after them.
    pub async fn survive(mut self, lives: usize) -> Tally {
        for _ in 0..lives {
            let blow = self.blows.draw();
            self.live(blow).await;
            self.tally.deaths += 1;
        }
        self.close().await
    }

    /// One life.
    async fn live(&mut self, blow: Blow) {
        match blow {
            Blow::Kill(Moment::Young(wait)) => {
                let process = self.settings.spawn();
                sleep(Duration::from_millis(wait)).await;
                process.kill();
            }
            Blow::Kill(Moment::Anywhere(wait)) => {
                self.through(async |_| sleep(Duration::from_millis(wait)).await).await;
            }
            Blow::Kill(Moment::Sending(wait)) => {
                self.through(async |house| {
                    let before = house.arrived();
                    // When nothing goes out, dying now is as good as any other moment.
                    comes_about(async || when(house.arrived() > before)).await;
                    sleep(Duration::from_millis(wait)).await;
                })
                .await;
            }
            Blow::At { failpoint, nth } => self.at(failpoint, nth).await,
            Blow::Fails { failpoint, nth } => self.fails(failpoint, nth).await,
            Blow::Unanswered(wire) => self.unanswered(wire).await,
            Blow::Cut => {
                self.tally.cut += 1;
                self.without_database(House::cut).await;
            }
            Blow::ServerDies => {
                self.tally.servers += 1;
                self.without_database(House::kill_server).await;
            }
        }
    }

    /// A life with events streaming in, killed when `happens` is over.
    async fn through(&mut self, happens: impl AsyncFnOnce(&House)) {
        let service = self.settings.start().await;
        let house = &self.house;
        tokio::select! {
            () = self.oracle.tell(&service.channel, &house.receiver) => {}
            () = happens(house) => {}
        }
        service.process.kill();
    }

    async fn at(&mut self, failpoint: Failpoint, nth: u64) {
        let settings = self.settings.clone().failing(&format!("{}=abort@{nth}", failpoint.name()));
        let renews =
            matches!(failpoint, Failpoint::BeforeCommit(Unit::Renew) | Failpoint::AfterCommit(Unit::Renew));
        if renews {
            // Only what takes long is held on to.
            self.house.receiver.hold_answers();
        }
        if self.dies(settings.spawn()).await {
            self.tally.died_at(failpoint);
        } else {
            self.tally.missed += 1;
            self.blows.missed(failpoint);
        }
        self.house.receiver.answer();
    }

    /// Whether a process dies by itself in time, with events streaming in.
    async fn dies(&mut self, process: Process) -> bool {
        let mut service = match Service::unless_it_ends(process).await {
            Ok(service) => service,
            Err(_dead) => return true,
        };
        let process = &mut service.process;
        let dies = tokio::select! {
            () = self.oracle.tell(&service.channel, &self.house.receiver) => false,
            dies = comes_about(async || when(process.ended().is_some())) => dies,
        };
        service.process.kill();
        dies
    }

    async fn fails(&mut self, failpoint: Failpoint, nth: u64) {
        let settings = self.settings.clone().failing(&format!("{}=fail@{nth}", failpoint.name()));
        let service = settings.start().await;
        let failed = || service.process.count("failpoint ") > 0;
        let wait = self.blows.after();
        tokio::select! {
            () = self.oracle.tell(&service.channel, &self.house.receiver) => {}
            () = async {
                comes_about(async || when(failed())).await;
                sleep(wait).await;
            } => {}
        }
        self.tally.failed += usize::from(failed());
        service.process.kill();
    }

    async fn unanswered(&mut self, wire: Wire) {
        let (wait, before) = (self.blows.after(), self.house.swallowed(wire));
        self.through(async |house| {
            house.swallow(wire);
            comes_about(async || when(house.swallowed(wire) > before)).await;
            sleep(wait).await;
        })
        .await;
        self.house.answer(wire);
        self.tally.swallowed[wire as usize] += self.house.swallowed(wire) - before;
    }

    /// A life that loses its database and goes on until events are acknowledged again.
    async fn without_database(&mut self, lose: impl Fn(&House)) {
        let (wait, acknowledged) = (self.blows.after(), self.oracle.acknowledged());
        let mut took = Duration::ZERO;
        self.through(async |house| {
            sleep(wait).await;
            lose(house);
            let (back, back_at) = (Instant::now(), now());
            until("events are acknowledged again", RECOVERY, async || when(acknowledged.latest() > back_at))
                .await;
            took = back.elapsed();
        })
        .await;
        self.tally.slowest = self.tally.slowest.max(took);
    }

    /// Lets the last process finish everything, and checks all that was promised.
    async fn close(mut self) -> Tally {
        let service = self.settings.start().await;
        timeout(REST, self.oracle.close(&service.channel, &self.house.receiver))
            .await
            .expect("a service that is not killed takes what is left");
        assert_eq!(self.oracle.rejected, Vec::<String>::new());
        let (sent, arrivals) = (self.oracle.sent(), self.house.arrivals());
        settled_but_for(waits, &service.channel, &sent, &arrivals, REST).await;
        service.process.kill();
        // The next attempt of what could not be delivered is due in minutes or hours.
        let service = self.settings.clone().ahead(LATER).start().await;
        let history = settled(&service.channel, &sent, &arrivals, REST).await;
        self.tally.find(&history);
        self.tally
    }
}

/// Whether something is only not over because its next attempt is due later.
fn waits(violation: &Violation) -> bool {
    matches!(
        violation,
        Violation::DeliveryAstray { state: DeliveryState::Scheduled, .. }
            | Violation::RunAstray { state: RunState::Scheduled | RunState::Running, .. }
    )
}

/// Whether something comes about in a life.
async fn comes_about(ask: impl AsyncFnMut() -> Option<()>) -> bool {
    timeout(PATIENCE, until("it comes about", 2 * PATIENCE, ask)).await.is_ok()
}
