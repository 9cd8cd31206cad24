//! The detector's queue in SQL.

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::StoreResult;
use rekindle_ports::rows::{Claimed, Lease, TimerAside, TimerDone, TimerKey};
use rekindle_ports::store::Timers;
use sea_orm::QueryResult;

use crate::leases::{self, Take};
use crate::probe::{Others, Probe};
use crate::sql::{Cell, Columns, Kind, Source};
use crate::store::{SeaTx, get};

const CLAIM: &Columns =
    &[("funnel", Kind::Given), ("subject", Kind::Uuid), ("epoch", Kind::Int), ("next_at", Kind::Int)];

#[async_trait]
impl Timers for SeaTx {
    async fn claim_timers(
        &mut self,
        bucket: i16,
        now: Timestamp,
        lease: &Lease,
        limit: u32,
    ) -> StoreResult<Vec<Claimed<TimerKey>>> {
        let rows = self.claim(&leases::TIMERS, Take::Free, bucket, now, lease, limit).await?;
        rows.iter().map(|row| claimed(row, bucket)).collect()
    }

    async fn claim_lost_timer(
        &mut self,
        bucket: i16,
        now: Timestamp,
        lease: &Lease,
    ) -> StoreResult<Option<Claimed<TimerKey>>> {
        let rows = self.claim(&leases::TIMERS, Take::Lost, bucket, now, lease, 1).await?;
        let lost = |row| Ok(Claimed { crashes: get(row, T, "crash_count")?, ..claimed(row, bucket)? });
        rows.first().map(lost).transpose()
    }

    async fn hold_timers(&mut self, claims: &[Claimed<TimerKey>]) -> StoreResult<Vec<TimerKey>> {
        let rows: Vec<Vec<Cell>> = claims.iter().map(|claim| cells(claim, None)).collect();
        let Source { select, values } = self.source(CLAIM, &rows, 1);
        let held = Probe {
            columns: "workspace, funnel, subject, epoch",
            table: "timers",
            by: &["funnel", "subject", "epoch"],
            and: "",
        };
        let sql = self.probe_for_update(
            &held,
            &format!("SELECT funnel, subject, epoch FROM ({select}) AS c"),
            Others::Await,
        );
        let bucket = rekindle_ports::Tx::scope(self).bucket;
        let rows = self.all(&sql, values).await?;
        rows.iter().map(|row| claimed(row, bucket).map(|claim| claim.key)).collect()
    }

    async fn finish_timers(&mut self, done: &[TimerDone]) -> StoreResult<u64> {
        if done.is_empty() {
            return Ok(0);
        }
        // A timer that is over keeps its row: an epoch that began again would let an old
        // claim pass for a new one.
        let rows: Vec<Vec<Cell>> =
            done.iter().map(|done| cells(&done.claim, Some(done.next.unwrap_or(NEVER)))).collect();
        let Source { select, values } = self.source(CLAIM, &rows, 1);
        let sql = format!(
            "UPDATE timers SET due_at = v.next_at, {GIVEN_BACK}, crash_count = 0, aside_at = NULL, aside_reason = NULL \
             FROM ({}) AS v WHERE {}",
            self.batch(&select),
            self.is_of_batch("timers", &["funnel", "subject", "epoch"])
        );
        self.run(&sql, values).await
    }

    async fn set_timer_aside(
        &mut self,
        claim: &Claimed<TimerKey>,
        reason: &str,
        now: Timestamp,
    ) -> StoreResult<bool> {
        // Whoever sets it anew has it tried as if nothing had been.
        let sql = format!(
            "UPDATE timers SET due_at = {}, {GIVEN_BACK}, crash_count = 0, aside_at = {}, aside_reason = {} \
             WHERE {} AND funnel = {} AND subject = {} AND epoch = {}",
            NEVER.0,
            now.0,
            self.bind(1),
            self.here(),
            self.bind(2),
            self.bind(3),
            claim.epoch
        );
        let values = vec![reason.into(), claim.key.funnel.clone().into(), claim.key.subject.into()];
        Ok(self.run(&sql, values).await? == 1)
    }

    async fn timers_aside(&mut self, limit: u32) -> StoreResult<Vec<TimerAside>> {
        let scope = rekindle_ports::Tx::scope(self);
        let sql = format!(
            "SELECT funnel, subject, aside_at, aside_reason FROM timers WHERE {} AND aside_at IS NOT NULL \
             ORDER BY aside_at DESC, funnel, subject LIMIT {limit}",
            self.here()
        );
        let rows = self.all(&sql, Vec::new()).await?;
        rows.iter()
            .map(|row| {
                let key =
                    TimerKey { scope, funnel: get(row, T, "funnel")?, subject: get(row, T, "subject")? };
                let at = Timestamp(get(row, T, "aside_at")?);
                Ok(TimerAside { key, at, reason: get(row, T, "aside_reason")? })
            })
            .collect()
    }
}

const T: &str = "timers";

/// What ends a claim.
const GIVEN_BACK: &str = "epoch = timers.epoch + 1, lease_owner = NULL, lease_until = NULL";

/// When a timer that is over is due.
const NEVER: Timestamp = Timestamp(i64::MAX - 1);

fn cells(claim: &Claimed<TimerKey>, next: Option<Timestamp>) -> Vec<Cell> {
    vec![
        claim.key.funnel.clone().into(),
        claim.key.subject.into(),
        claim.epoch.into(),
        next.map(|at| at.0).into(),
    ]
}

fn claimed(row: &QueryResult, bucket: i16) -> StoreResult<Claimed<TimerKey>> {
    let scope = Scope { bucket, workspace: get(row, T, "workspace")? };
    Ok(Claimed {
        key: TimerKey { scope, funnel: get(row, T, "funnel")?, subject: get(row, T, "subject")? },
        epoch: get(row, T, "epoch")?,
        crashes: 0,
    })
}
