//! Schedules in SQL.

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_ports::StoreResult;
use rekindle_ports::store::Schedules;
use rekindle_ports::store::schedules::ScheduleRow;
use sea_orm::{DatabaseBackend, Value};
use uuid::Uuid;

use crate::sql::{Cell, Columns, Kind, for_update};
use crate::store::{SeaTx, get};
use crate::subjects::replace;

const T: &str = "schedules";

const SCHEDULE: &Columns = &[
    ("sequence", Kind::Text),
    ("fires_at", Kind::Int),
    ("look_at", Kind::Int),
    ("cursor_subject", Kind::Uuid),
];

#[async_trait]
impl Schedules for SeaTx {
    async fn due_schedules(
        &mut self,
        bucket: i16,
        now: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<(Scope, String)>> {
        let sql = format!(
            "SELECT workspace, sequence FROM schedules WHERE bucket = {bucket} AND look_at <= {} \
             ORDER BY look_at, workspace, sequence LIMIT {limit}",
            self.bind(1)
        );
        let rows = self.all(&sql, vec![now.0.into()]).await?;
        rows.iter()
            .map(|row| {
                let scope = Scope { bucket, workspace: get(row, T, "workspace")? };
                Ok((scope, get(row, T, "sequence")?))
            })
            .collect()
    }

    async fn lock_schedule(&mut self, sequence: &str) -> StoreResult<Option<ScheduleRow>> {
        let lock = if self.backend == DatabaseBackend::Postgres { " FOR UPDATE SKIP LOCKED" } else { "" };
        self.schedule(sequence, lock).await
    }

    async fn await_schedule(&mut self, sequence: &str) -> StoreResult<Option<ScheduleRow>> {
        self.schedule(sequence, for_update(self.backend)).await
    }

    async fn save_schedule(&mut self, row: &ScheduleRow) -> StoreResult<()> {
        let cells: Vec<Cell> =
            vec![row.sequence.clone().into(), row.fires_at.0.into(), row.look_at.0.into(), row.cursor.into()];
        self.insert(T, SCHEDULE, &[cells], &replace(SCHEDULE, &["sequence"])).await?;
        Ok(())
    }

    async fn delete_schedule(&mut self, sequence: &str) -> StoreResult<()> {
        let sql = format!("DELETE FROM schedules WHERE {} AND sequence = {}", self.here(), self.bind(1));
        self.run(&sql, vec![sequence.into()]).await?;
        Ok(())
    }

    async fn live_subjects(
        &mut self,
        funnel: &str,
        after: Option<Uuid>,
        limit: u32,
    ) -> StoreResult<Vec<Uuid>> {
        let mut values: Vec<Value> = vec![funnel.into()];
        let mut behind = String::new();
        if let Some(after) = after {
            values.push(after.into());
            behind = format!(" AND subject > {}", self.bind(2));
        }
        let sql = format!(
            "SELECT subject FROM journeys WHERE {} AND funnel = {} AND live{behind} ORDER BY subject LIMIT {limit}",
            self.here(),
            self.bind(1)
        );
        self.all(&sql, values).await?.iter().map(|row| get(row, "journeys", "subject")).collect()
    }
}

impl SeaTx {
    async fn schedule(&self, sequence: &str, lock: &str) -> StoreResult<Option<ScheduleRow>> {
        let sql =
            format!("SELECT * FROM schedules WHERE {} AND sequence = {}{lock}", self.here(), self.bind(1));
        let row = self.one(&sql, vec![sequence.into()]).await?;
        row.map(|row| {
            Ok(ScheduleRow {
                sequence: get(&row, T, "sequence")?,
                fires_at: Timestamp(get(&row, T, "fires_at")?),
                look_at: Timestamp(get(&row, T, "look_at")?),
                cursor: get(&row, T, "cursor_subject")?,
            })
        })
        .transpose()
    }
}
