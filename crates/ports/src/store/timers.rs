//! Timers: which journeys to look at, and when.

use async_trait::async_trait;
use rekindle_core::Timestamp;

use crate::error::StoreResult;
use crate::rows::{Claimed, Lease, TimerAside, TimerDone, TimerKey};

/// The detector's queue.
#[async_trait]
pub trait Timers {
    /// Claims up to `limit` due timers of a bucket, whatever their workspace, that nobody claimed
    /// before without giving them back.
    async fn claim_timers(
        &mut self,
        bucket: i16,
        now: Timestamp,
        lease: &Lease,
        limit: u32,
    ) -> StoreResult<Vec<Claimed<TimerKey>>>;

    /// Claims one due timer of a bucket whose claim ran out, and counts that.
    async fn claim_lost_timer(
        &mut self,
        bucket: i16,
        now: Timestamp,
        lease: &Lease,
    ) -> StoreResult<Option<Claimed<TimerKey>>>;

    /// Those of the claims, all of this unit's workspace, that still hold; their rows locked.
    async fn hold_timers(&mut self, claims: &[Claimed<TimerKey>]) -> StoreResult<Vec<TimerKey>>;

    /// Sets claimed timers anew, or puts them off for good; a claim that was lost changes nothing.
    /// The subjects must be locked and the decision be made under that lock: what is written
    /// here replaces whatever ingest set meanwhile. Returns how many were written.
    async fn finish_timers(&mut self, done: &[TimerDone]) -> StoreResult<u64>;

    /// Sets a claimed timer aside until it is set anew; whether the claim still held.
    async fn set_timer_aside(
        &mut self,
        claim: &Claimed<TimerKey>,
        reason: &str,
        now: Timestamp,
    ) -> StoreResult<bool>;

    /// Timers of the workspace that are set aside, newest first.
    async fn timers_aside(&mut self, limit: u32) -> StoreResult<Vec<TimerAside>>;
}
