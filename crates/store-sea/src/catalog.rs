//! Funnels and their revisions in SQL.

use std::collections::BTreeMap;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::funnel::Funnel;
use rekindle_ports::StoreResult;
use rekindle_ports::rows::{FillRow, FillState, FunnelRow, LivePolicy, RevisionHead, RevisionRow};
use rekindle_ports::store::Catalog;
use sea_orm::{DatabaseBackend, QueryResult};
use uuid::Uuid;

use crate::codes::Code;
use crate::sql::{Columns, Kind, for_update};
use crate::store::{SeaTx, get, get_json, json};
use crate::subjects::replace;

const FUNNEL: &Columns = &[
    ("id", Kind::Text),
    ("revision", Kind::Int),
    ("etag", Kind::Text),
    ("created_at", Kind::Int),
    ("updated_at", Kind::Int),
];

const REVISION: &Columns = &[
    ("key", Kind::Int),
    ("funnel", Kind::Text),
    ("revision", Kind::Int),
    ("is_latest", Kind::Bool),
    ("published_at", Kind::Int),
    ("policy", Kind::Int),
    ("body", Kind::Text),
    ("stage_map", Kind::Text),
];

const FILL: &Columns = &[
    ("revision", Kind::Int),
    ("state", Kind::Int),
    ("cursor_key", Kind::Uuid),
    ("done", Kind::Int),
    ("total", Kind::Int),
];

const HEAD: &str = "r.key, r.funnel, r.revision, r.is_latest, r.published_at, r.policy";

#[async_trait]
impl Catalog for SeaTx {
    async fn active_revisions(&mut self) -> StoreResult<Vec<RevisionHead>> {
        if self.writes {
            self.guard_revisions("ROW SHARE").await?;
        }
        let sql = format!(
            "SELECT {HEAD} FROM funnel_revisions r WHERE {} AND (r.is_latest OR EXISTS \
             (SELECT 1 FROM journeys j WHERE {} AND j.revision = r.key AND j.live)) ORDER BY r.funnel, r.revision DESC",
            self.here_in("r."),
            self.here_in("j.")
        );
        self.all(&sql, Vec::new()).await?.iter().map(head).collect()
    }

    async fn revision_by_key(&mut self, key: i64) -> StoreResult<Option<RevisionRow>> {
        let found = self.revision_rows(&format!("r.key = {key}"), Vec::new()).await?;
        Ok(found.into_iter().next())
    }

    async fn revision(&mut self, funnel: &str, revision: i32) -> StoreResult<Option<RevisionRow>> {
        let condition = format!("r.funnel = {} AND r.revision = {revision}", self.bind(1));
        let found = self.revision_rows(&condition, vec![funnel.into()]).await?;
        Ok(found.into_iter().next())
    }

    async fn revisions(&mut self, funnel: &str) -> StoreResult<Vec<RevisionRow>> {
        let condition = format!("r.funnel = {} ORDER BY r.revision DESC", self.bind(1));
        self.revision_rows(&condition, vec![funnel.into()]).await
    }

    async fn funnel(&mut self, id: &str) -> StoreResult<Option<FunnelRow>> {
        let lock = if self.writes { for_update(self.backend) } else { "" };
        let sql = format!("SELECT * FROM funnels WHERE {} AND id = {}{lock}", self.here(), self.bind(1));
        self.one(&sql, vec![id.into()]).await?.as_ref().map(funnel).transpose()
    }

    async fn funnels(&mut self, after: &str, limit: u32) -> StoreResult<Vec<FunnelRow>> {
        let sql = format!(
            "SELECT * FROM funnels WHERE {} AND id > {} ORDER BY id LIMIT {limit}",
            self.here(),
            self.bind(1)
        );
        self.all(&sql, vec![after.into()]).await?.iter().map(funnel).collect()
    }

    async fn save_funnel(&mut self, row: &FunnelRow) -> StoreResult<()> {
        let cells = vec![
            row.id.clone().into(),
            row.revision.into(),
            row.etag.clone().into(),
            row.created_at.0.into(),
            row.updated_at.0.into(),
        ];
        self.insert("funnels", FUNNEL, &[cells], &replace(FUNNEL, &["id"])).await?;
        Ok(())
    }

    async fn publish(
        &mut self,
        head: &RevisionHead,
        body: &Funnel,
        stage_map: &BTreeMap<String, String>,
    ) -> StoreResult<()> {
        self.guard_revisions("EXCLUSIVE").await?;
        let sql = format!(
            "UPDATE funnel_revisions SET is_latest = FALSE WHERE {} AND funnel = {}",
            self.here(),
            self.bind(1)
        );
        self.run(&sql, vec![head.funnel.clone().into()]).await?;
        let cells = vec![
            head.key.into(),
            head.funnel.clone().into(),
            head.revision.into(),
            head.is_latest.into(),
            head.published_at.0.into(),
            head.policy.code().into(),
            json(body).into(),
            json(stage_map).into(),
        ];
        self.insert("funnel_revisions", REVISION, &[cells], "").await?;
        Ok(())
    }

    async fn delete_funnel(&mut self, id: &str) -> StoreResult<()> {
        let here = self.here();
        let of_funnel =
            format!("SELECT key FROM funnel_revisions WHERE {here} AND funnel = {}", self.bind(1));
        for table in ["attempts", "silences", "journeys", "fills"] {
            let sql = format!("DELETE FROM {table} WHERE {here} AND revision IN ({of_funnel})");
            self.run(&sql, vec![id.into()]).await?;
        }
        for (table, column) in [("timers", "funnel"), ("funnel_revisions", "funnel"), ("funnels", "id")] {
            let sql = format!("DELETE FROM {table} WHERE {here} AND {column} = {}", self.bind(1));
            self.run(&sql, vec![id.into()]).await?;
        }
        Ok(())
    }

    async fn fill(&mut self, revision_key: i64) -> StoreResult<Option<FillRow>> {
        let found = self.fill_rows(&format!("f.revision = {revision_key}"), self.writes).await?;
        Ok(found.into_iter().next())
    }

    async fn running_fills(&mut self) -> StoreResult<Vec<FillRow>> {
        self.fill_rows(&format!("f.state = {}", FillState::Running.code()), false).await
    }

    async fn save_fill(&mut self, fill: &FillRow) -> StoreResult<()> {
        let cells = vec![
            fill.head.key.into(),
            fill.state.code().into(),
            fill.cursor.into(),
            fill.done.into(),
            fill.total.into(),
        ];
        self.insert("fills", FILL, &[cells], &replace(FILL, &["revision"])).await?;
        Ok(())
    }

    async fn subjects_after(
        &mut self,
        customers: bool,
        after: Option<Uuid>,
        limit: u32,
    ) -> StoreResult<Vec<Uuid>> {
        let table = subject_table(customers);
        let sql = format!(
            "SELECT key FROM {table} WHERE {} AND key > {} AND erased_at IS NULL ORDER BY key LIMIT {limit}",
            self.here(),
            self.bind(1)
        );
        let rows = self.all(&sql, vec![after.unwrap_or(Uuid::nil()).into()]).await?;
        rows.iter().map(|row| get(row, table, "key")).collect()
    }

    async fn count_subjects(&mut self, customers: bool) -> StoreResult<i64> {
        let table = subject_table(customers);
        let sql = format!("SELECT COUNT(*) AS n FROM {table} WHERE {} AND erased_at IS NULL", self.here());
        self.one(&sql, Vec::new()).await?.map_or(Ok(0), |row| get(&row, table, "n"))
    }

    async fn count_live(&mut self, funnel: &str) -> StoreResult<i64> {
        let sql = format!(
            "SELECT COUNT(*) AS n FROM journeys WHERE {} AND funnel = {} AND live",
            self.here(),
            self.bind(1)
        );
        self.one(&sql, vec![funnel.into()]).await?.map_or(Ok(0), |row| get(&row, "journeys", "n"))
    }

    async fn cancel_live(&mut self, funnel: &str, except: i64, _: Timestamp) -> StoreResult<()> {
        let sql = format!(
            "UPDATE journeys SET live = FALSE WHERE {} AND funnel = {} AND revision <> {except} AND live",
            self.here(),
            self.bind(1)
        );
        self.run(&sql, vec![funnel.into()]).await?;
        Ok(())
    }
}

impl SeaTx {
    /// Who folds into the revisions there are and who publishes one exclude each other until
    /// they commit: a fill that begins later sees every event that was not folded into it.
    /// On `SQLite` there is one writer anyway.
    async fn guard_revisions(&self, mode: &str) -> StoreResult<()> {
        if self.backend == DatabaseBackend::Postgres {
            self.run(&format!("LOCK TABLE funnel_revisions IN {mode} MODE"), Vec::new()).await?;
        }
        Ok(())
    }

    async fn revision_rows(
        &self,
        condition: &str,
        values: Vec<sea_orm::Value>,
    ) -> StoreResult<Vec<RevisionRow>> {
        let sql = format!(
            "SELECT {HEAD}, r.body, r.stage_map FROM funnel_revisions r WHERE {} AND {condition}",
            self.here_in("r.")
        );
        let rows = self.all(&sql, values).await?;
        rows.iter()
            .map(|row| {
                Ok(RevisionRow {
                    head: head(row)?,
                    body: get_json(row, "funnel_revisions", "body")?,
                    stage_map: get_json(row, "funnel_revisions", "stage_map")?,
                })
            })
            .collect()
    }

    async fn fill_rows(&self, condition: &str, lock: bool) -> StoreResult<Vec<FillRow>> {
        let sql = format!(
            "SELECT {HEAD}, f.state, f.cursor_key, f.done, f.total FROM fills f \
             JOIN funnel_revisions r ON {} AND r.key = f.revision WHERE {} AND {condition} ORDER BY r.key{}",
            self.here_in("r."),
            self.here_in("f."),
            if lock && self.backend == DatabaseBackend::Postgres { " FOR UPDATE OF f" } else { "" }
        );
        self.all(&sql, Vec::new()).await?.iter().map(fill).collect()
    }
}

fn subject_table(customers: bool) -> &'static str {
    if customers { "customers" } else { "conversations" }
}

fn funnel(row: &QueryResult) -> StoreResult<FunnelRow> {
    const T: &str = "funnels";
    Ok(FunnelRow {
        id: get(row, T, "id")?,
        revision: get(row, T, "revision")?,
        etag: get(row, T, "etag")?,
        created_at: Timestamp(get(row, T, "created_at")?),
        updated_at: Timestamp(get(row, T, "updated_at")?),
    })
}

fn head(row: &QueryResult) -> StoreResult<RevisionHead> {
    const T: &str = "funnel_revisions";
    let policy: i16 = get(row, T, "policy")?;
    Ok(RevisionHead {
        funnel: get(row, T, "funnel")?,
        revision: get(row, T, "revision")?,
        key: get(row, T, "key")?,
        is_latest: get(row, T, "is_latest")?,
        published_at: Timestamp(get(row, T, "published_at")?),
        policy: LivePolicy::from_code(policy.into()).unwrap_or_default(),
    })
}

fn fill(row: &QueryResult) -> StoreResult<FillRow> {
    const T: &str = "fills";
    let state: i16 = get(row, T, "state")?;
    Ok(FillRow {
        head: head(row)?,
        state: FillState::from_code(state.into()).unwrap_or(FillState::Running),
        cursor: get(row, T, "cursor_key")?,
        done: get(row, T, "done")?,
        total: get(row, T, "total")?,
    })
}
