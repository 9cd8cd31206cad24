//! Deliveries, and what operators decide about them.

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_core::time::DAY;
use rekindle_ports::Tx;
use rekindle_ports::ledger::{DeliveryRow, DeliveryState, RunEvent, RunState};

use super::{DeliveryView, LedgerQuery, views};
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, Precondition, ResourceKind};
use crate::loops::locks::lock_subjects;
use crate::loops::settle::over;

/// How long a message that is sent again is worth sending, at the least.
const WORTH_RESENDING: i64 = DAY;
/// Most bytes of a note.
const MOST_NOTE: usize = 1_024;

/// What a delivery is whose outcome nobody knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// It arrived.
    Delivered,
    /// It is to be sent again, with the same id and the same bytes.
    Resend,
}

impl Engine {
    /// A delivery with its attempts.
    pub async fn delivery(&self, scope: Scope, id: &str) -> EngineResult<DeliveryView> {
        let id = id.to_owned();
        self.read(scope, move |tx, _| {
            let id = id.clone();
            Box::pin(async move { view(tx, &id).await })
        })
        .await
    }

    /// Deliveries that pass, newest first.
    pub async fn deliveries(
        &self,
        scope: Scope,
        query: LedgerQuery,
        limit: u32,
    ) -> EngineResult<Vec<DeliveryView>> {
        self.read(scope, move |tx, _| {
            let query = query.clone();
            Box::pin(async move {
                let Some(filter) = query.resolve(tx).await? else {
                    return Ok(Vec::new());
                };
                let rows = tx.deliveries(&filter, limit).await?;
                views::of_deliveries(tx, rows).await
            })
        })
        .await
    }

    /// Cancels a delivery that waits; its run goes on with the next step. Cancelling a cancelled
    /// one changes nothing.
    pub async fn cancel_delivery(&self, scope: Scope, id: &str) -> EngineResult<DeliveryView> {
        let id = id.to_owned();
        let view = self
            .write(scope, move |tx, now| {
                let id = id.clone();
                Box::pin(async move {
                    let delivery = locked(tx, &id).await?;
                    match delivery.state {
                        DeliveryState::Scheduled => {
                            let reason = "an operator cancelled it".to_owned();
                            let cancelled = over(delivery, DeliveryState::Cancelled, reason, now);
                            decide(tx, &cancelled, "delivery_settled", "cancelled", now).await?;
                            tx.wake_runs(&[cancelled.run], now).await?;
                        }
                        DeliveryState::Cancelled => {}
                        state => {
                            return Err(refused(
                                Precondition::DeliveryNotCancellable,
                                state,
                                "it does not wait",
                            ));
                        }
                    }
                    view(tx, &id).await
                })
            })
            .await?;
        self.ring();
        Ok(view)
    }

    /// Decides what a delivery is whose outcome nobody knows; `note` says why, for the record.
    pub async fn resolve_delivery(
        &self,
        scope: Scope,
        id: &str,
        resolution: Resolution,
        note: &str,
    ) -> EngineResult<DeliveryView> {
        if note.len() > MOST_NOTE {
            return Err(EngineError::field("note", "longer than 1024 bytes"));
        }
        if note.contains('\0') {
            return Err(EngineError::field("note", "contains NUL"));
        }
        let (id, note) = (id.to_owned(), note.to_owned());
        let view = self
            .write(scope, move |tx, now| {
                let (id, note) = (id.clone(), note.clone());
                Box::pin(async move {
                    let delivery = locked(tx, &id).await?;
                    if delivery.state != DeliveryState::Unknown {
                        let message = "its outcome is known";
                        return Err(refused(Precondition::DeliveryNotUnknown, delivery.state, message));
                    }
                    let resolved = match resolution {
                        Resolution::Delivered => over(delivery, DeliveryState::Delivered, note.clone(), now),
                        Resolution::Resend => again(tx, delivery, now).await?,
                    };
                    let word = format!("{resolution:?}: {note}");
                    decide(tx, &resolved, "resolved", word.trim_end_matches([':', ' ']), now).await?;
                    view(tx, &id).await
                })
            })
            .await?;
        self.ring();
        Ok(view)
    }
}

/// The delivery, to be sent at once; refused when its run was ended meanwhile.
async fn again(tx: &mut dyn Tx, delivery: DeliveryRow, now: Timestamp) -> EngineResult<DeliveryRow> {
    let run = tx.run(delivery.run).await?;
    let goes_on = run.is_none_or(|run| matches!(run.state, RunState::Running | RunState::Completed));
    if delivery.overtaken || !goes_on {
        let message = "its run was ended meanwhile: it is not to be sent again";
        return Err(refused(Precondition::DeliveryNotUnknown, delivery.state, message));
    }
    Ok(scheduled_again(delivery, "an operator wants it sent again", now))
}

/// The delivery, to be sent at once: the same bytes under the same id.
pub(crate) fn scheduled_again(delivery: DeliveryRow, reason: &str, now: Timestamp) -> DeliveryRow {
    let expires_at = delivery.expires_at.max(now.plus(WORTH_RESENDING));
    DeliveryRow {
        state: DeliveryState::Scheduled,
        reason: reason.into(),
        next_at: Some(now),
        expires_at,
        ended_at: None,
        ..delivery
    }
}

/// Writes what an operator decided, and a line about it.
async fn decide(
    tx: &mut dyn Tx,
    delivery: &DeliveryRow,
    kind: &str,
    detail: &str,
    now: Timestamp,
) -> EngineResult<()> {
    tx.decide_delivery(delivery).await?;
    let event = RunEvent {
        run: delivery.run,
        at: now,
        kind: kind.into(),
        step: delivery.step.clone(),
        detail: format!("{}: {detail}", delivery.id),
    };
    Ok(tx.log_run(&[event]).await?)
}

/// A delivery, the subjects it concerns locked: nobody begins to send it meanwhile.
async fn locked(tx: &mut dyn Tx, id: &str) -> EngineResult<DeliveryRow> {
    let seen = existing(tx, id).await?;
    lock_subjects(tx, [seen.conversation, seen.customer].into_iter().flatten()).await?;
    existing(tx, id).await
}

async fn existing(tx: &mut dyn Tx, id: &str) -> EngineResult<DeliveryRow> {
    tx.delivery(id).await?.ok_or_else(|| EngineError::not_found(ResourceKind::Delivery, id))
}

async fn view(tx: &mut dyn Tx, id: &str) -> EngineResult<DeliveryView> {
    let row = existing(tx, id).await?;
    // One row gives one view.
    Ok(views::of_deliveries(tx, vec![row]).await?.remove(0))
}

fn refused(reason: Precondition, state: DeliveryState, message: &str) -> EngineError {
    let state = format!("{state:?}").to_uppercase();
    EngineError::Precondition {
        reason,
        message: message.into(),
        metadata: vec![("currentState".into(), state)],
    }
}
