//! What befalls the lives of a process.

use std::collections::VecDeque;
use std::time::Duration;

use rekindle_engine::failpoint::{Failpoint, Unit};

use super::house::Wire;
use crate::surroundings::Draws;

/// What befalls one life; every life ends with it, or with SIGKILL a moment later.
#[derive(Debug, Clone, Copy)]
pub enum Blow {
    /// SIGKILL.
    Kill(Moment),
    /// The process dies when it comes to a failpoint for the `nth` time.
    At { failpoint: Failpoint, nth: u64 },
    /// A commit is reported as failed when the process comes to it for the `nth` time; before it
    /// nothing is kept, after it everything.
    Fails { failpoint: Failpoint, nth: u64 },
    /// A request is done, and its reply swallowed.
    Unanswered(Wire),
    /// Every connection to the database is reset.
    Cut,
    /// The database server dies and comes back.
    ServerDies,
}

/// When a process is killed; the waits are in milliseconds.
#[derive(Debug, Clone, Copy)]
pub enum Moment {
    /// This long after its start, most likely before it serves.
    Young(u64),
    /// This long after it said that it serves.
    Anywhere(u64),
    /// This long after a message arrived at a receiver, which takes up to 60 ms to answer.
    Sending(u64),
}

/// From one failpoint to the next; shares no factor with their number.
const STRIDE: usize = 8;

/// The blows of a round, drawn from its seed: two of three lives die at failpoints, each in turn.
pub struct Blows {
    draws: Draws,
    number: usize,
    failpoints: VecDeque<Failpoint>,
    has_server: bool,
}

impl Blows {
    /// Blows from a seed; the turn of the failpoints begins at the `first`.
    pub fn new(seed: u64, first: usize, has_server: bool) -> Self {
        let all = Failpoint::all();
        // With this stride all have their turn, and neighbours do not follow each other: a row at
        // which processes die time after time would be set aside as the cause, and rightly.
        let place = |number: usize| all[(first + number) * STRIDE % all.len()];
        let failpoints: VecDeque<Failpoint> = (0..all.len()).map(place).collect();
        Self { draws: Draws::new(seed), number: 0, failpoints, has_server }
    }

    /// The next one.
    pub fn draw(&mut self) -> Blow {
        self.number += 1;
        if self.number.is_multiple_of(3) { self.other() } else { self.at_failpoint() }
    }

    /// A failpoint that was not come to has its turn again soon.
    pub fn missed(&mut self, failpoint: Failpoint) {
        self.failpoints.retain(|waiting| *waiting != failpoint);
        self.failpoints.insert(1, failpoint);
    }

    fn at_failpoint(&mut self) -> Blow {
        let failpoint = self.failpoints[0];
        self.failpoints.rotate_left(1);
        let most = match failpoint {
            Failpoint::BeforeCommit(Unit::Ingest) | Failpoint::AfterCommit(Unit::Ingest) => 12,
            // Whatever holds a claim has it renewed every third of a lease.
            Failpoint::BeforeCommit(Unit::Renew) | Failpoint::AfterCommit(Unit::Renew) => 1,
            _ => 3,
        };
        Blow::At { failpoint, nth: self.draws.between(1, most) }
    }

    fn other(&mut self) -> Blow {
        let kinds = if self.has_server { 9 } else { 6 };
        match self.draws.between(0, kinds) {
            0 => Blow::Kill(Moment::Young(self.draws.between(5, 150))),
            1 => Blow::Kill(Moment::Anywhere(self.draws.between(50, 400))),
            2 => Blow::Kill(Moment::Sending(self.draws.between(0, 40))),
            3 | 4 => self.fails(),
            5 => Blow::Unanswered(Wire::Http),
            6 => Blow::Unanswered(Wire::Smtp),
            7 => Blow::Unanswered(Wire::Database),
            8 => Blow::Cut,
            _ => Blow::ServerDies,
        }
    }

    fn fails(&mut self) -> Blow {
        let unit = Unit::ALL[self.draws.between(0, Unit::ALL.len() as u64 - 1) as usize];
        let failpoint = match self.draws.between(0, 1) {
            0 => Failpoint::BeforeCommit(unit),
            _ => Failpoint::AfterCommit(unit),
        };
        Blow::Fails { failpoint, nth: self.draws.between(1, 3) }
    }

    /// When a process dies that outlived its blow.
    pub fn after(&mut self) -> Duration {
        Duration::from_millis(self.draws.between(50, 400))
    }
}
