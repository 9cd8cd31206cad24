//! What befalls one of two replicas, or both.

use std::time::Duration;

use crate::surroundings::Draws;

/// How long claims hold.
pub const LEASE: Duration = Duration::from_millis(500);
/// The longest that a process stands still at once: four leases.
pub const LONGEST: Duration = LEASE.saturating_mul(4);
/// A lease in milliseconds, as draws are.
const LEASE_MS: u64 = LEASE.as_millis() as u64;
/// The shortest stop that is surely longer than a lease.
const OVER_A_LEASE: u64 = LEASE_MS * 6 / 5;
/// The longest stop that is surely shorter.
const BELOW_A_LEASE: u64 = LEASE_MS * 4 / 5;

/// A blow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL; another replica takes the place of the dead one.
    Kill,
    /// SIGSTOP for longer than a lease, in the middle of sends: what it held is taken over.
    Sleep(Duration),
    /// SIGSTOP for less than a lease: what it held is still its own.
    Nap(Duration),
    /// SIGSTOP for both: one wakes after the first time, the other so much later.
    Both(Duration, Duration),
}

/// Blows that look random and are the same for the same seed.
pub struct Blows {
    draws: Draws,
    is_first: bool,
}

impl Blows {
    /// Blows from a seed.
    pub fn new(seed: u64) -> Self {
        Self { draws: Draws::new(seed), is_first: true }
    }

    /// The next one. The first is always the longest sleep, after which nothing that the sleeper
    /// held can still be its own.
    pub fn draw(&mut self) -> Blow {
        if std::mem::take(&mut self.is_first) {
            return Blow::Sleep(LONGEST);
        }
        match self.draws.between(0, 9) {
            0..=1 => Blow::Kill,
            2..=5 => Blow::Sleep(self.millis(OVER_A_LEASE, 4 * LEASE_MS)),
            6..=7 => Blow::Nap(self.millis(10, BELOW_A_LEASE)),
            _ => Blow::Both(self.millis(10, 3 * LEASE_MS), self.millis(0, LEASE_MS)),
        }
    }

    /// Which of two it befalls.
    pub fn whom(&mut self) -> usize {
        self.draws.between(0, 1) as usize
    }

    /// How long both work before it.
    pub fn before(&mut self) -> Duration {
        self.millis(50, 700)
    }

    fn millis(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.draws.between(low, high))
    }
}
