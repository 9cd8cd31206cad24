//! Records outcomes; those that come while others are being recorded go together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::ledger::{DeliveryKey, DeliveryRow};
use rekindle_ports::resources::{SuppressionKind, SuppressionReason, SuppressionRow};
use rekindle_ports::rows::Claimed;
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
        let claims = newest(endings.iter().map(|ending| &ending.started.claim));
        let mut held: HashMap<String, DeliveryRow> =
            tx.hold_deliveries(&claims).await?.into_iter().map(|it| (it.id.clone(), it)).collect();
        let mut settled = Settled::default();
        for Ending { started, outcome } in endings {
            let held = if claims.contains(&started.claim) { held.remove(&started.delivery.id) } else { None };
            let Some(delivery) = held else {
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

/// The newest claim of each delivery. A worker that lost one and claimed it anew may have the outcomes of
/// both attempts to record at once: the delivery is held by the newer claim alone.
fn newest<'a>(claims: impl Iterator<Item = &'a Claimed<DeliveryKey>>) -> Vec<Claimed<DeliveryKey>> {
    let mut newest: HashMap<&DeliveryKey, &Claimed<DeliveryKey>> = HashMap::new();
    for claim in claims {
        let known = newest.entry(&claim.key).or_insert(claim);
        if known.epoch < claim.epoch {
            *known = claim;
        }
    }
    newest.into_values().cloned().collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(id: &str, epoch: i64) -> Claimed<DeliveryKey> {
        let key = DeliveryKey { scope: Scope::of("default"), id: id.into() };
        Claimed { key, epoch, crashes: 0 }
    }

    #[test]
    fn of_two_claims_of_one_delivery_the_newer_holds_it() {
        let all = [claim("a", 3), claim("b", 2), claim("a", 5), claim("b", 1)];
        let mut found = newest(all.iter());
        found.sort_by(|a, b| a.key.id.cmp(&b.key.id));
        assert_eq!(found, [claim("a", 5), claim("b", 2)]);
    }
}
