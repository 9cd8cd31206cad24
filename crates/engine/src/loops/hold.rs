//! Holding a claim while work is done in the outside world.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rekindle_ports::ledger::DeliveryKey;
use rekindle_ports::rows::Claimed;

use super::Loops;
use crate::error::{EngineError, EngineResult};
use crate::failpoint::Unit;

/// Renewals before a send that may come too late; a database that slow is left alone.
const TRIES: usize = 5;

impl Loops {
    /// How often a claim is renewed: a renewal may fail, and the next still comes in time.
    fn third(&self) -> Duration {
        Duration::from_micros((self.options.lease.ttl / 3).max(1) as u64)
    }

    /// Whether a send may begin under a claim whose lease was begun by the database after `asked`.
    ///
    /// A send may well last longer than a lease, for it is renewed beside it; but it must not
    /// begin when the lease may end before the first of those renewals. A process that was
    /// stopped in between, or waited long for its commit, renews first, and so learns whether
    /// somebody else sends by now.
    pub(super) async fn may_send(
        &self,
        claim: &Claimed<DeliveryKey>,
        mut asked: Instant,
    ) -> EngineResult<bool> {
        for _ in 0..TRIES {
            // Two thirds are left: the time to the first renewal, and as much again.
            if asked.elapsed() <= self.third() {
                return Ok(true);
            }
            asked = Instant::now();
            if !self.renew(claim).await? {
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Does work in the outside world while renewing the claim beside it. A claim that is lost
    /// lets the work end, but nothing of it is recorded.
    pub(super) async fn renewing<T>(&self, claim: &Claimed<DeliveryKey>, work: impl Future<Output = T>) -> T {
        let renewals = async {
            loop {
                tokio::time::sleep(self.third()).await;
                match self.renew(claim).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        tracing::warn!(delivery = %claim.key.id, %error, "a claim could not be renewed");
                    }
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            done = work => done,
            () = renewals => unreachable!("whoever renews waits for the work to end"),
        }
    }

    /// Lets a claim hold for another lease; false when it is lost.
    async fn renew(&self, claim: &Claimed<DeliveryKey>) -> EngineResult<bool> {
        let (inner, lease, claim) = (Arc::clone(&self.inner), self.lease().clone(), claim.clone());
        // A task of its own: whoever waits for it may be dropped.
        let renewed = self.inner.tracker.spawn(async move {
            inner
                .write_unit(Unit::Renew, claim.key.scope, &|tx, _| {
                    let (claims, lease) = (vec![claim.clone()], lease.clone());
                    Box::pin(async move { Ok(!tx.renew_deliveries(&claims, &lease).await?.is_empty()) })
                })
                .await
        });
        renewed.await.unwrap_or(Err(EngineError::Stopping))
    }
}
