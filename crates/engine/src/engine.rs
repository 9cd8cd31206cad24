//! The engine: what it is made of, and how it runs units of work.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::store::Queue;
use rekindle_ports::{Clock, Deliver, Minter, Store, Tx};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

use crate::bells::Bells;
use crate::budget;
use crate::enroll::rules::Rules;
use crate::error::{EngineError, EngineResult};
use crate::failpoint::{self, Failpoint, Fate, NoProbe, Probe, Unit};
use crate::ingest::Committer;
use crate::revisions::Revisions;
use crate::sequences::programs::Programs;

/// What the binary hands over.
#[derive(Clone)]
pub struct Parts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Business time.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids.
    pub minter: Arc<dyn Minter>,
    /// Somewhere to send, and how messages are written.
    pub deliver: Arc<dyn Deliver>,
    /// Every task of the process; shutdown awaits it.
    pub tracker: TaskTracker,
    /// Secret by which customers are given their arms; the same for as long as there are experiments.
    pub experiment_key: [u8; 32],
    /// Sizes and limits.
    pub options: Options,
}

/// Sizes and limits.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Ingest commits at once, each of customers of its own; 1 on SQLite, which has one writer.
    pub committers: usize,
    /// Most events committed together.
    pub group_size: usize,
    /// Most events waiting to be committed.
    pub queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        // 1,000 events amortise a commit; more would only make each answer wait longer.
        Self { committers: 1, group_size: 1_000, queue: 20_000 }
    }
}

/// Everything the service does, behind one handle that is cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
    committer: Committer,
}

pub(crate) struct Inner {
    pub store: Arc<dyn Store>,
    pub clock: Arc<dyn Clock>,
    pub minter: Arc<dyn Minter>,
    pub deliver: Arc<dyn Deliver>,
    pub tracker: TaskTracker,
    pub revisions: Revisions,
    pub programs: Programs,
    pub rules: Rules,
    pub experiment_key: [u8; 32],
    pub bells: Bells,
    /// Rung when a fill has something to do.
    pub fills: Notify,
    /// Rung when a replay has something to do.
    pub replays: Notify,
    probe: Arc<dyn Probe>,
}

/// Most times a unit of work is done again after a conflict.
const TRIES: u32 = 5;

impl Engine {
    /// An engine over its parts; its ingest workers begin at once.
    pub fn new(parts: Parts) -> Self {
        Self::probed(parts, Arc::new(NoProbe))
    }

    /// The same, with somebody who is told of every failpoint; a release build tells nobody.
    pub fn probed(parts: Parts, probe: Arc<dyn Probe>) -> Self {
        let inner = Arc::new(Inner {
            store: parts.store,
            clock: parts.clock,
            minter: parts.minter,
            deliver: parts.deliver,
            tracker: parts.tracker,
            revisions: Revisions::default(),
            programs: Programs::default(),
            rules: Rules::default(),
            experiment_key: parts.experiment_key,
            bells: Bells::default(),
            fills: Notify::new(),
            replays: Notify::new(),
            probe,
        });
        let committer = Committer::start(&inner, parts.options);
        Self { inner, committer }
    }

    /// Business time.
    pub async fn now(&self) -> Timestamp {
        self.inner.clock.now().await
    }

    /// Fresh ids.
    pub fn minter(&self) -> &dyn Minter {
        &*self.inner.minter
    }

    /// The database.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Rings when something may have become due.
    pub fn ring(&self) {
        for queue in Queue::ALL {
            self.inner.bells.ring(queue);
        }
    }

    pub(crate) fn committer(&self) -> &Committer {
        &self.committer
    }

    /// Runs a unit of work that may write, and commits it when it succeeds.
    ///
    /// It runs to its end even when the caller goes away, and is done again, from
    /// the beginning, when it meets a conflict.
    pub async fn write<T, F>(&self, scope: Scope, work: F) -> EngineResult<T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut dyn Tx, Timestamp) -> BoxFuture<'a, EngineResult<T>> + Send + Sync + 'static,
    {
        let inner = Arc::clone(&self.inner);
        self.detached(async move { inner.write(scope, &work).await }).await
    }

    /// Runs a unit of work over one snapshot; nothing it does is kept. The database stops
    /// reading when the caller no longer waits (see [`budget::within`]).
    pub async fn read<T, F>(&self, scope: Scope, work: F) -> EngineResult<T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut dyn Tx, Timestamp) -> BoxFuture<'a, EngineResult<T>> + Send + Sync + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let left = budget::left();
        self.detached(async move { inner.read(scope, left, &work).await }).await
    }

    /// Runs work to its end even when the caller goes away.
    pub(crate) async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = EngineResult<T>> + Send + 'static,
    ) -> EngineResult<T> {
        self.inner.tracker.spawn(work).await.unwrap_or_else(|error| match error.try_into_panic() {
            Ok(payload) => Err(EngineError::panicked(&*payload)),
            // A task that was torn down with the runtime has no answer to give.
            Err(_) => Err(EngineError::Stopping),
        })
    }
}

impl Inner {
    /// [`Engine::read`] for callers that already run in a task of the tracker; each statement takes
    /// as long as `limit` says and no longer.
    pub async fn read<T, F>(&self, scope: Scope, limit: Option<Duration>, work: &F) -> EngineResult<T>
    where
        F: for<'a> Fn(&'a mut dyn Tx, Timestamp) -> BoxFuture<'a, EngineResult<T>> + Send + Sync,
    {
        let now = self.clock.now().await;
        let mut tx = self.store.read(scope).await?;
        if let Some(limit) = limit {
            tx.limit(limit).await?;
        }
        work(&mut *tx, now).await
    }

    /// [`Engine::write`] for callers that already run in a task of the tracker.
    pub async fn write<T, F>(&self, scope: Scope, work: &F) -> EngineResult<T>
    where
        F: for<'a> Fn(&'a mut dyn Tx, Timestamp) -> BoxFuture<'a, EngineResult<T>> + Send + Sync,
    {
        self.write_until_kept(None, scope, work).await
    }

    /// The same for a unit whose commit has failpoints around it.
    pub async fn write_unit<T, F>(&self, unit: Unit, scope: Scope, work: &F) -> EngineResult<T>
    where
        F: for<'a> Fn(&'a mut dyn Tx, Timestamp) -> BoxFuture<'a, EngineResult<T>> + Send + Sync,
    {
        self.write_until_kept(Some(unit), scope, work).await
    }

    async fn write_until_kept<T, F>(&self, unit: Option<Unit>, scope: Scope, work: &F) -> EngineResult<T>
    where
        F: for<'a> Fn(&'a mut dyn Tx, Timestamp) -> BoxFuture<'a, EngineResult<T>> + Send + Sync,
    {
        for attempt in 1.. {
            // Caught here and not by the task: workers that go on for ever call this too. The
            // transaction is dropped on the way, and with it what it did.
            let outcome = AssertUnwindSafe(self.write_once(unit, scope, work)).catch_unwind().await;
            let outcome = outcome.unwrap_or_else(|payload| Err(EngineError::panicked(&*payload)));
            match outcome {
                Err(error) if error.is_conflict() && attempt < TRIES => {
                    tracing::debug!(%error, attempt, "a unit of work is done again");
                }
                outcome => return outcome,
            }
        }
        unreachable!("the loop above only ends by returning")
    }

    async fn write_once<T, F>(&self, unit: Option<Unit>, scope: Scope, work: &F) -> EngineResult<T>
    where
        F: for<'a> Fn(&'a mut dyn Tx, Timestamp) -> BoxFuture<'a, EngineResult<T>> + Send + Sync,
    {
        let now = self.clock.now().await;
        let mut tx = self.store.begin(scope).await?;
        let answer = work(&mut *tx, now).await?;
        self.reach(unit.map(Failpoint::BeforeCommit))?;
        tx.commit().await?;
        self.reach(unit.map(Failpoint::AfterCommit))?;
        Ok(answer)
    }

    /// Tells the probe, in a debug build.
    pub fn reach(&self, failpoint: Option<Failpoint>) -> EngineResult<()> {
        let fate = match failpoint {
            Some(failpoint) if cfg!(debug_assertions) => self.probe.reached(failpoint),
            _ => Fate::GoOn,
        };
        match fate {
            Fate::GoOn => Ok(()),
            Fate::Fail => Err(failpoint::broken().into()),
        }
    }
}
