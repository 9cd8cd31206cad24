//! Business time that a test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_ports::Clock;

/// A clock that stands still until it is moved; clones share the time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that stands at an instant.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.0)))
    }

    /// Sets the time, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves the time on by microseconds.
    pub fn advance(&self, span: i64) {
        self.0.fetch_add(span, Ordering::SeqCst);
    }

    /// The time it shows.
    pub fn time(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[async_trait]
impl Clock for ManualClock {
    async fn now(&self) -> Timestamp {
        self.time()
    }
}
