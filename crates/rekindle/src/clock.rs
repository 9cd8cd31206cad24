//! The clocks: the only place that reads the time.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_ports::{Clock, Minter};
use rekindle_store_sea::SeaStore;
use uuid::Uuid;

/// How old a reading of the database's clock may be before it is taken again.
const FRESH: Duration = Duration::from_secs(1);

/// Business time as the database tells it, so that all replicas agree.
///
/// The database is asked once a second; in between the process's monotonic clock
/// counts on from the last reading, so business time never stands on a wall clock
/// that somebody may set.
pub struct DatabaseClock {
    store: SeaStore,
    reading: Mutex<Option<(Instant, Timestamp)>>,
}

impl DatabaseClock {
    /// A clock over a database.
    pub fn new(store: SeaStore) -> Self {
        Self { store, reading: Mutex::new(None) }
    }

    fn last(&self) -> Option<(Instant, Timestamp)> {
        // A pair of plain values is whole even if a holder panicked.
        *self.reading.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn keep(&self, at: Instant, reading: Timestamp) -> Timestamp {
        let mut held = self.reading.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Never backwards: a reading that arrives late must not undo what was told already.
        let reading = held.map_or(reading, |last| reading.max(count_on(last, at)));
        *held = Some((at, reading));
        reading
    }
}

fn count_on((then, reading): (Instant, Timestamp), at: Instant) -> Timestamp {
    reading.plus(at.saturating_duration_since(then).as_micros() as i64)
}

#[async_trait]
impl Clock for DatabaseClock {
    async fn now(&self) -> Timestamp {
        let last = self.last();
        let at = Instant::now();
        if let Some(last) = last.filter(|(then, _)| at.saturating_duration_since(*then) < FRESH) {
            return count_on(last, at);
        }
        match (self.store.now().await, last) {
            (Ok(reading), _) => self.keep(Instant::now(), reading),
            (Err(_), Some(last)) => count_on(last, Instant::now()),
            (Err(_), None) => system_now(),
        }
    }
}

/// The process's wall clock: for the embedded database, and before the first reading.
#[expect(clippy::disallowed_methods, reason = "the binary is the one place that reads the clock")]
pub fn system_now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_micros() as i64)
}

/// Fresh ids: UUID version 7.
pub struct SystemMinter;

impl Minter for SystemMinter {
    #[expect(clippy::disallowed_methods, reason = "the binary is the one place that draws ids")]
    fn mint(&self) -> Uuid {
        Uuid::now_v7()
    }
}

impl SystemMinter {
    /// 122 bits that nobody can guess.
    #[expect(clippy::disallowed_methods, reason = "the binary is the one place that draws random values")]
    pub fn secret() -> Uuid {
        Uuid::new_v4()
    }
}
