//! What happened under fire, for people.

use std::fmt;
use std::time::Duration;

use rekindle_proto::v1::delivery_attempt::Outcome;

use crate::checker::History;

/// What befell the replicas, and what came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// How long there was fire.
    pub span: Duration,
    /// Replicas that were killed.
    pub kills: usize,
    /// Stops for longer than a lease.
    pub sleeps: usize,
    /// Stops for less.
    pub naps: usize,
    /// Stops of both at once.
    pub both: usize,
    /// Timers, runs and messages whose claims one replica took over from another.
    pub taken_over: [i64; 3],
    /// Senders that found that their claim was lost.
    pub told_off: usize,
    /// Writes that the witness noted.
    pub noted: i64,
    events: usize,
    runs: usize,
    deliveries: usize,
    attempts: usize,
    unknown: usize,
    arrivals: usize,
}

impl Tally {
    /// What the checker was shown.
    pub fn find(&mut self, history: &History) {
        let attempts = || history.deliveries.iter().flat_map(|delivery| &delivery.attempts);
        self.events = history.stored.len();
        self.runs = history.runs.len();
        self.deliveries = history.deliveries.len();
        self.attempts = attempts().count();
        self.unknown = attempts().filter(|attempt| attempt.outcome == Outcome::Unknown).count();
        self.arrivals = history.arrivals.len();
    }

    /// Takes in that of another round.
    pub fn add(&mut self, other: &Self) {
        self.span += other.span;
        self.kills += other.kills;
        self.sleeps += other.sleeps;
        self.naps += other.naps;
        self.both += other.both;
        for (sum, more) in self.taken_over.iter_mut().zip(other.taken_over) {
            *sum += more;
        }
        self.told_off += other.told_off;
        self.noted += other.noted;
        self.events += other.events;
        self.runs += other.runs;
        self.deliveries += other.deliveries;
        self.attempts += other.attempts;
        self.unknown += other.unknown;
        self.arrivals += other.arrivals;
    }

    /// Whether a sleeper woke up to find that another had done its work.
    pub fn was_tempting(&self) -> bool {
        self.taken_over.iter().sum::<i64>() > 0 && self.told_off > 0
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [timers, runs, messages] = self.taken_over;
        write!(
            f,
            "{:.0} s: {} kills, {} stops beyond a lease, {} below, {} of both at once; \
             taken over: {timers} timers, {runs} runs, {messages} messages; \
             {} senders found their claim lost; ",
            self.span.as_secs_f64(),
            self.kills,
            self.sleeps,
            self.naps,
            self.both,
            self.told_off
        )?;
        write!(
            f,
            "{} events, {} runs, {} deliveries, {} attempts ({} of unknown outcome), {} arrivals, {} writes noted",
            self.events, self.runs, self.deliveries, self.attempts, self.unknown, self.arrivals, self.noted
        )
    }
}
