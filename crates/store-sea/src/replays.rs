//! Replays, and the failures that they are about, in SQL.

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_ports::ledger::{DeliveryState, EndReason};
use rekindle_ports::store::Replays;
use rekindle_ports::store::replays::{Covers, FailureKind, Failures, ReplayPlace, ReplayRow, ReplayState};
use rekindle_ports::{StoreError, StoreResult};
use sea_orm::{DatabaseBackend, QueryResult};
use uuid::Uuid;

use crate::codes::{Code, coded};
use crate::listing::{Conditions, in_states};
use crate::sql::{Columns, Kind, for_update};
use crate::store::{SeaTx, get, get_json, json};
use crate::subjects::{instant, replace};

const T: &str = "replays";

const REPLAY: &Columns = &[
    ("id", Kind::Uuid),
    ("covers", Kind::Text),
    ("state", Kind::Int),
    ("total", Kind::Int),
    ("replayed", Kind::Int),
    ("skipped", Kind::Int),
    ("place", Kind::Text),
    ("created_at", Kind::Int),
    ("ended_at", Kind::Int),
];

#[async_trait]
impl Replays for SeaTx {
    async fn replay(&mut self, id: Uuid) -> StoreResult<Option<ReplayRow>> {
        let lock = if self.writes { for_update(self.backend) } else { "" };
        self.replay_row(id, lock).await
    }

    async fn lock_replay(&mut self, id: Uuid) -> StoreResult<Option<ReplayRow>> {
        let lock = if self.backend == DatabaseBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
        self.replay_row(id, lock).await
    }

    async fn running_replays(&mut self) -> StoreResult<Vec<ReplayRow>> {
        let sql = format!(
            "SELECT * FROM replays WHERE {} AND state = {} ORDER BY created_at, id",
            self.here(),
            ReplayState::Running.code()
        );
        self.all(&sql, Vec::new()).await?.iter().map(replay).collect()
    }

    async fn replays(
        &mut self,
        before: Option<&(Timestamp, Uuid)>,
        limit: u32,
    ) -> StoreResult<Vec<ReplayRow>> {
        let mut conditions = Conditions::new(self.backend, self.here());
        if let Some((created_at, id)) = before {
            conditions.before(*created_at, *id);
        }
        let (sql, values) = conditions.newest("*", T, limit);
        self.all(&sql, values).await?.iter().map(replay).collect()
    }

    async fn save_replay(&mut self, row: &ReplayRow) -> StoreResult<()> {
        let cells = vec![
            row.id.into(),
            json(&row.covers).into(),
            row.state.code().into(),
            row.total.into(),
            row.replayed.into(),
            row.skipped.into(),
            json(&row.place).into(),
            row.created_at.0.into(),
            row.ended_at.map(|at| at.0).into(),
        ];
        self.insert(T, REPLAY, &[cells], &replace(REPLAY, &["id"])).await?;
        Ok(())
    }

    async fn count_failures(&mut self, covers: &Covers) -> StoreResult<i64> {
        let mut count = 0;
        for kind in [FailureKind::Run, FailureKind::Delivery] {
            let Some(conditions) = self.failed(covers, kind) else {
                continue;
            };
            let (sql, values) = conditions.count(table(kind));
            count += self.one(&sql, values).await?.map_or(Ok(0), |row| get::<i64>(&row, table(kind), "n"))?;
        }
        Ok(count)
    }

    async fn failures(
        &mut self,
        covers: &Covers,
        place: &ReplayPlace,
        limit: u32,
    ) -> StoreResult<Vec<(Timestamp, String)>> {
        let (kind, table) = (place.of, table(place.of));
        let Some(mut conditions) = self.failed(covers, kind) else {
            return Ok(Vec::new());
        };
        match (kind, &place.after) {
            (_, None) => {}
            (FailureKind::Delivery, Some((at, id))) => conditions.ended_after(*at, id.clone()),
            (FailureKind::Run, Some((at, id))) => {
                let id: Uuid = id.parse().map_err(|error| StoreError::Refused(Box::new(error)))?;
                conditions.ended_after(*at, id);
            }
        }
        let (sql, values) = conditions.first_ended(table, limit);
        let rows = self.all(&sql, values).await?;
        rows.iter()
            .map(|row| {
                let id = match kind {
                    FailureKind::Run => get::<Uuid>(row, table, "id")?.to_string(),
                    FailureKind::Delivery => get(row, table, "id")?,
                };
                Ok((Timestamp(get(row, table, "ended_at")?), id))
            })
            .collect()
    }
}

impl SeaTx {
    async fn replay_row(&self, id: Uuid, lock: &str) -> StoreResult<Option<ReplayRow>> {
        let sql = format!("SELECT * FROM replays WHERE {} AND id = {}{lock}", self.here(), self.bind(1));
        self.one(&sql, vec![id.into()]).await?.as_ref().map(replay).transpose()
    }

    /// Failures of a kind that a replay is about; `None` where it is about none of that kind.
    fn failed(&self, covers: &Covers, kind: FailureKind) -> Option<Conditions> {
        let mut conditions = Conditions::new(self.backend, self.here());
        // Word for word as the indexes of failures say it.
        conditions.add(match kind {
            FailureKind::Run => format!("end_reason = {}", EndReason::Failed.code()),
            FailureKind::Delivery => {
                in_states(&[DeliveryState::Failed, DeliveryState::Expired]).unwrap_or_default()
            }
        });
        if kind == FailureKind::Delivery {
            conditions.add("run IS NOT NULL".into());
        }
        match (covers, kind) {
            (Covers::Delivery(_), FailureKind::Run) => return None,
            (Covers::Delivery(id), FailureKind::Delivery) => conditions.equal("id", Some(id.clone())),
            (Covers::Run(id), FailureKind::Run) => conditions.equal("id", Some(*id)),
            (Covers::Run(id), FailureKind::Delivery) => conditions.equal("run", Some(*id)),
            (Covers::Failures(of), _) => self.of_period(of, kind, &mut conditions)?,
        }
        Some(conditions)
    }

    fn of_period(&self, of: &Failures, kind: FailureKind, conditions: &mut Conditions) -> Option<()> {
        if let Some(from) = of.from {
            let from = conditions.bind(from.0);
            conditions.add(format!("ended_at >= {from}"));
        }
        if let Some(until) = of.until {
            let until = conditions.bind(until.0);
            conditions.add(format!("ended_at < {until}"));
        }
        match kind {
            // A run goes to no destination.
            FailureKind::Run if of.destination.is_some() => return None,
            FailureKind::Run => conditions.equal("sequence", of.sequence.clone()),
            FailureKind::Delivery => {
                conditions.equal("destination", of.destination.clone());
                if let Some(sequence) = &of.sequence {
                    let sequence = conditions.bind(sequence.clone());
                    let here = self.here();
                    conditions
                        .add(format!("run IN (SELECT id FROM runs WHERE {here} AND sequence = {sequence})"));
                }
            }
        }
        Some(())
    }
}

fn table(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Run => "runs",
        FailureKind::Delivery => "deliveries",
    }
}

fn replay(row: &QueryResult) -> StoreResult<ReplayRow> {
    Ok(ReplayRow {
        id: get(row, T, "id")?,
        covers: get_json(row, T, "covers")?,
        state: coded(row, T, "state")?,
        total: get(row, T, "total")?,
        replayed: get(row, T, "replayed")?,
        skipped: get(row, T, "skipped")?,
        place: get_json(row, T, "place")?,
        created_at: Timestamp(get(row, T, "created_at")?),
        ended_at: instant(row, T, "ended_at")?,
    })
}
