//! A clock that the show moves, and that runs by itself afterwards.

use std::sync::Mutex;
use std::time::Instant;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_ports::Clock;

/// Business time of the show.
pub struct DevClock {
    state: Mutex<(Timestamp, Option<Instant>)>,
}

impl DevClock {
    /// A clock that stands at an instant.
    pub fn at(start: Timestamp) -> Self {
        Self { state: Mutex::new((start, None)) }
    }

    /// Moves the clock.
    pub fn set(&self, now: Timestamp) {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).0 = now;
    }

    /// Lets the clock run at the pace of the world.
    pub fn let_run(&self) {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).1 = Some(Instant::now());
    }
}

#[async_trait]
impl Clock for DevClock {
    async fn now(&self) -> Timestamp {
        let (stands, since) = *self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        since.map_or(stands, |since| stands.plus(since.elapsed().as_micros() as i64))
    }
}
