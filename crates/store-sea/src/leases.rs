//! Claims: rows that one worker holds at a time.
//!
//! What is due is a matter of business time, which callers hand in; how long a
//! claim holds is a matter of the database's clock ([`LeaseClock`]). A claim raises the row's epoch,
//! and so does whatever ends it: a write that names an older epoch changes nothing.

use rekindle_core::Timestamp;
use rekindle_core::scope::BUCKETS;
use rekindle_ports::StoreResult;
use rekindle_ports::rows::Lease;
use rekindle_ports::store::Queue;
use sea_orm::{DatabaseBackend, QueryResult};

use crate::sql::bind;
use crate::store::SeaTx;

mod clock;

pub(crate) use clock::LeaseClock;

/// Rows that workers claim.
pub(crate) struct Rows {
    table: &'static str,
    /// Primary key without the bucket.
    key: &'static str,
    /// Business time from which a row may be claimed.
    due: &'static str,
    /// What else must be so; word for word as in the claim index.
    ready: &'static str,
    /// Whether claims are leases; else whoever has the row locked has it.
    is_leased: bool,
}

/// Rows that a claim takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// Whatever is due and held by nobody.
    Any,
    /// Of those, rows whose last claim was given back.
    Free,
    /// Of those, rows whose last claim ran out; each such claim is counted.
    Lost,
}

impl Take {
    /// Who may hold a row that is taken.
    fn lease(self, clock: &str) -> String {
        match self {
            Self::Any => format!("(lease_until IS NULL OR lease_until <= {clock})"),
            Self::Free => "lease_until IS NULL".to_owned(),
            Self::Lost => format!("lease_until <= {clock}"),
        }
    }

    /// For how long a claim holds. That of a row that was lost before holds for 1, 2, 4, 8 and then
    /// 16 leases: should its worker die with it, the next tries later.
    fn lasts(self, lease: &Lease) -> String {
        match self {
            Self::Any | Self::Free => lease.ttl.to_string(),
            Self::Lost => format!(
                "CAST({} AS BIGINT) * (1 << CASE WHEN crash_count < 4 THEN crash_count ELSE 4 END)",
                lease.ttl
            ),
        }
    }
}

/// Journeys to look at.
pub(crate) const TIMERS: Rows = Rows {
    table: "timers",
    key: "workspace, funnel, subject",
    due: "due_at",
    ready: "TRUE",
    is_leased: true,
};

/// Sequences whose time has come.
const SCHEDULES: Rows =
    Rows { table: "schedules", key: "workspace, sequence", due: "look_at", ready: "TRUE", is_leased: false };

/// Runs that go on.
pub(crate) const RUNS: Rows =
    Rows { table: "runs", key: "workspace, id", due: "next_at", ready: "state = 1", is_leased: true };

/// Deliveries to attempt, and those whose sender may be gone.
pub(crate) const DELIVERIES: Rows =
    Rows { table: "deliveries", key: "workspace, id", due: "claim_at", ready: "TRUE", is_leased: true };

impl Rows {
    /// Those of a queue.
    const fn of(queue: Queue) -> Self {
        match queue {
            Queue::Timers => TIMERS,
            Queue::Schedules => SCHEDULES,
            Queue::Runs => RUNS,
            Queue::Deliveries => DELIVERIES,
        }
    }

    /// Due and to be taken; the first placeholder is business time.
    fn claimable(&self, take: Take, backend: DatabaseBackend, clock: &str) -> String {
        self.claimable_by(self.due, take, backend, clock)
    }

    /// The same for rows that were found already: the sign keeps the claim index, and with
    /// it a walk over all that is due, out of the plan.
    fn still_claimable(&self, take: Take, backend: DatabaseBackend, clock: &str) -> String {
        self.claimable_by(&format!("+{}", self.due), take, backend, clock)
    }

    fn claimable_by(&self, due: &str, take: Take, backend: DatabaseBackend, clock: &str) -> String {
        let free = if self.is_leased { take.lease(clock) } else { "TRUE".to_owned() };
        format!("{} AND {due} <= {} AND {free}", self.ready, bind(backend, 1))
    }
}

impl SeaTx {
    /// Claims rows of a bucket in one statement; yields their keys and new epochs, and of lost
    /// ones how often that was counted.
    ///
    /// The order is that of the claim index and no finer: rows that are due at one instant, a million of
    /// them perhaps, would be sorted anew for each claim.
    pub(crate) async fn claim(
        &self,
        rows: &Rows,
        take: Take,
        bucket: i16,
        now: Timestamp,
        lease: &Lease,
        limit: u32,
    ) -> StoreResult<Vec<QueryResult>> {
        let Rows { table, key, due, .. } = rows;
        let clock = self.lease_clock.now(self.backend);
        let claimable = rows.claimable(take, self.backend, &clock);
        let still = rows.still_claimable(take, self.backend, &clock);
        let ttl = take.lasts(lease);
        let (count, counted, order) = match take {
            // The least suspected first: when processes die for reasons of their own, again and
            // again, it is not the same row each time that they are found to have held.
            Take::Lost => ("crash_count = crash_count + 1, ", ", crash_count", "crash_count, "),
            Take::Any | Take::Free => ("", "", ""),
        };
        let (materialized, skip) = match self.backend {
            DatabaseBackend::Postgres => ("MATERIALIZED ", " FOR UPDATE SKIP LOCKED"),
            _ => ("", ""),
        };
        let sql = format!(
            "WITH picked AS {materialized}( \
               SELECT {key} FROM {table} WHERE bucket = {bucket} AND {claimable} \
               ORDER BY {order}{due} LIMIT {limit}{skip} \
             ) \
             UPDATE {table} SET {count}epoch = epoch + 1, lease_owner = {}, lease_until = {clock} + {ttl} \
             WHERE bucket = {bucket} AND ({key}) IN (SELECT {key} FROM picked) AND {still} \
             RETURNING {key}, epoch{counted}",
            self.bind(2)
        );
        self.all(&sql, vec![now.0.into(), lease.owner.clone().into()]).await
    }
}

/// Asks which buckets have something due; the first placeholder is business time.
///
/// It looks into the claim index once for each bucket, and so costs the same however
/// many rows are not due yet. The order says so to the planner: without it one that knows a single
/// bucket expects a row of any other at once, and reads the whole table for each that has none.
pub(crate) fn due_buckets(queue: Queue, backend: DatabaseBackend, clock: LeaseClock) -> String {
    let rows = Rows::of(queue);
    let buckets: Vec<String> = (0..BUCKETS).map(|bucket| format!("({bucket})")).collect();
    let claimable = rows.claimable(Take::Any, backend, &clock.now(backend));
    format!(
        "WITH buckets (bucket) AS (VALUES {}) \
         SELECT CAST(b.bucket AS SMALLINT) AS bucket FROM buckets b WHERE \
         (SELECT 1 FROM {} q WHERE q.bucket = b.bucket AND {claimable} ORDER BY {} LIMIT 1) IS NOT NULL",
        buckets.join(", "),
        rows.table,
        rows.due
    )
}

/// `state = v.state, …`: the right side of an UPDATE from a batch called `v`.
pub(crate) fn assign(columns: &[&str]) -> String {
    let sets: Vec<String> = columns.iter().map(|name| format!("{name} = v.{name}")).collect();
    sets.join(", ")
}

#[cfg(test)]
mod tests {
    use rekindle_ports::ledger::RunState;

    use super::*;
    use crate::codes::Code;

    #[test]
    fn the_claim_of_runs_names_the_running_state_as_the_claim_index_does() {
        assert_eq!(RUNS.ready, format!("state = {}", RunState::Running.code()));
    }
}
