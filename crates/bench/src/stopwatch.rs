//! Time that is taken in pieces.

use std::time::{Duration, Instant};

/// A clock that can be stopped while something is prepared.
#[derive(Debug, Default)]
pub struct Stopwatch {
    taken: Duration,
    since: Option<Instant>,
}

impl Stopwatch {
    /// Goes on.
    pub fn start(&mut self) {
        self.since = Some(Instant::now());
    }

    /// Stops.
    pub fn stop(&mut self) {
        if let Some(since) = self.since.take() {
            self.taken += since.elapsed();
        }
    }

    /// Time taken while it ran, in seconds.
    pub fn seconds(&self) -> f64 {
        self.taken.as_secs_f64()
    }
}
