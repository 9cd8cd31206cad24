//! Replays: failures that are done again, by jobs that outlive the process that began them.
//!
//! A job goes through its failures page by page, each a transaction that keeps how far it has come.
//! What is done to each follows from how it stands under the lock of its subjects, so that a page
//! which is worked again after a crash does nothing twice.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::Tx;
use rekindle_ports::ledger::DeliveryState;
use rekindle_ports::resources::RequestKind;
use rekindle_ports::store::replays::{Covers, FailureKind, Failures, ReplayPlace, ReplayRow, ReplayState};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::engine::{Engine, Inner};
use crate::error::{EngineError, EngineResult, Precondition, ResourceKind};
use crate::jobs::{Turn, take_turns};
use crate::loops::poison::{causes, is_its_fault};
use crate::requests::{Asked, Creation, corrupt};

mod deliveries;
mod returns;
mod runs;

/// Failures of a transaction: their subjects are locked meanwhile.
const PAGE: u32 = 50;

/// What a page came to.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    replayed: i64,
    skipped: i64,
}

/// How a page is worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Many together.
    Page,
    /// One alone: something is wrong with one of a page.
    One,
    /// Past one that cannot be worked on.
    Past,
}

impl Pace {
    fn limit(self) -> u32 {
        match self {
            Self::Page => PAGE,
            Self::One | Self::Past => 1,
        }
    }
}

impl Engine {
    /// Begins a replay; with a request id once. A check stores nothing: its id is that of no job.
    ///
    /// A period ends now at the latest, so that what fails again is not replayed again.
    ///
    /// # Errors
    /// `NotFound` for a delivery or a run that is not there; `DeliveryNotReplayable` for one that
    /// did not fail or belongs to no run; `RunNotReplayable` for one in which nothing failed.
    pub async fn create_replay(
        &self,
        scope: Scope,
        covers: Covers,
        how: Creation,
    ) -> EngineResult<ReplayRow> {
        let inner = Arc::clone(&self.inner);
        let asked = Asked::new(RequestKind::Replay, how, &format!("{covers:?}"));
        let row = self
            .write(scope, move |tx, now| {
                let (inner, asked, covers) = (Arc::clone(&inner), asked.clone(), covers.clone());
                Box::pin(async move {
                    if let Some(before) = asked.before(tx).await? {
                        let id = before.answer.parse().map_err(|_| corrupt(&before))?;
                        return existing(tx, id).await;
                    }
                    let row = planned(tx, inner.minter.mint(), covers, now).await?;
                    if !asked.is_check() {
                        tx.save_replay(&row).await?;
                        asked.keep(tx, row.id.to_string(), now).await?;
                    }
                    Ok(row)
                })
            })
            .await?;
        self.inner.replays.notify_waiters();
        Ok(row)
    }

    /// A replay.
    pub async fn replay(&self, scope: Scope, id: Uuid) -> EngineResult<ReplayRow> {
        self.read(scope, move |tx, _| Box::pin(async move { existing(tx, id).await })).await
    }

    /// Replays, newest first, after the one that began at an instant and has an id.
    pub async fn replays(
        &self,
        scope: Scope,
        before: Option<(Timestamp, Uuid)>,
        limit: u32,
    ) -> EngineResult<Vec<ReplayRow>> {
        self.read(scope, move |tx, _| Box::pin(async move { Ok(tx.replays(before.as_ref(), limit).await?) }))
            .await
    }

    /// Stops a replay; what it has replayed stays so. Cancelling a cancelled one changes nothing.
    ///
    /// # Errors
    /// `ReplayNotCancellable` when it is through.
    pub async fn cancel_replay(&self, scope: Scope, id: Uuid) -> EngineResult<ReplayRow> {
        self.write(scope, move |tx, now| {
            Box::pin(async move {
                let row = existing(tx, id).await?;
                match row.state {
                    ReplayState::Cancelled => Ok(row),
                    ReplayState::Done => {
                        Err(refused(Precondition::ReplayNotCancellable, "the replay is through", "DONE"))
                    }
                    ReplayState::Running => {
                        let row = ReplayRow { state: ReplayState::Cancelled, ended_at: Some(now), ..row };
                        tx.save_replay(&row).await?;
                        Ok(row)
                    }
                }
            })
        })
        .await
    }

    /// Works on replays until `stop`: whatever runs now, and whatever is rung for later.
    ///
    /// Several replicas may do so at once: a replay is worked on by whoever has it locked.
    pub async fn run_replays(&self, scope: Scope, stop: CancellationToken) {
        take_turns(|| self.replay_turn(scope), &self.inner.replays, &stop).await;
    }

    /// Works the next page of every replay that runs; whether there may be more.
    pub async fn replay_step(&self, scope: Scope) -> EngineResult<bool> {
        self.replay_turn(scope).await?.outcome()
    }

    async fn replay_turn(&self, scope: Scope) -> EngineResult<Turn> {
        let running = self.read(scope, |tx, _| Box::pin(async { Ok(tx.running_replays().await?) })).await?;
        let (mut any, mut failed) = (false, None);
        for replay in running {
            // A replay that cannot go on must not keep the others from it.
            match self.go_on(scope, replay.id).await {
                Ok(worked) => any |= worked,
                Err(error) => {
                    tracing::warn!(replay = %replay.id, error = causes(&error), "a replay could not go on");
                    failed = Some(error);
                }
            }
        }
        if any {
            self.ring();
        }
        Ok(Turn { any, failed })
    }

    /// Works the next page of a replay; whether there was one. Failures are where rows are found that
    /// cannot be worked on: such a one is passed by, and costs only itself.
    async fn go_on(&self, scope: Scope, id: Uuid) -> EngineResult<bool> {
        for pace in [Pace::Page, Pace::One] {
            match self.work(scope, id, pace).await {
                Err(error) if is_its_fault(&error) => {
                    tracing::error!(replay = %id, ?pace, error = causes(&error), "failures could not be replayed");
                }
                worked => return worked,
            }
        }
        self.work(scope, id, Pace::Past).await
    }

    async fn work(&self, scope: Scope, id: Uuid, pace: Pace) -> EngineResult<bool> {
        let inner = Arc::clone(&self.inner);
        self.write(scope, move |tx, now| page(Arc::clone(&inner), tx, id, pace, now)).await
    }
}

/// Works a page of a replay; whether there was one.
fn page(
    inner: Arc<Inner>,
    tx: &mut dyn Tx,
    id: Uuid,
    pace: Pace,
    now: Timestamp,
) -> BoxFuture<'_, EngineResult<bool>> {
    Box::pin(async move {
        let Some(mut job) = tx.lock_replay(id).await?.filter(|job| job.state == ReplayState::Running) else {
            return Ok(false);
        };
        let mut found = tx.failures(&job.covers, &job.place, pace.limit()).await?;
        let ids: Vec<String> = found.iter().map(|(_, id)| id.clone()).collect();
        let tally = match job.place.of {
            _ if pace == Pace::Past => Tally { replayed: 0, skipped: ids.len() as i64 },
            FailureKind::Run => runs::replay(tx, &inner, &ids, now).await?,
            FailureKind::Delivery => deliveries::replay(tx, &inner, &ids, now).await?,
        };
        job.replayed += tally.replayed;
        job.skipped += tally.skipped;
        let is_last = found.len() < pace.limit() as usize;
        match (job.place.of, found.pop()) {
            (_, Some(last)) if !is_last => job.place.after = Some(last),
            (FailureKind::Run, _) => job.place = ReplayPlace { of: FailureKind::Delivery, after: None },
            (FailureKind::Delivery, _) => (job.state, job.ended_at) = (ReplayState::Done, Some(now)),
        }
        tx.save_replay(&job).await?;
        Ok(true)
    })
}

/// A replay that is about to begin, its failures counted.
async fn planned(tx: &mut dyn Tx, id: Uuid, covers: Covers, now: Timestamp) -> EngineResult<ReplayRow> {
    let covers = match covers {
        Covers::Failures(of) => {
            let until = of.until.map_or(now, |until| until.min(now));
            Covers::Failures(Failures { until: Some(until), ..of })
        }
        one => one,
    };
    let total = tx.count_failures(&covers).await?;
    match &covers {
        Covers::Delivery(id) => require_failed_delivery(tx, id).await?,
        Covers::Run(id) => require_failures_of_run(tx, *id, total).await?,
        Covers::Failures(_) => {}
    }
    Ok(ReplayRow {
        id,
        covers,
        state: ReplayState::Running,
        total,
        replayed: 0,
        skipped: 0,
        place: ReplayPlace::default(),
        created_at: now,
        ended_at: None,
    })
}

async fn require_failed_delivery(tx: &mut dyn Tx, id: &str) -> EngineResult<()> {
    let delivery = tx.delivery(id).await?;
    let delivery = delivery.ok_or_else(|| EngineError::not_found(ResourceKind::Delivery, id))?;
    let message = match delivery.state {
        _ if delivery.run.is_nil() => "a test of a destination is not replayed",
        DeliveryState::Failed | DeliveryState::Expired => return Ok(()),
        _ => "it neither failed nor expired",
    };
    let state = format!("{:?}", delivery.state).to_uppercase();
    Err(refused(Precondition::DeliveryNotReplayable, message, &state))
}

async fn require_failures_of_run(tx: &mut dyn Tx, id: Uuid, failures: i64) -> EngineResult<()> {
    let run = tx.run(id).await?;
    let run = run.ok_or_else(|| EngineError::not_found(ResourceKind::Run, id.to_string()))?;
    if failures > 0 {
        return Ok(());
    }
    let state = format!("{:?}", run.state).to_uppercase();
    Err(refused(Precondition::RunNotReplayable, "nothing failed in it", &state))
}

async fn existing(tx: &mut dyn Tx, id: Uuid) -> EngineResult<ReplayRow> {
    tx.replay(id).await?.ok_or_else(|| EngineError::not_found(ResourceKind::Replay, id.to_string()))
}

fn refused(reason: Precondition, message: &str, state: &str) -> EngineError {
    EngineError::Precondition {
        reason,
        message: message.into(),
        metadata: vec![("currentState".into(), state.into())],
    }
}
