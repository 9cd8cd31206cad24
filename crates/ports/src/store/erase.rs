//! Erasing customers and conversations for good.

use async_trait::async_trait;

use crate::erasure::{Erased, Erasure};
use crate::error::StoreResult;

/// Forgets whom rows are about, and keeps what figures count.
#[async_trait]
pub trait Erase {
    /// Erases subjects that were not erased before; their rows are locked.
    ///
    /// Of names and event ids only hashes stay: a name still resolves to its erased
    /// subject, and an event that comes again is known. Open runs end, what is
    /// scheduled is cancelled, and what was sent is emptied. The journeys are no
    /// longer live and have no timers; attempts, silences and marks stay.
    async fn erase(&mut self, order: &Erasure) -> StoreResult<Erased>;
}
