//! The runner: takes runs from step to step.

use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::ledger::RunKey;
use rekindle_ports::rows::Claimed;
use rekindle_ports::store::Queue;

use super::poison::{MOST_FAILURES, MOST_VANISHED, VANISHED, causes, is_its_fault};
use super::together::{Worked, together};
use super::walk::{Walked, advance};
use super::{BATCH, Loops, by_scope};
use crate::error::{EngineError, EngineResult};
use crate::failpoint::Unit;
use crate::runs::ending;

/// Runs that were taken further, and those of busy subjects.
type Stepped = Worked<Claimed<RunKey>, ()>;

impl Loops {
    /// Claims due runs of a bucket and takes each a step further.
    pub(super) async fn advance(&self, bucket: i16, now: Timestamp) -> EngineResult<usize> {
        let (lease, scope) = (self.lease(), Self::bucket_scope(bucket));
        let claim = || -> BoxFuture<'_, _> { Box::pin(self.claim_runs(bucket, now)) };
        let claims = self.batches(claim).await?.into_iter();
        let worked = join_all(claims.map(|claims| self.take_on(claims))).await;
        let mut claimed = worked.into_iter().sum::<EngineResult<usize>>()?;
        if !self.lost_runs.is_due(claimed) {
            return Ok(claimed);
        }
        for _ in 0..BATCH {
            if self.stop.claims.is_cancelled() {
                break;
            }
            let lost = self
                .inner
                .write_unit(Unit::ClaimRuns, scope, &|tx, _| {
                    let lease = lease.clone();
                    Box::pin(async move { Ok(tx.claim_lost_run(bucket, now, &lease).await?) })
                })
                .await?;
            let Some(claim) = lost else {
                break;
            };
            claimed += 1;
            self.step_alone(claim).await?;
        }
        Ok(claimed)
    }

    async fn claim_runs(&self, bucket: i16, now: Timestamp) -> EngineResult<Vec<Claimed<RunKey>>> {
        self.inner
            .write_unit(Unit::ClaimRuns, Self::bucket_scope(bucket), &|tx, _| {
                let lease = self.lease().clone();
                Box::pin(async move { Ok(tx.claim_runs(bucket, now, &lease, BATCH).await?) })
            })
            .await
    }

    /// Takes claimed runs a step further; how many that were. What could not be worked on is given back.
    async fn take_on(&self, claims: Vec<Claimed<RunKey>>) -> EngineResult<usize> {
        let (mut taken, mut failed) = (0, None);
        for (scope, claims) in by_scope(claims, |claim| claim.key.scope) {
            if self.stop.claims.is_cancelled() {
                self.give_back_runs(scope, claims).await?;
                continue;
            }
            let work = |claims| -> BoxFuture<'_, _> { Box::pin(self.steps(scope, claims)) };
            match together(claims.clone(), work, complain).await {
                Ok(Worked { busy, .. }) => {
                    taken += claims.len() - busy.len();
                    self.give_back_runs(scope, busy).await?;
                }
                Err(error) => {
                    self.give_back_runs(scope, claims).await?;
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(taken), Err)
    }

    async fn steps(&self, scope: Scope, claims: Vec<Claimed<RunKey>>) -> EngineResult<Stepped> {
        let (inner, deliver) = (&self.inner, &self.deliver);
        let Walked { sends, busy } = inner
            .write_unit(Unit::Step, scope, &|tx, now| {
                advance(tx, Arc::clone(inner), Arc::clone(deliver), claims.clone(), now)
            })
            .await?;
        if sends {
            self.inner.bells.ring(Queue::Deliveries);
        }
        Ok(Worked { done: Vec::new(), busy })
    }

    /// Takes a run further whose claim was lost before; ends it when that fails again and again.
    async fn step_alone(&self, claim: Claimed<RunKey>) -> EngineResult<()> {
        if claim.crashes > MOST_VANISHED {
            return self.fail(claim, VANISHED.to_owned()).await;
        }
        match self.steps(claim.key.scope, vec![claim.clone()]).await {
            Ok(_) => Ok(()),
            Err(error) if is_its_fault(&error) => {
                complain(&claim, &error);
                if claim.crashes < MOST_FAILURES {
                    return Ok(());
                }
                self.fail(claim, causes(&error)).await
            }
            Err(error) => {
                // Not to blame, and not to be counted: where that cannot be written either, it is.
                let given_back = self.give_back_runs(claim.key.scope, vec![claim]).await;
                given_back.and(Err(error))
            }
        }
    }

    async fn fail(&self, claim: Claimed<RunKey>, reason: String) -> EngineResult<()> {
        tracing::error!(run = %claim.key.id, reason, "a run is given up");
        self.inner
            .write(claim.key.scope, &|tx, now| {
                let (claim, reason) = (claim.clone(), reason.clone());
                Box::pin(async move {
                    if tx.holds_run(&claim).await? {
                        ending::fail(tx, claim.key.id, &reason, now).await?;
                    }
                    Ok(())
                })
            })
            .await
    }
}

fn complain(claim: &Claimed<RunKey>, error: &EngineError) {
    tracing::error!(run = %claim.key.id, error = causes(error), "a run could not go on");
}
