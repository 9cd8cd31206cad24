//! Runs and their ledger lines in SQL.

use std::collections::HashMap;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_core::sequence::Progress;
use rekindle_ports::ledger::{DeliveryState, EndReason, LedgerFilter, RunEvent, RunKey, RunRow, RunState};
use rekindle_ports::rows::{Claimed, Lease, NameKind};
use rekindle_ports::store::Runs;
use rekindle_ports::{StoreError, StoreResult};
use sea_orm::{DatabaseBackend, QueryResult};
use uuid::Uuid;

use crate::codes::{Code, coded, coded_option};
use crate::leases::{self, Take, assign};
use crate::listing::{Conditions, in_states};
use crate::marks::{origin, origin_cells};
use crate::probe::{Others, Probe};
use crate::sql::{Cell, Columns, Kind, Source, for_update};
use crate::store::{SeaTx, get, get_json, json};
use crate::subjects::{instant, keys};

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

/// What a run's holder may change.
const CHANGING: &[&str] = &[
    "conversation",
    "customer",
    "sequence_revision",
    "state",
    "end_reason",
    "step",
    "next_at",
    "ended_at",
    "progress",
];

/// What moves with a run to another revision.
const MOVED: &Columns = &[
    ("id", Kind::Uuid),
    ("sequence_revision", Kind::Int),
    ("step", Kind::Int),
    ("next_at", Kind::Int),
    ("progress", Kind::Given),
];

const TOLD: &Columns = &[("id", Kind::Uuid), ("progress", Kind::Given)];

const ID: &Columns = &[("id", Kind::Uuid)];

const CLAIM: &Columns = &[("id", Kind::Uuid), ("epoch", Kind::Int)];

const END: &Columns =
    &[("id", Kind::Uuid), ("state", Kind::Int), ("end_reason", Kind::Int), ("words", Kind::Text)];

const EVENT: &Columns = &[
    ("run", Kind::Uuid),
    ("place", Kind::Int),
    ("at", Kind::Int),
    ("kind", Kind::Text),
    ("step", Kind::Text),
    ("detail", Kind::Text),
];

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

    async fn end_runs(&mut self, runs: &[(Uuid, EndReason)], now: Timestamp) -> StoreResult<()> {
        if runs.is_empty() {
            return Ok(());
        }
        let rows: Vec<Vec<Cell>> = runs.iter().map(|(id, reason)| end_cells(*id, *reason)).collect();
        let Source { select, values } = self.source(END, &rows, 1);
        let running = format!("state = {}", RunState::Running.code());
        self.lock_in_order(T, "id", &running, &select, values.clone()).await?;
        let sql = format!(
            "UPDATE runs SET {}, ended_at = {}, next_at = NULL, \
               epoch = runs.epoch + 1, lease_owner = NULL, lease_until = NULL \
             FROM ({}) AS v WHERE {} AND runs.{running}",
            assign(&["state", "end_reason"]),
            self.bind(values.len() + 1),
            self.batch(&select),
            self.is_of_batch(T, &["id"])
        );
        SeaTx::run(self, &sql, with(&values, now)).await?;
        self.end_deliveries(&select, values, now).await
    }

    async fn reopen_runs(&mut self, runs: &[Uuid], now: Timestamp) -> StoreResult<Vec<Uuid>> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let Source { select, values } = self.source(ID, &keys(runs), 1);
        // One that somebody holds stays held.
        let sql = format!(
            "UPDATE runs SET state = {}, end_reason = NULL, ended_at = NULL, \
               next_at = CASE WHEN runs.paused_at IS NULL THEN CAST({} AS BIGINT) ELSE NULL END, \
               epoch = runs.epoch + 1, lease_owner = NULL, lease_until = NULL, crash_count = 0 \
             FROM ({}) AS v WHERE {} AND runs.end_reason = {} RETURNING runs.id",
            RunState::Running.code(),
            self.bind(values.len() + 1),
            self.batch(&select),
            self.is_of_batch(T, &["id"]),
            EndReason::Failed.code()
        );
        self.all(&sql, with(&values, now)).await?.iter().map(|row| get(row, T, "id")).collect()
    }

    async fn claim_runs(
        &mut self,
        bucket: i16,
        now: Timestamp,
        lease: &Lease,
        limit: u32,
    ) -> StoreResult<Vec<Claimed<RunKey>>> {
        let rows = self.claim(&leases::RUNS, Take::Free, bucket, now, lease, limit).await?;
        rows.iter().map(|row| claimed(row, bucket)).collect()
    }

    async fn claim_lost_run(
        &mut self,
        bucket: i16,
        now: Timestamp,
        lease: &Lease,
    ) -> StoreResult<Option<Claimed<RunKey>>> {
        let rows = self.claim(&leases::RUNS, Take::Lost, bucket, now, lease, 1).await?;
        let lost = |row| Ok(Claimed { crashes: get(row, T, "crash_count")?, ..claimed(row, bucket)? });
        rows.first().map(lost).transpose()
    }

    async fn holds_run(&mut self, claim: &Claimed<RunKey>) -> StoreResult<bool> {
        let sql = format!(
            "SELECT id FROM runs WHERE {} AND id = {} AND epoch = {}{}",
            self.here(),
            self.bind(1),
            claim.epoch,
            for_update(self.backend)
        );
        Ok(self.one(&sql, vec![claim.key.id.into()]).await?.is_some())
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
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<Vec<Cell>> =
            claims.iter().map(|claim| vec![claim.key.id.into(), claim.epoch.into()]).collect();
        let Source { select, values } = self.source(CLAIM, &rows, 1);
        let held = Probe { columns: "*", table: T, by: &["id", "epoch"], and: "" };
        self.all(&self.probe_for_update(&held, &select, Others::Await), values)
            .await?
            .iter()
            .map(run)
            .collect()
    }

    async fn release_runs(&mut self, held: &[(Claimed<RunKey>, RunRow)]) -> StoreResult<Vec<Uuid>> {
        if held.is_empty() {
            return Ok(Vec::new());
        }
        let columns: Vec<_> = RUN.iter().copied().chain([("epoch", Kind::Int)]).collect();
        let cells = |(claim, run): &(Claimed<RunKey>, RunRow)| {
            let mut cells = run_cells(run);
            cells.push(claim.epoch.into());
            cells
        };
        let rows: Vec<Vec<Cell>> = held.iter().map(cells).collect();
        let Source { select, values } = self.source(&columns, &rows, 1);
        // The epoch rises with the release: work redone after an uncertain commit finds its claim over.
        let sql = format!(
            "UPDATE runs SET {}, epoch = runs.epoch + 1, lease_owner = NULL, lease_until = NULL, crash_count = 0 \
             FROM ({}) AS v WHERE {} RETURNING runs.id",
            assign(CHANGING),
            self.batch(&select),
            self.is_of_batch(T, &["id", "epoch"])
        );
        self.all(&sql, values).await?.iter().map(|row| get(row, T, "id")).collect()
    }

    async fn pause_runs(&mut self, runs: &[Uuid], paused: bool, now: Timestamp) -> StoreResult<Vec<Uuid>> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let Source { select, values } = self.source(ID, &keys(runs), 1);
        let running = format!("state = {}", RunState::Running.code());
        self.lock_in_order(T, "id", &running, &select, values.clone()).await?;
        let at = self.bind(values.len() + 1);
        let (sets, which) = if paused {
            (format!("paused_at = {at}, next_at = NULL"), "NULL")
        } else {
            (format!("paused_at = NULL, next_at = {at}"), "NOT NULL")
        };
        let sql = format!(
            "UPDATE runs SET {sets}, epoch = runs.epoch + 1, lease_owner = NULL, lease_until = NULL \
             FROM ({}) AS v WHERE {} AND runs.{running} AND runs.paused_at IS {which} RETURNING runs.id",
            self.batch(&select),
            self.is_of_batch(T, &["id"])
        );
        self.all(&sql, with(&values, now)).await?.iter().map(|row| get(row, T, "id")).collect()
    }

    async fn wake_runs(&mut self, runs: &[Uuid], now: Timestamp) -> StoreResult<()> {
        if runs.is_empty() {
            return Ok(());
        }
        let Source { select, values } = self.source(ID, &keys(runs), 1);
        let sql = format!(
            "UPDATE runs SET next_at = {} FROM ({}) AS v WHERE {} AND runs.state = {} AND runs.next_at IS NULL \
               AND runs.paused_at IS NULL",
            self.bind(values.len() + 1),
            self.batch(&select),
            self.is_of_batch(T, &["id"]),
            RunState::Running.code()
        );
        SeaTx::run(self, &sql, with(&values, now)).await?;
        Ok(())
    }

    async fn tell_runs(&mut self, runs: &[(Uuid, Progress)], now: Timestamp) -> StoreResult<()> {
        if runs.is_empty() {
            return Ok(());
        }
        let rows: Vec<Vec<Cell>> =
            runs.iter().map(|(id, progress)| vec![(*id).into(), json(progress).into()]).collect();
        let Source { select, values } = self.source(TOLD, &rows, 1);
        let now_bind = self.bind(values.len() + 1);
        let sql = format!(
            "UPDATE runs SET progress = v.progress, \
               next_at = CASE WHEN runs.next_at > {now_bind} THEN {now_bind} ELSE runs.next_at END \
             FROM ({}) AS v WHERE {} AND runs.state = {}",
            self.batch(&select),
            self.is_of_batch(T, &["id"]),
            RunState::Running.code()
        );
        SeaTx::run(self, &sql, with(&values, now)).await?;
        Ok(())
    }

    async fn move_runs(&mut self, runs: &[RunRow]) -> StoreResult<()> {
        if runs.is_empty() {
            return Ok(());
        }
        let rows: Vec<Vec<Cell>> = runs.iter().map(moved_cells).collect();
        let Source { select, values } = self.source(MOVED, &rows, 1);
        let running = format!("state = {}", RunState::Running.code());
        self.lock_in_order(T, "id", &running, &select, values.clone()).await?;
        let sql = format!(
            "UPDATE runs SET {}, next_at = CASE WHEN runs.paused_at IS NULL THEN v.next_at END, \
               epoch = runs.epoch + 1, lease_owner = NULL, lease_until = NULL, crash_count = 0 \
             FROM ({}) AS v WHERE {} AND runs.{running}",
            assign(&["sequence_revision", "step", "progress"]),
            self.batch(&select),
            self.is_of_batch(T, &["id"])
        );
        SeaTx::run(self, &sql, values).await?;
        Ok(())
    }

    async fn log_run(&mut self, events: &[RunEvent]) -> StoreResult<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut places = self.next_places(events).await?;
        let rows: Vec<Vec<Cell>> = events
            .iter()
            .map(|event| {
                let place = places.entry(event.run).or_default();
                let cells = event_cells(event, *place);
                *place += 1;
                cells
            })
            .collect();
        self.insert("run_events", EVENT, &rows, "").await?;
        Ok(())
    }

    async fn run_log(&mut self, run: Uuid) -> StoreResult<Vec<RunEvent>> {
        let sql = format!(
            "SELECT * FROM run_events WHERE {} AND run = {} ORDER BY place",
            self.here(),
            self.bind(1)
        );
        self.all(&sql, vec![run.into()]).await?.iter().map(run_event).collect()
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

    /// Cancels what is scheduled of runs that end, and notes what is under way as overtaken.
    ///
    /// In this order: what becomes `sending` before the first statement sees it is met by the second.
    async fn end_deliveries(
        &self,
        ended: &str,
        values: Vec<sea_orm::Value>,
        now: Timestamp,
    ) -> StoreResult<()> {
        let open = in_states(&[DeliveryState::Scheduled, DeliveryState::Sending]).unwrap_or_default();
        self.lock_in_order("deliveries", "run", &open, ended, values.clone()).await?;
        let ended = self.batch(&format!("SELECT id AS run, words FROM ({ended}) AS c"));
        let of_batch = self.is_of_batch("deliveries", &["run"]);
        let cancel = format!(
            "UPDATE deliveries SET state = {}, reason = v.words, ended_at = {}, next_at = NULL, claim_at = NULL, \
               epoch = deliveries.epoch + 1, lease_owner = NULL, lease_until = NULL \
             FROM ({ended}) AS v WHERE {of_batch} AND deliveries.state = {}",
            DeliveryState::Cancelled.code(),
            self.bind(values.len() + 1),
            DeliveryState::Scheduled.code()
        );
        SeaTx::run(self, &cancel, with(&values, now)).await?;
        // The epoch stays: the sender is to record how the attempt ended.
        let overtake = format!(
            "UPDATE deliveries SET overtaken = TRUE FROM ({ended}) AS v \
             WHERE {of_batch} AND deliveries.state = {}",
            DeliveryState::Sending.code()
        );
        SeaTx::run(self, &overtake, values).await?;
        Ok(())
    }

    /// For each run that has ledger lines: the place of the next one.
    async fn next_places(&self, events: &[RunEvent]) -> StoreResult<HashMap<Uuid, i32>> {
        let runs: Vec<Uuid> = events.iter().map(|event| event.run).collect();
        let Source { select, values } = self.source(&[("run", Kind::Uuid)], &keys(&runs), 1);
        let logged = Probe { columns: "run, place", table: "run_events", by: &["run"], and: "" };
        let sql = format!(
            "SELECT run, MAX(place) + 1 AS place FROM ({}) AS e GROUP BY run",
            self.probe(&logged, &select)
        );
        let rows = self.all(&sql, values).await?;
        rows.iter()
            .map(|row| Ok((get(row, "run_events", "run")?, get(row, "run_events", "place")?)))
            .collect()
    }
}

fn claimed(row: &QueryResult, bucket: i16) -> StoreResult<Claimed<RunKey>> {
    let scope = Scope { bucket, workspace: get(row, T, "workspace")? };
    let key = RunKey { scope, id: get(row, T, "id")? };
    Ok(Claimed { key, epoch: get(row, T, "epoch")?, crashes: 0 })
}

fn end_cells(id: Uuid, reason: EndReason) -> Vec<Cell> {
    let state = if reason == EndReason::Cancelled { RunState::Cancelled } else { RunState::Ended };
    vec![id.into(), state.code().into(), reason.code().into(), words(reason).into()]
}

/// Why a delivery was cancelled, for people.
fn words(reason: EndReason) -> &'static str {
    match reason {
        EndReason::CustomerReturned => "the customer came back",
        EndReason::GoalReached => "the journey reached its end",
        EndReason::StageLeft => "the journey left the stage",
        EndReason::Cancelled => "the run was cancelled",
        EndReason::SequenceArchived => "the sequence was archived",
        EndReason::Voided => "a late event took the silence back",
        EndReason::Stale => "the silence was noticed too late",
        EndReason::History => "the silence is history",
        EndReason::Erased => "the subject was erased",
        EndReason::Failed => "its run could not be worked on",
        EndReason::QuietHours => "quiet hours ended the run",
        EndReason::Paused => "its sequence was paused",
        EndReason::NotStarted => "it came due before its sequence was started or resumed",
        EndReason::Filtered => "the entry filter did not let it in",
        EndReason::CoolDown => "its subject had a run not long before",
        EndReason::AgentActed => "our side spoke",
        EndReason::Overlap => "the run of the time before was under way",
        EndReason::StepRemoved => "its step was removed",
        EndReason::SequenceChanged => "a new revision of its sequence ended the run",
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

fn moved_cells(run: &RunRow) -> Vec<Cell> {
    vec![
        run.id.into(),
        run.sequence_revision.into(),
        run.step.into(),
        run.next_at.map(|at| at.0).into(),
        json(&run.progress).into(),
    ]
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

fn event_cells(event: &RunEvent, place: i32) -> Vec<Cell> {
    vec![
        event.run.into(),
        place.into(),
        event.at.0.into(),
        event.kind.clone().into(),
        event.step.clone().into(),
        event.detail.clone().into(),
    ]
}

fn run_event(row: &QueryResult) -> StoreResult<RunEvent> {
    const T: &str = "run_events";
    Ok(RunEvent {
        run: get(row, T, "run")?,
        at: Timestamp(get(row, T, "at")?),
        kind: get(row, T, "kind")?,
        step: get(row, T, "step")?,
        detail: get(row, T, "detail")?,
    })
}
