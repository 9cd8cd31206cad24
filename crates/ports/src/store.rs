//! The store: units of work over one database.

use std::time::Duration;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;

use crate::error::StoreResult;

pub mod browse;
pub mod catalog;
pub mod erase;
pub mod facts;
pub mod journeys;
pub mod ledger;
pub mod replays;
pub mod resources;
pub mod schedules;
pub mod subjects;
pub mod timers;

pub use browse::Browse;
pub use catalog::Catalog;
pub use erase::Erase;
pub use facts::Facts;
pub use journeys::Journeys;
pub use ledger::{Marks, Outbox, Runs};
pub use replays::Replays;
pub use resources::Resources;
pub use schedules::Schedules;
pub use subjects::Subjects;
pub use timers::Timers;

/// A database.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Begins a unit of work that may write.
    ///
    /// Must be awaited in a task that nobody can cancel: a future dropped inside
    /// `BEGIN` would hand an open transaction to the next user of the connection.
    async fn begin(&self, scope: Scope) -> StoreResult<Box<dyn Tx>>;

    /// Begins a unit of work that only reads, over one snapshot.
    async fn read(&self, scope: Scope) -> StoreResult<Box<dyn Tx>>;

    /// Buckets in which something is due, of every workspace; cheap and unlocked.
    async fn due_buckets(&self, queue: Queue, now: Timestamp) -> StoreResult<Vec<i16>>;

    /// Asks the database whether it is there.
    async fn ping(&self) -> StoreResult<()>;
}

/// A unit of work. Dropping it takes back everything it did.
///
/// Locks are taken in one order everywhere: customers, conversations, events,
/// then journeys, timers, runs and deliveries, each in key order.
#[async_trait]
pub trait Tx:
    Catalog
    + Subjects
    + Journeys
    + Timers
    + Facts
    + Marks
    + Runs
    + Outbox
    + Resources
    + Schedules
    + Replays
    + Browse
    + Erase
    + Send
{
    /// The workspace it works in.
    fn scope(&self) -> Scope;

    /// Lets each of its statements take this long and no longer, where the database can be told
    /// so; one that takes longer is [`StoreError::OutOfTime`](crate::StoreError::OutOfTime).
    async fn limit(&mut self, time: Duration) -> StoreResult<()>;

    /// Makes everything it did permanent.
    async fn commit(self: Box<Self>) -> StoreResult<()>;
}

/// What the loops claim, each its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queue {
    /// Journeys to look at.
    Timers,
    /// Sequences whose time has come.
    Schedules,
    /// Runs that go on.
    Runs,
    /// Deliveries to attempt, and those whose sender may be gone.
    Deliveries,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Timers, Self::Schedules, Self::Runs, Self::Deliveries];

    /// Its name, for the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timers => "timers",
            Self::Schedules => "schedules",
            Self::Runs => "runs",
            Self::Deliveries => "deliveries",
        }
    }
}
