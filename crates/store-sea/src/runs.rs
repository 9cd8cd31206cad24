//! Runs in SQL.

use std::collections::HashMap;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::sequence::Progress;
use rekindle_ports::ledger::{EndReason, LedgerFilter, RunCrowd, RunEvent, RunKey, RunRow, RunState};
use rekindle_ports::rows::{Claimed, Lease, NameKind};
use rekindle_ports::store::Runs;
use rekindle_ports::{StoreError, StoreResult};
use sea_orm::{DatabaseBackend, QueryResult};
use uuid::Uuid;

use crate::codes::{Code, coded, coded_option};
use crate::listing::{Conditions, in_states};
use crate::marks::{origin, origin_cells};
use crate::probe::{Others, Probe};
use crate::sql::{Cell, Columns, Kind, Source};
use crate::store::{SeaTx, get, get_json, json};
use crate::subjects::{instant, keys};

mod changes;
mod claims;
mod crowds;
mod ends;
mod log;

const T: &str = "runs";

const RUN: &Columns = &[
    ("funnel", Kind::Text),
    ("subject", Kind::Uuid),
    ("stage", Kind::Text),
    ("kind", Kind::Int),
    ("anchor_event", Kind::Text),
    ("id", Kind::Uuid),
    ("sequence", Kind::Text),
    ("sequence_revision", Kind::Int),
    ("conversation", Kind::Uuid),
    ("customer", Kind::Uuid),
    ("since", Kind::Int),
    ("due_at", Kind::Int),
    ("noticed_at", Kind::Int),
    ("state", Kind::Int),
    ("end_reason", Kind::Int),
    ("step", Kind::Int),
    ("next_at", Kind::Int),
    ("created_at", Kind::Int),
    ("ended_at", Kind::Int),
    ("arm", Kind::Int),
    ("owed_by", Kind::Int),
    ("progress", Kind::Given),
];

const ID: &Columns = &[("id", Kind::Uuid)];

#[async_trait]
impl Runs for SeaTx {
    async fn insert_runs(&mut self, runs: &[RunRow]) -> StoreResult<Vec<Uuid>> {
        let rows: Vec<Vec<Cell>> = runs.iter().map(run_cells).collect();
        let tail = "ON CONFLICT (bucket, workspace, sequence, funnel, subject, stage, kind, anchor_event) \
                    DO NOTHING RETURNING id";
        let rows = self.insert_returning(T, RUN, &rows, tail).await?;
        rows.iter().map(|row| get(row, T, "id")).collect()
    }

    async fn open_runs(&mut self, subjects: &[Uuid]) -> StoreResult<Vec<RunRow>> {
        self.open_runs_by("subject", subjects).await
    }

    async fn open_runs_of_customers(&mut self, customers: &[Uuid]) -> StoreResult<Vec<RunRow>> {
        self.open_runs_by("customer", customers).await
    }

    async fn last_runs(
        &mut self,
        sequence: &str,
        kind: NameKind,
        subjects: &[Uuid],
    ) -> StoreResult<HashMap<Uuid, Timestamp>> {
        if subjects.is_empty() {
            return Ok(HashMap::new());
        }
        let column = match kind {
            NameKind::Conversation => "conversation",
            NameKind::Customer => "customer",
        };
        let Source { select, mut values } = self.source(&[(column, Kind::Uuid)], &keys(subjects), 1);
        values.push(sequence.to_owned().into());
        let and = format!(
            "AND {column} IS NOT NULL AND sequence = {} AND state <> {}",
            self.bind(values.len()),
            RunState::Skipped.code()
        );
        let columns = format!("{column} AS subject, created_at");
        let began = Probe { columns: &columns, table: T, by: &[column], and: &and };
        let sql = format!(
            "SELECT subject, MAX(created_at) AS at FROM ({}) AS r GROUP BY subject",
            self.probe(&began, &select)
        );
        let rows = self.all(&sql, values).await?;
        rows.iter().map(|row| Ok((get(row, T, "subject")?, Timestamp(get(row, T, "at")?)))).collect()
    }

    async fn run(&mut self, id: Uuid) -> StoreResult<Option<RunRow>> {
        let sql = format!("SELECT * FROM runs WHERE {} AND id = {}", self.here(), self.bind(1));
        self.one(&sql, vec![id.into()]).await?.as_ref().map(run).transpose()
    }

    async fn runs(&mut self, filter: &LedgerFilter, limit: u32) -> StoreResult<Vec<RunRow>> {
        let (sql, values) = self.run_conditions(filter)?.newest("*", T, limit);
        self.all(&sql, values).await?.iter().map(run).collect()
    }

    async fn count_runs(&mut self, sequence: &str) -> StoreResult<i64> {
        let sql = format!(
            "SELECT COUNT(*) AS open FROM runs WHERE {} AND sequence = {} AND state = {}",
            self.here(),
            self.bind(1),
            RunState::Running.code()
        );
        let row = self.one(&sql, vec![sequence.into()]).await?;
        row.map_or(Ok(0), |row| get(&row, T, "open"))
    }

    async fn run_crowds(&mut self, sequence: &str) -> StoreResult<Vec<RunCrowd>> {
        crowds::count(self, sequence).await
    }

    async fn end_runs(&mut self, runs: &[(Uuid, EndReason)], now: Timestamp) -> StoreResult<()> {
        ends::end(self, runs, now).await
    }

    async fn reopen_runs(&mut self, runs: &[Uuid], now: Timestamp) -> StoreResult<Vec<Uuid>> {
        changes::reopen(self, runs, now).await
    }

    async fn claim_runs(
        &mut self,
        bucket: i16,
        now: Timestamp,
        lease: &Lease,
        limit: u32,
    ) -> StoreResult<Vec<Claimed<RunKey>>> {
        claims::claim(self, bucket, now, lease, limit).await
    }

    async fn claim_lost_run(
        &mut self,
        bucket: i16,
        now: Timestamp,
        lease: &Lease,
    ) -> StoreResult<Option<Claimed<RunKey>>> {
        claims::claim_lost(self, bucket, now, lease).await
    }

    async fn holds_run(&mut self, claim: &Claimed<RunKey>) -> StoreResult<bool> {
        claims::holds(self, claim).await
    }

    async fn runs_by_id(&mut self, ids: &[Uuid]) -> StoreResult<Vec<RunRow>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let Source { select, values } = self.source(ID, &keys(ids), 1);
        let runs = Probe { columns: "*", table: T, by: &["id"], and: "" };
        self.all(&self.probe(&runs, &select), values).await?.iter().map(run).collect()
    }

    async fn hold_runs(&mut self, claims: &[Claimed<RunKey>]) -> StoreResult<Vec<RunRow>> {
        claims::hold(self, claims).await
    }

    async fn release_runs(&mut self, held: &[(Claimed<RunKey>, RunRow)]) -> StoreResult<Vec<Uuid>> {
        claims::release(self, held).await
    }

    async fn pause_runs(&mut self, runs: &[Uuid], now: Timestamp) -> StoreResult<Vec<Uuid>> {
        changes::pause(self, runs, now).await
    }

    async fn resume_runs(&mut self, runs: &[(Uuid, Timestamp)]) -> StoreResult<Vec<Uuid>> {
        changes::resume(self, runs).await
    }

    async fn wake_runs(&mut self, runs: &[Uuid], now: Timestamp) -> StoreResult<()> {
        changes::wake(self, runs, now).await
    }

    async fn tell_runs(&mut self, runs: &[(Uuid, Progress)], now: Timestamp) -> StoreResult<()> {
        changes::tell(self, runs, now).await
    }

    async fn move_runs(&mut self, runs: &[RunRow]) -> StoreResult<()> {
        changes::move_to_revision(self, runs).await
    }

    async fn log_run(&mut self, events: &[RunEvent]) -> StoreResult<()> {
        log::append(self, events).await
    }

    async fn run_log(&mut self, run: Uuid) -> StoreResult<Vec<RunEvent>> {
        log::read(self, run).await
    }
}

/// Values of a statement, and an instant after them: bound rather than written out, so that the
/// statement is prepared once.
pub(crate) fn with(values: &[sea_orm::Value], now: Timestamp) -> Vec<sea_orm::Value> {
    values.iter().cloned().chain([now.0.into()]).collect()
}

impl SeaTx {
    async fn open_runs_by(&self, column: &'static str, wanted: &[Uuid]) -> StoreResult<Vec<RunRow>> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let Source { select, values } = self.source(&[(column, Kind::Uuid)], &keys(wanted), 1);
        // As the indexes of both columns say it.
        let running = format!("AND {column} IS NOT NULL AND state = {}", RunState::Running.code());
        let open = Probe { columns: "*", table: T, by: &[column], and: &running };
        self.all(&format!("{} ORDER BY id", self.probe(&open, &select)), values)
            .await?
            .iter()
            .map(run)
            .collect()
    }

    fn run_conditions(&self, filter: &LedgerFilter) -> StoreResult<Conditions> {
        let mut conditions = Conditions::new(self.backend, self.here());
        conditions.equal("sequence", filter.sequence.clone());
        conditions.equal("id", filter.run);
        conditions.equal("conversation", filter.conversation);
        conditions.equal("customer", filter.customer);
        if let Some(states) = in_states(&filter.run_states) {
            conditions.add(states);
        }
        if let Some(states) = in_states(&filter.delivery_states) {
            conditions.add(format!("id IN (SELECT run FROM deliveries WHERE {} AND {states})", self.here()));
        }
        if let Some((created_at, id)) = &filter.before {
            let id: Uuid = id.parse().map_err(|error| StoreError::Refused(Box::new(error)))?;
            conditions.before(*created_at, id);
        }
        Ok(conditions)
    }

    /// Locks rows of `runs` (the ids of the batch) in the order of `by`, where the database has row locks.
    async fn lock_in_order(
        &self,
        table: &str,
        by: &str,
        state: &str,
        runs: &str,
        values: Vec<sea_orm::Value>,
    ) -> StoreResult<()> {
        if self.backend == DatabaseBackend::Postgres {
            let and = format!("AND {state} ORDER BY id");
            let rows = Probe { columns: "id", table, by: &[by], and: &and };
            let sql =
                self.probe_for_update(&rows, &format!("SELECT id AS {by} FROM ({runs}) AS c"), Others::Await);
            self.all(&sql, values).await?;
        }
        Ok(())
    }
}

fn run_cells(run: &RunRow) -> Vec<Cell> {
    let mut cells = origin_cells(&run.trigger);
    cells.extend::<Vec<Cell>>(vec![
        run.id.into(),
        run.sequence.clone().into(),
        run.sequence_revision.into(),
        run.conversation.into(),
        run.customer.into(),
        run.since.0.into(),
        run.due_at.0.into(),
        run.noticed_at.0.into(),
        run.state.code().into(),
        run.end_reason.map(|reason| i64::from(reason.code())).into(),
        run.step.into(),
        run.next_at.map(|at| at.0).into(),
        run.created_at.0.into(),
        run.ended_at.map(|at| at.0).into(),
        run.arm.code().into(),
        run.owed_by.code().into(),
        json(&run.progress).into(),
    ]);
    cells
}

fn run(row: &QueryResult) -> StoreResult<RunRow> {
    Ok(RunRow {
        id: get(row, T, "id")?,
        sequence: get(row, T, "sequence")?,
        sequence_revision: get(row, T, "sequence_revision")?,
        trigger: origin(row, T)?,
        conversation: get(row, T, "conversation")?,
        customer: get(row, T, "customer")?,
        since: Timestamp(get(row, T, "since")?),
        due_at: Timestamp(get(row, T, "due_at")?),
        noticed_at: Timestamp(get(row, T, "noticed_at")?),
        state: coded(row, T, "state")?,
        end_reason: coded_option(row, T, "end_reason")?,
        step: get(row, T, "step")?,
        next_at: instant(row, T, "next_at")?,
        paused_at: instant(row, T, "paused_at")?,
        created_at: Timestamp(get(row, T, "created_at")?),
        ended_at: instant(row, T, "ended_at")?,
        arm: coded(row, T, "arm")?,
        owed_by: coded(row, T, "owed_by")?,
        progress: get_json(row, T, "progress")?,
    })
}
