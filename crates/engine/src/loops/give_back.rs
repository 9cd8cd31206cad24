//! What was claimed and is not to be worked on now: nobody need wait for its lease.

use std::collections::HashMap;

use rekindle_core::scope::Scope;
use rekindle_ports::ledger::{DeliveryKey, RunKey};
use rekindle_ports::rows::{Claimed, TimerDone, TimerKey};
use uuid::Uuid;

use super::Loops;
use crate::error::EngineResult;

impl Loops {
    /// Gives timers back, to be looked at in the next turn.
    pub(super) async fn give_back_timers(
        &self,
        scope: Scope,
        claims: Vec<Claimed<TimerKey>>,
    ) -> EngineResult<()> {
        if claims.is_empty() {
            return Ok(());
        }
        self.inner
            .write(scope, &|tx, now| {
                let claims = claims.iter().cloned();
                let done: Vec<TimerDone> = claims.map(|claim| TimerDone { claim, next: Some(now) }).collect();
                Box::pin(async move {
                    tx.finish_timers(&done).await?;
                    Ok(())
                })
            })
            .await
    }

    /// Gives runs back as they are; those that were lost meanwhile are left alone.
    pub(super) async fn give_back_runs(
        &self,
        scope: Scope,
        claims: Vec<Claimed<RunKey>>,
    ) -> EngineResult<()> {
        if claims.is_empty() {
            return Ok(());
        }
        self.inner
            .write(scope, &|tx, _| {
                let claims = claims.clone();
                Box::pin(async move {
                    let held = tx.hold_runs(&claims).await?;
                    let claims: HashMap<Uuid, Claimed<RunKey>> =
                        claims.into_iter().map(|claim| (claim.key.id, claim)).collect();
                    let held: Vec<_> = held.into_iter().map(|run| (claims[&run.id].clone(), run)).collect();
                    tx.release_runs(&held).await?;
                    Ok(())
                })
            })
            .await
    }

    /// Gives deliveries back as they are, unless they were lost meanwhile.
    pub(super) async fn give_back_deliveries(
        &self,
        scope: Scope,
        claims: Vec<Claimed<DeliveryKey>>,
    ) -> EngineResult<()> {
        if claims.is_empty() {
            return Ok(());
        }
        self.inner
            .write(scope, &|tx, _| {
                let claims = claims.clone();
                Box::pin(async move {
                    let held = tx.hold_deliveries(&claims).await?;
                    let claims: HashMap<String, Claimed<DeliveryKey>> =
                        claims.into_iter().map(|claim| (claim.key.id.clone(), claim)).collect();
                    let held: Vec<_> = held.into_iter().map(|it| (claims[&it.id].clone(), it)).collect();
                    tx.save_deliveries(&held, true).await?;
                    Ok(())
                })
            })
            .await
    }
}
