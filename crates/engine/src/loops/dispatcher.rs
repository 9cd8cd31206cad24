//! The dispatcher: sends what is due, and has recorded what came of it.

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::ledger::DeliveryKey;
use rekindle_ports::rows::Claimed;
use rekindle_ports::store::Queue;
use tokio::sync::OwnedSemaphorePermit;

use super::begin::{Started, begin};
use super::emit::emit;
use super::poison::causes;
use super::recorder::Ending;
use super::together::{Worked, together};
use super::{Loops, by_scope};
use crate::error::{EngineError, EngineResult};
use crate::failpoint::{Failpoint, Unit};

const STOPPED: &str = "stopped";

impl Loops {
    /// Claims as many due deliveries of a bucket as there are permits, and sends each in a task.
    pub(super) async fn dispatch(&self, bucket: i16, now: Timestamp) -> EngineResult<usize> {
        let mut permits = Vec::new();
        while let Ok(permit) = Arc::clone(&self.sends).try_acquire_owned() {
            permits.push(permit);
        }
        if permits.is_empty() {
            return Ok(0);
        }
        let (lease, limit) = (self.lease().clone(), permits.len() as u32);
        let claims = self
            .inner
            .write_unit(Unit::ClaimDeliveries, Self::bucket_scope(bucket), &|tx, _| {
                let lease = lease.clone();
                Box::pin(async move { Ok(tx.claim_deliveries(bucket, now, &lease, limit).await?) })
            })
            .await?;
        let mut claimed = claims.len();
        for (scope, claims) in by_scope(claims, |claim| claim.key.scope) {
            if self.stop.claims.is_cancelled() {
                self.give_back_deliveries(scope, claims).await?;
                continue;
            }
            let asked = Instant::now();
            let work = |claims| -> BoxFuture<'_, _> { Box::pin(self.begin(scope, claims)) };
            let Worked { done, busy } =
                together(claims, work, |claim, error| complain(&claim.key, error)).await?;
            claimed -= busy.len();
            self.give_back_deliveries(scope, busy).await?;
            for started in done {
                // As many are started as were claimed, and no more were claimed than there are permits.
                let Some(permit) = permits.pop() else { break };
                self.inner.tracker.spawn(self.clone().deliver(started, asked, permit));
            }
        }
        Ok(claimed)
    }

    /// Writes *attempt started* of what is still wanted.
    async fn begin(
        &self,
        scope: Scope,
        claims: Vec<Claimed<DeliveryKey>>,
    ) -> EngineResult<Worked<Claimed<DeliveryKey>, Started>> {
        let begun = self
            .inner
            .write_unit(Unit::StartAttempt, scope, &|tx, now| {
                let (inner, deliver) = (Arc::clone(&self.inner), Arc::clone(&self.deliver));
                begin(tx, inner, deliver, self.lease().clone(), claims.clone(), now)
            })
            .await?;
        if begun.wakes {
            self.inner.bells.ring(Queue::Runs);
        }
        Ok(Worked { done: begun.started, busy: begun.busy })
    }

    async fn deliver(self, started: Started, asked: Instant, permit: OwnedSemaphorePermit) {
        let key = started.claim.key.clone();
        if let Err(error) = self.try_deliver(started, asked).await {
            complain(&key, &error);
        }
        drop(permit);
        self.inner.bells.ring(Queue::Deliveries);
        self.inner.bells.ring(Queue::Runs);
    }

    /// Sends a delivery whose attempt was begun after `asked`, and records what came of it.
    async fn try_deliver(&self, started: Started, asked: Instant) -> EngineResult<()> {
        let claim = started.claim.clone();
        let now = self.inner.clock.now().await;
        // Nothing may come between this and the send.
        if !self.may_send(&claim, asked).await? {
            tracing::info!(delivery = %claim.key.id, "the claim was lost before sending; nothing is sent");
            return Ok(());
        }
        let outcome = self.renewing(&claim, self.send(&started, now)).await;
        self.inner.reach(Some(Failpoint::Sent))?;
        self.renewing(&claim, self.recorder.record(&self.inner, Ending { started, outcome })).await
    }

    /// Sends; when the process has no more time nobody knows what became of it.
    async fn send(&self, started: &Started, now: Timestamp) -> SendOutcome {
        let Started { delivery, attempt, destination, .. } = started;
        tracing::debug!(delivery = %delivery.id, attempt = attempt.number, "sending");
        let Some(destination) = destination else {
            return emit(&self.inner, started, now).await;
        };
        tokio::select! {
            outcome = self.deliver.send(delivery, destination, now) => outcome,
            () = self.stop.sends.cancelled() => SendOutcome::Unknown {
                phase: STOPPED.into(),
                detail: "the process stopped before the receiver had answered".into(),
            },
        }
    }
}

/// The claim runs out by itself, and whoever takes it next sees what is recorded.
fn complain(key: &DeliveryKey, error: &EngineError) {
    tracing::warn!(delivery = %key.id, error = causes(error), "a delivery could not be worked on");
}
