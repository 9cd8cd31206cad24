//! Records outcomes; those that come while others are being recorded go together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::ledger::DeliveryRow;
use rekindle_ports::resources::{SuppressionKind, SuppressionReason, SuppressionRow};
use rekindle_ports::{StoreError, Tx};
use tokio::sync::{Mutex, oneshot};
use uuid::Uuid;

use super::begin::Started;
use super::by_scope;
use super::locks::lock_subjects;
use super::poison::is_its_fault;
use super::settle::{ended, settle};
use super::settled::Settled;
use crate::engine::Inner;
use crate::error::{EngineError, EngineResult};
use crate::failpoint::Unit;

/// Waits between tries to record an outcome, two minutes in all; after that it is unknown.
const RECORD_WAITS: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(15),
    Duration::from_secs(40),
    Duration::from_mins(1),
];

/// An attempt that was made, and what came of it.
#[derive(Clone)]
pub(super) struct Ending {
    pub started: Started,
    pub outcome: SendOutcome,
}

/// Outcomes that wait, and whose turn it is to write them.
#[derive(Clone, Default)]
pub(super) struct Recorder {
    waiting: Arc<Lock<Vec<Job>>>,
    turn: Arc<Mutex<()>>,
}

struct Job {
    ending: Ending,
    reply: oneshot::Sender<EngineResult<()>>,
}

impl Recorder {
    /// Records an outcome, if the claim still holds. Whoever has the turn writes all that wait.
    pub(super) async fn record(&self, inner: &Inner, ending: Ending) -> EngineResult<()> {
        let (reply, answer) = oneshot::channel();
        self.waiting().push(Job { ending, reply });
        let turn = self.turn.lock().await;
        let jobs = std::mem::take(&mut *self.waiting());
        for (scope, jobs) in by_scope(jobs, |job| job.ending.started.claim.key.scope) {
            write(inner, scope, jobs).await;
        }
        drop(turn);
        // Written above, or by whoever had the turn before.
        answer.await.unwrap_or(Err(EngineError::Stopping))
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Job>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records outcomes in one transaction; where that fails for a reason of theirs, each in one of
/// its own.
async fn write(inner: &Inner, scope: Scope, jobs: Vec<Job>) {
    let endings: Vec<Ending> = jobs.iter().map(|job| job.ending.clone()).collect();
    let answer = record_in_time(inner, scope, endings).await;
    let together = match &answer {
        Ok(()) => true,
        Err(error) => jobs.len() == 1 || !is_its_fault(error),
    };
    let mut answer = Some(answer);
    for Job { ending, reply } in jobs {
        let answer = match &answer {
            Some(Ok(())) => Ok(()),
            _ if together => answer.take().unwrap_or(Err(EngineError::Stopping)),
            _ => record_in_time(inner, scope, vec![ending]).await,
        };
        // Whoever is not there any more needs no answer.
        let _ = reply.send(answer);
    }
}

/// While the database is away outcomes are kept and tried again, for one that is known must not
/// become unknown.
async fn record_in_time(inner: &Inner, scope: Scope, endings: Vec<Ending>) -> EngineResult<()> {
    for wait in RECORD_WAITS {
        let recorded =
            inner.write_unit(Unit::RecordOutcome, scope, &|tx, now| record(tx, endings.clone(), now)).await;
        match recorded {
            Err(EngineError::Store(StoreError::Unavailable(error))) => {
                tracing::warn!(outcomes = endings.len(), %error, "outcomes wait to be recorded");
                tokio::time::sleep(wait).await;
            }
            recorded => return recorded,
        }
    }
    Err(EngineError::Stopping)
}

fn record(tx: &mut dyn Tx, endings: Vec<Ending>, now: Timestamp) -> BoxFuture<'_, EngineResult<()>> {
    Box::pin(async move {
        let deliveries = endings.iter().map(|ending| &ending.started.delivery);
        let subjects: Vec<Uuid> =
            deliveries.flat_map(|it| [it.conversation, it.customer]).flatten().collect();
        lock_subjects(tx, subjects).await?;
        let claims: Vec<_> = endings.iter().map(|ending| ending.started.claim.clone()).collect();
        let mut held: HashMap<String, DeliveryRow> =
            tx.hold_deliveries(&claims).await?.into_iter().map(|it| (it.id.clone(), it)).collect();
        let mut settled = Settled::default();
        for Ending { started, outcome } in endings {
            let Some(delivery) = held.remove(&started.delivery.id) else {
                tracing::info!(delivery = %started.delivery.id, "the claim was lost while sending; its outcome is not recorded");
                continue;
            };
            settled.attempt(ended(&started.attempt, &outcome, now));
            let delivery = settle(delivery, &outcome, now);
            if let SendOutcome::Rejected { suppress: true, response, .. } = &outcome {
                suppress_recipient(tx, &delivery, response, now).await?;
            }
            if let SendOutcome::Rejected { disable_destination: true, response, .. } = &outcome {
                disable(tx, &delivery.destination, response, now).await?;
            }
            settled.add(started.claim, delivery);
        }
        settled.save(tx, now).await?;
        Ok(())
    })
}

async fn suppress_recipient(
    tx: &mut dyn Tx,
    delivery: &DeliveryRow,
    response: &str,
    now: Timestamp,
) -> EngineResult<()> {
    let entry = SuppressionRow {
        kind: SuppressionKind::Address,
        value: delivery.recipient.to_lowercase(),
        reason: SuppressionReason::HardBounce,
        note: response.to_owned(),
        created_at: now,
    };
    tx.suppress(&entry).await?;
    Ok(())
}

async fn disable(tx: &mut dyn Tx, id: &str, response: &str, now: Timestamp) -> EngineResult<()> {
    if let Some(mut destination) = tx.destination(id).await? {
        destination.disabled = Some((now, format!("the receiver is gone: {response}")));
        tx.save_destination(&destination).await?;
    }
    Ok(())
}
