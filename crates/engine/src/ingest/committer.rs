//! Group commit: calls that come at the same time are committed together.
//!
//! Events go by lanes, each with a worker of its own. Everything about a customer takes one lane
//! (`lanes.rs`): transactions that run side by side then want different rows, and none waits for
//! another's commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use rekindle_core::ingest::NewEvent;
use rekindle_core::scope::Scope;
use rekindle_ports::StoreError;
use tokio::sync::{mpsc, oneshot};

use super::lanes::Lanes;
use super::queue::Queue;
use super::{Fate, apply};
use crate::engine::{Inner, Options};
use crate::error::{EngineError, EngineResult};
use crate::failpoint::Unit;

/// What became of one call's events.
#[derive(Debug)]
pub(crate) struct Stored {
    /// By place in the call.
    pub fates: Vec<Fate>,
    /// Subjects left to the fill job.
    pub refold_pending: u64,
}

/// What waits in a lane: a call's events that belong there.
#[derive(Debug)]
pub(super) struct Job {
    pub scope: Scope,
    pub events: Vec<NewEvent>,
    pub reply: oneshot::Sender<EngineResult<Stored>>,
}

/// The way to the workers that commit.
#[derive(Clone)]
pub(crate) struct Committer {
    lanes: Arc<Lanes>,
    jobs: Vec<mpsc::UnboundedSender<Job>>,
    waiting: Arc<AtomicUsize>,
    most: usize,
}

impl Committer {
    /// Starts the workers.
    pub fn start(inner: &Arc<Inner>, options: Options) -> Self {
        let waiting = Arc::new(AtomicUsize::new(0));
        let lane = |_| {
            let (jobs, arriving) = mpsc::unbounded_channel();
            let queue = Queue::new(arriving, options.group_size);
            let worker = Worker { inner: Arc::clone(inner), waiting: Arc::clone(&waiting) };
            inner.tracker.spawn(worker.run(queue));
            jobs
        };
        let lanes = Arc::new(Lanes::new(options.committers));
        let jobs = (0..lanes.count()).map(lane).collect();
        Self { lanes, jobs, waiting, most: options.queue }
    }

    /// Hands events over and waits until they are committed.
    pub async fn submit(&self, scope: Scope, events: Vec<NewEvent>) -> EngineResult<Stored> {
        let count = events.len();
        if self.waiting.fetch_add(count, Ordering::Relaxed) + count > self.most {
            self.waiting.fetch_sub(count, Ordering::Relaxed);
            return Err(EngineError::Busy { retry_after: Duration::from_millis(250) });
        }
        let parts = self.parted(events);
        // All of them are on their way before the first is waited for.
        let answers: Vec<_> = parts
            .into_iter()
            .map(|Part { lane, places, events }| (places, self.hand_over(lane, scope, events)))
            .collect();
        let (places, answers): (Vec<_>, Vec<_>) = answers.into_iter().unzip();
        let mut fates = vec![Fate::Accepted; count];
        let mut refold_pending = 0;
        for (places, stored) in places.into_iter().zip(join_all(answers).await) {
            let stored = stored?;
            refold_pending += stored.refold_pending;
            for (place, fate) in places.into_iter().zip(stored.fates) {
                fates[place] = fate;
            }
        }
        Ok(Stored { fates, refold_pending })
    }

    /// Puts a part into its lane; the answer comes when it is committed.
    fn hand_over(
        &self,
        lane: usize,
        scope: Scope,
        events: Vec<NewEvent>,
    ) -> impl Future<Output = EngineResult<Stored>> + use<> {
        let (reply, answer) = oneshot::channel();
        // A worker that is gone drops the reply, which says the same.
        let _ = self.jobs[lane].send(Job { scope, events, reply });
        async move { answer.await.unwrap_or(Err(EngineError::Stopping)) }
    }

    /// A call's events by lane.
    fn parted(&self, events: Vec<NewEvent>) -> Vec<Part> {
        let mut parts: Vec<Part> = (0..self.lanes.count()).map(Part::of).collect();
        for (place, event) in events.into_iter().enumerate() {
            let part = &mut parts[self.lanes.of(&event)];
            part.places.push(place);
            part.events.push(event);
        }
        parts.retain(|part| !part.events.is_empty());
        parts
    }
}

/// What of a call goes into one lane.
struct Part {
    lane: usize,
    places: Vec<usize>,
    events: Vec<NewEvent>,
}

impl Part {
    fn of(lane: usize) -> Self {
        Self { lane, places: Vec::new(), events: Vec::new() }
    }
}

struct Worker {
    inner: Arc<Inner>,
    waiting: Arc<AtomicUsize>,
}

impl Worker {
    /// Commits group after group until nobody can hand over any more.
    async fn run(self, mut queue: Queue) {
        while let Some(group) = queue.next_group().await {
            let events: usize = group.iter().map(|job| job.events.len()).sum();
            self.commit(group).await;
            self.waiting.fetch_sub(events, Ordering::Relaxed);
        }
    }

    /// Commits a group; one that fails for a reason of its own is split until the job is alone.
    async fn commit(&self, group: Vec<Job>) {
        let mut open = vec![group];
        while let Some(mut group) = open.pop() {
            match self.store(&group).await {
                Ok(stored) => answer(group, stored),
                Err(error) if group.len() > 1 && may_be_of_one(&error) => {
                    tracing::warn!(%error, jobs = group.len(), "a group could not be committed and is split");
                    let rest = group.split_off(group.len() / 2);
                    open.push(rest);
                    open.push(group);
                }
                Err(error) => fail(group, error),
            }
        }
    }

    async fn store(&self, group: &[Job]) -> EngineResult<Stored> {
        let Some(first) = group.first() else {
            return Ok(Stored { fates: Vec::new(), refold_pending: 0 });
        };
        let events: Arc<Vec<NewEvent>> =
            Arc::new(group.iter().flat_map(|job| job.events.iter().cloned()).collect());
        let inner = &self.inner;
        let stored = inner
            .write_unit(Unit::Ingest, first.scope, &|tx, now| {
                let (events, inner) = (Arc::clone(&events), Arc::clone(inner));
                Box::pin(async move { apply(tx, &inner, &events, now).await })
            })
            .await?;
        tracing::debug!(jobs = group.len(), events = events.len(), "events were committed");
        if stored.refold_pending > 0 {
            inner.fills.notify_waiters();
        }
        Ok(stored)
    }
}

/// Whether one job of a group may be what the group failed for.
fn may_be_of_one(error: &EngineError) -> bool {
    match error {
        EngineError::Store(error) => !matches!(error, StoreError::Unavailable(_)),
        EngineError::Panicked(_) => true,
        _ => false,
    }
}

/// Gives each job its part of the answer.
fn answer(group: Vec<Job>, stored: Stored) {
    let mut fates = stored.fates.into_iter();
    for job in group {
        let fates = fates.by_ref().take(job.events.len()).collect();
        // A caller that went away needs no answer; its events are stored all the same.
        let _ = job.reply.send(Ok(Stored { fates, refold_pending: stored.refold_pending }));
    }
}

fn fail(group: Vec<Job>, error: EngineError) {
    let mut error = Some(error);
    for job in group {
        let error = error.take().unwrap_or(EngineError::Stopping);
        let _ = job.reply.send(Err(error));
    }
}
