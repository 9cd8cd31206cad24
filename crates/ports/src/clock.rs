//! Time and fresh ids: read by the binary alone, passed down as values.

use rekindle_core::Timestamp;
use uuid::Uuid;

/// Business time: what due, received and stalled are measured in.
#[async_trait::async_trait]
pub trait Clock: Send + Sync + 'static {
    /// The instant now; asked once for each unit of work.
    async fn now(&self) -> Timestamp;
}

/// A source of ids that never repeat.
pub trait Minter: Send + Sync + 'static {
    /// A fresh id, roughly ordered by time.
    fn mint(&self) -> Uuid;
}
