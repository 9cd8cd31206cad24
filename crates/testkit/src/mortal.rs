//! A process's way to its database, which can die with the process.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::store::Queue;
use rekindle_ports::{Store, StoreError, StoreResult, Tx};

/// A store that answers until its process is dead; what the dead one still does is never
/// written, as if it did nothing.
pub struct MortalStore {
    inner: Arc<dyn Store>,
    is_dead: AtomicBool,
}

impl MortalStore {
    /// A store of a process that lives.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, is_dead: AtomicBool::new(false) }
    }

    /// From now on nothing comes through.
    pub fn die(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
    }

    fn alive(&self) -> StoreResult<&dyn Store> {
        if self.is_dead.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("the process is dead".into()));
        }
        Ok(&*self.inner)
    }
}

#[async_trait]
impl Store for MortalStore {
    async fn begin(&self, scope: Scope) -> StoreResult<Box<dyn Tx>> {
        self.alive()?.begin(scope).await
    }

    async fn read(&self, scope: Scope) -> StoreResult<Box<dyn Tx>> {
        self.alive()?.read(scope).await
    }

    async fn due_buckets(&self, queue: Queue, now: Timestamp) -> StoreResult<Vec<i16>> {
        self.alive()?.due_buckets(queue, now).await
    }

    async fn ping(&self) -> StoreResult<()> {
        self.alive()?.ping().await
    }
}
