//! What happened in a round, for people.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rekindle_engine::failpoint::Failpoint;
use rekindle_proto::v1::delivery_attempt::Outcome;

use crate::checker::History;

/// What befell the lives of a round, and what came of it.
#[derive(Debug, Default)]
pub struct Tally {
    /// Processes that were killed, or killed themselves at a failpoint.
    pub deaths: usize,
    /// Deaths by failpoint.
    pub at: BTreeMap<String, usize>,
    /// Lives that did not come to their failpoint.
    pub missed: usize,
    /// Commits that were reported as failed.
    pub failed: usize,
    /// Replies that were swallowed: of commits, calls and mails.
    pub swallowed: [u64; 3],
    /// Times that every connection to the database was reset.
    pub cut: usize,
    /// Times that the database server was killed.
    pub servers: usize,
    /// The longest time from a server's recovery until events were acknowledged again.
    pub slowest: Duration,
    /// What was found in the end.
    pub found: String,
}

impl Tally {
    /// A life ended at a failpoint.
    pub fn died_at(&mut self, failpoint: Failpoint) {
        *self.at.entry(failpoint.name()).or_default() += 1;
    }

    /// Failpoints at which nobody died.
    pub fn unvisited(&self) -> Vec<String> {
        let names = Failpoint::all().into_iter().map(Failpoint::name);
        names.filter(|name| !self.at.contains_key(name)).collect()
    }

    /// What the checker was shown.
    pub fn find(&mut self, history: &History) {
        let attempts = history.deliveries.iter().flat_map(|delivery| &delivery.attempts);
        let unknown = attempts.clone().filter(|attempt| attempt.outcome == Outcome::Unknown).count();
        self.found = format!(
            "{} events, {} runs, {} deliveries, {} attempts ({unknown} of unknown outcome), {} arrivals",
            history.stored.len(),
            history.runs.len(),
            history.deliveries.len(),
            attempts.count(),
            history.arrivals.len(),
        );
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at: usize = self.at.values().sum();
        write!(
            f,
            "{} kills, {at} of them at {} failpoints ({} not come to); {} commits reported as failed",
            self.deaths,
            self.at.len(),
            self.missed,
            self.failed
        )?;
        let [commits, calls, mails] = self.swallowed;
        write!(f, "; replies swallowed: {commits} of commits, {calls} of calls, {mails} of mails")?;
        if self.servers + self.cut > 0 {
            write!(
                f,
                "; connections cut {} times, the server killed {} times, events acknowledged {:.1} s later at most",
                self.cut,
                self.servers,
                self.slowest.as_secs_f64()
            )?;
        }
        write!(f, "; {}", self.found)
    }
}
