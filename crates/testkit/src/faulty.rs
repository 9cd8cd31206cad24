//! A store that fails when it is told to, at the moment that matters: the commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::store::Queue;
use rekindle_ports::{Store, StoreError, StoreResult, Tx};
use tokio::sync::Semaphore;

mod delegate;

/// What happens at a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks before the commit arrives: nothing is kept.
    Before,
    /// It breaks after: everything is kept, and nobody is told.
    After,
    /// The database takes the work back and asks for it again.
    Conflict,
    /// The commit waits until [`FaultyStore::release`].
    Held,
    /// The unit of work panics.
    Panic,
    /// It happens at once, and its caller hears of it at [`FaultyStore::release`].
    HeldAfter,
}

/// A store whose n-th commit goes wrong.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    plan: Arc<Plan>,
}

#[derive(Debug)]
struct Plan {
    fault: Fault,
    /// Commits that still go well; negative once the fault has struck.
    left: AtomicI64,
    commits: AtomicU64,
    gate: Semaphore,
    arrived: Semaphore,
}

impl FaultyStore {
    /// Fails at the commit after `good` good ones, once; every later commit goes well.
    pub fn new(inner: Arc<dyn Store>, good: u32, fault: Fault) -> Self {
        let plan = Plan {
            fault,
            left: AtomicI64::new(good.into()),
            commits: AtomicU64::new(0),
            gate: Semaphore::new(0),
            arrived: Semaphore::new(0),
        };
        Self { inner, plan: Arc::new(plan) }
    }

    /// Commits asked for so far, the one that failed included.
    pub fn commits(&self) -> u64 {
        self.plan.commits.load(Ordering::SeqCst)
    }

    /// Waits until a commit is held, or its reply.
    pub async fn until_held(&self) {
        self.plan.arrived.acquire().await.expect("the gate is never closed").forget();
    }

    /// Lets the held commit go on.
    pub fn release(&self) {
        self.plan.gate.add_permits(1);
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn begin(&self, scope: Scope) -> StoreResult<Box<dyn Tx>> {
        let inner = self.inner.begin(scope).await?;
        Ok(Box::new(FaultyTx { inner, plan: Arc::clone(&self.plan) }))
    }

    async fn read(&self, scope: Scope) -> StoreResult<Box<dyn Tx>> {
        self.inner.read(scope).await
    }

    async fn due_buckets(&self, queue: Queue, now: Timestamp) -> StoreResult<Vec<i16>> {
        self.inner.due_buckets(queue, now).await
    }

    async fn ping(&self) -> StoreResult<()> {
        self.inner.ping().await
    }
}

struct FaultyTx {
    inner: Box<dyn Tx>,
    plan: Arc<Plan>,
}

#[async_trait]
impl Tx for FaultyTx {
    fn scope(&self) -> Scope {
        self.inner.scope()
    }

    async fn limit(&mut self, time: Duration) -> StoreResult<()> {
        self.inner.limit(time).await
    }

    async fn commit(self: Box<Self>) -> StoreResult<()> {
        let Self { inner, plan } = *self;
        plan.commits.fetch_add(1, Ordering::SeqCst);
        let strikes = plan.left.fetch_sub(1, Ordering::SeqCst) == 0;
        match plan.fault {
            _ if !strikes => inner.commit().await,
            Fault::Before => Err(broken()),
            Fault::Conflict => Err(StoreError::Conflict("another unit of work came between".into())),
            Fault::After => {
                inner.commit().await?;
                Err(broken())
            }
            Fault::Panic => panic!("as the test wants it"),
            Fault::Held => {
                plan.arrived.add_permits(1);
                plan.gate.acquire().await.expect("the gate is never closed").forget();
                inner.commit().await
            }
            Fault::HeldAfter => {
                inner.commit().await?;
                plan.arrived.add_permits(1);
                plan.gate.acquire().await.expect("the gate is never closed").forget();
                Ok(())
            }
        }
    }
}

fn broken() -> StoreError {
    StoreError::Unavailable("the connection broke".into())
}
