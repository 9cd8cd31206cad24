//! Loops of one shape: claim, decide, record.
//!
//! They work side by side, each on its queue: sends do not wait for marks, nor marks for steps.
//!
//! Claims are transactions of their own. Work in the outside world is never done
//! inside a transaction, and every write that follows a claim is fenced by the
//! epoch of the claim: a worker that was too slow writes nothing.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::Deliver;
use rekindle_ports::rows::Lease;
use rekindle_ports::store::Queue;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::engine::{Engine, Inner};
use crate::error::EngineResult;

mod begin;
pub(crate) mod compose;
mod detector;
mod dispatcher;
mod emit;
pub(crate) mod follow;
mod give_back;
mod heard;
mod hold;
pub(crate) mod locks;
pub(crate) mod poison;
mod recorder;
mod rest;
mod room;
mod runner;
pub(crate) mod scheduler;
pub(crate) mod settle;
mod settled;
pub(crate) mod shelf;
mod together;
mod walk;
mod zone;

/// How the loops work.
#[derive(Debug, Clone)]
pub struct LoopOptions {
    /// Name of this replica and how long its claims hold.
    pub lease: Lease,
    /// How often work is looked for when nothing rings.
    pub poll: Duration,
    /// Most sends in flight.
    pub concurrency: usize,
    /// Batches of timers, and of runs, that are worked on side by side where that many are due: each
    /// holds a connection and mostly waits. 1 on SQLite, which has one writer.
    pub side_by_side: usize,
}

/// The loops of one replica.
#[derive(Clone)]
pub struct Loops {
    pub(crate) inner: Arc<Inner>,
    pub(crate) deliver: Arc<dyn Deliver>,
    pub(crate) options: LoopOptions,
    /// Permits to send: taken before rows are claimed.
    pub(crate) sends: Arc<Semaphore>,
    recorder: recorder::Recorder,
    lost_timers: Arc<poison::LostLook>,
    lost_runs: Arc<poison::LostLook>,
    pub(crate) stop: Stop,
}

/// When a process stops working, in two steps; both tokens are live until it does.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// Cancelled first: nothing more is claimed, and what is claimed and not begun is given back.
    pub claims: CancellationToken,
    /// Cancelled when time is up: sends in flight are given up and recorded as unknown.
    pub sends: CancellationToken,
}

/// Rows claimed at once: a batch amortises the claim.
const BATCH: u32 = 200;

impl Loops {
    /// Loops of an engine.
    pub fn new(engine: &Engine, deliver: Arc<dyn Deliver>, options: LoopOptions) -> Self {
        let sends = Arc::new(Semaphore::new(options.concurrency.max(1)));
        Self {
            inner: Arc::clone(&engine.inner),
            deliver,
            options,
            sends,
            recorder: recorder::Recorder::default(),
            lost_timers: Arc::default(),
            lost_runs: Arc::default(),
            stop: Stop::default(),
        }
    }

    /// Works until `stop`; sends in flight are left to the tracker.
    pub async fn run(self, stop: Stop) {
        let loops = Self { stop, ..self };
        tracing::info!(replica = %loops.lease().owner, "at work");
        let [timers, schedules, runs, deliveries] = Queue::ALL.map(|queue| loops.work_on(queue));
        tokio::join!(timers, schedules, runs, deliveries);
    }

    async fn work_on(&self, queue: Queue) {
        while !self.stop.claims.is_cancelled() {
            // Registered before looking, so that nothing rung in between is missed.
            let rung = self.inner.bells.of(queue).notified();
            match self.turn_of(queue).await {
                Ok(0) => {}
                Ok(_) => continue,
                Err(error) => tracing::warn!(queue = queue.name(), %error, "a loop could not work"),
            }
            tokio::select! {
                () = rung => {}
                () = tokio::time::sleep(self.options.poll) => {}
                () = self.stop.claims.cancelled() => {}
            }
        }
    }

    /// Does what is due now, once; how many rows were claimed.
    pub async fn turn(&self) -> EngineResult<usize> {
        let now = self.inner.clock.now().await;
        let mut due = Vec::new();
        // Sends go first: they are begun here and done in tasks of their own.
        for queue in [Queue::Deliveries, Queue::Timers, Queue::Schedules, Queue::Runs] {
            due.push((queue, self.inner.store.due_buckets(queue, now).await?));
        }
        let mut claimed = 0;
        for (queue, buckets) in due {
            claimed += self.work_through(queue, buckets, now).await;
        }
        Ok(claimed)
    }

    /// Does what is due in a queue, once; how many rows were claimed.
    async fn turn_of(&self, queue: Queue) -> EngineResult<usize> {
        if queue == Queue::Deliveries && self.sends.available_permits() == 0 {
            // Who has sent something rings.
            return Ok(0);
        }
        let now = self.inner.clock.now().await;
        let due = self.inner.store.due_buckets(queue, now).await?;
        Ok(self.work_through(queue, due, now).await)
    }

    /// Does what is due in these buckets; how many rows were claimed. What fails in one bucket must
    /// not keep the others waiting.
    async fn work_through(&self, queue: Queue, buckets: Vec<i16>, now: Timestamp) -> usize {
        let mut claimed = 0;
        for bucket in self.while_open(buckets) {
            let answer = match queue {
                Queue::Timers => self.notice(bucket, now).await,
                Queue::Schedules => self.come_round(bucket, now).await,
                Queue::Runs => self.advance(bucket, now).await,
                Queue::Deliveries => self.dispatch(bucket, now).await,
            };
            claimed += done(queue, answer);
        }
        claimed
    }

    /// Does what is due until nothing is, sends included.
    pub async fn drain(&self) -> EngineResult<()> {
        loop {
            let claimed = self.turn().await?;
            let all = self.options.concurrency.max(1) as u32;
            // Every permit back means that no send is in flight.
            drop(self.sends.acquire_many(all).await);
            if claimed == 0 && self.turn().await? == 0 {
                return Ok(());
            }
        }
    }

    /// These, until nothing more is to be claimed.
    fn while_open<T>(&self, items: Vec<T>) -> impl Iterator<Item = T> {
        items.into_iter().take_while(|_| !self.stop.claims.is_cancelled())
    }

    /// Claims batches until one is not full, or as many are held as are worked on side by side.
    ///
    /// Where a claim fails after others, these are worked on: the next turn will meet the error.
    async fn batches<'a, T>(
        &self,
        claim: impl Fn() -> BoxFuture<'a, EngineResult<Vec<T>>>,
    ) -> EngineResult<Vec<Vec<T>>> {
        let mut claimed = vec![claim().await?];
        while claimed.len() < self.options.side_by_side
            && claimed.last().is_some_and(|last| last.len() == BATCH as usize)
            && !self.stop.claims.is_cancelled()
            && let Ok(more) = claim().await
        {
            claimed.push(more);
        }
        Ok(claimed)
    }

    /// The scope of a claim: a bucket, whatever the workspace.
    pub(crate) fn bucket_scope(bucket: i16) -> Scope {
        Scope { bucket, workspace: 0 }
    }

    /// When a lease ends that begins now, for people and logs.
    pub(crate) fn lease(&self) -> &Lease {
        &self.options.lease
    }
}

/// How many rows were claimed; 0, and a word in the log, where that failed.
fn done(queue: Queue, claimed: EngineResult<usize>) -> usize {
    match claimed {
        Ok(0) => 0,
        Ok(claimed) => {
            tracing::debug!(queue = queue.name(), claimed, "claimed");
            claimed
        }
        Err(error) => {
            tracing::warn!(queue = queue.name(), %error, "claimed work could not be done");
            0
        }
    }
}

/// Groups claims by workspace.
pub(crate) fn by_scope<T>(claims: Vec<T>, scope: impl Fn(&T) -> Scope) -> Vec<(Scope, Vec<T>)> {
    let mut groups: std::collections::BTreeMap<Scope, Vec<T>> = std::collections::BTreeMap::new();
    for claim in claims {
        groups.entry(scope(&claim)).or_default().push(claim);
    }
    groups.into_iter().collect()
}
