//! Sequences, destinations, suppressions and the workspace in SQL.

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::sequence::{Occasion, Sequence, SequenceState};
use rekindle_ports::resources::{
    DestinationRow, RequestKind, RequestRow, RunChange, RunPolicy, SequenceRow, SuppressionKind,
    SuppressionRow, WorkspaceRow,
};
use rekindle_ports::store::Resources;
use rekindle_ports::{StoreError, StoreResult};
use sea_orm::{QueryResult, Value};

use crate::codes::{Code, coded};
use crate::probe::Probe;
use crate::sql::{Cell, Columns, Kind, Source, for_update};
use crate::store::{SeaTx, get, get_json, json};
use crate::subjects::{instant, replace};
use crate::tombstone::{Lookup, tombstone};

const SEQUENCE: &Columns = &[
    ("id", Kind::Text),
    ("revision", Kind::Int),
    ("changed_by", Kind::Int),
    ("etag", Kind::Text),
    ("state", Kind::Int),
    ("funnel", Kind::Text),
    ("created_at", Kind::Int),
    ("updated_at", Kind::Int),
    ("started_at", Kind::Int),
    ("occasion", Kind::Int),
];

const SEQUENCE_REVISION: &Columns =
    &[("sequence", Kind::Text), ("revision", Kind::Int), ("body", Kind::Text)];

const PUBLISHED: &Columns = &[
    ("sequence", Kind::Text),
    ("revision", Kind::Int),
    ("body", Kind::Text),
    ("run_policy", Kind::Int),
    ("step_map", Kind::Text),
];

const DESTINATION: &Columns = &[
    ("id", Kind::Text),
    ("display_name", Kind::Text),
    ("kind", Kind::Text),
    ("secrets", Kind::Text),
    ("disabled_at", Kind::Int),
    ("disabled_reason", Kind::Text),
    ("etag", Kind::Text),
    ("created_at", Kind::Int),
    ("updated_at", Kind::Int),
];

const SUPPRESSION: &Columns = &[
    ("kind", Kind::Int),
    ("name", Kind::Text),
    ("reason", Kind::Int),
    ("note", Kind::Text),
    ("created_at", Kind::Int),
];

const REQUEST: &Columns = &[
    ("kind", Kind::Int),
    ("id", Kind::Text),
    ("digest", Kind::Uuid),
    ("answer", Kind::Text),
    ("created_at", Kind::Int),
];

const WORKSPACE: &Columns = &[("body", Kind::Text), ("revision", Kind::Int), ("updated_at", Kind::Int)];

#[async_trait]
impl Resources for SeaTx {
    async fn sequence(&mut self, id: &str) -> StoreResult<Option<SequenceRow>> {
        let condition = format!("s.id = {}{}", self.bind(1), self.lock());
        Ok(self.sequence_rows(&condition, vec![id.into()]).await?.into_iter().next())
    }

    async fn sequences(&mut self, after: &str, limit: u32) -> StoreResult<Vec<SequenceRow>> {
        let condition = format!("s.id > {} ORDER BY s.id LIMIT {limit}", self.bind(1));
        self.sequence_rows(&condition, vec![after.into()]).await
    }

    async fn sequences_of(&mut self, funnel: &str) -> StoreResult<Vec<SequenceRow>> {
        let condition = format!("s.funnel = {} ORDER BY s.id", self.bind(1));
        self.sequence_rows(&condition, vec![funnel.into()]).await
    }

    async fn sequences_on_events(&mut self) -> StoreResult<Vec<SequenceRow>> {
        // As the index says it.
        let condition = format!(
            "s.occasion = {ON_EVENT} AND s.state IN ({}, {}) ORDER BY s.id",
            SequenceState::Active.code(),
            SequenceState::Paused.code()
        );
        self.sequence_rows(&condition, Vec::new()).await
    }

    async fn peek_sequence(&mut self, id: &str) -> StoreResult<Option<SequenceRow>> {
        let condition = format!("s.id = {}", self.bind(1));
        Ok(self.sequence_rows(&condition, vec![id.into()]).await?.into_iter().next())
    }

    async fn sequence_revision(&mut self, id: &str, revision: i32) -> StoreResult<Option<Sequence>> {
        let sql = format!(
            "SELECT body FROM sequence_revisions WHERE {} AND sequence = {} AND revision = {revision}",
            self.here(),
            self.bind(1)
        );
        let row = self.one(&sql, vec![id.into()]).await?;
        row.map(|row| get_json(&row, "sequence_revisions", "body")).transpose()
    }

    async fn run_changes(&mut self, sequence: &str) -> StoreResult<Vec<RunChange>> {
        let sql = format!(
            "SELECT revision, run_policy, step_map FROM sequence_revisions \
             WHERE {} AND sequence = {} AND run_policy <> {} ORDER BY revision",
            self.here(),
            self.bind(1),
            RunPolicy::Drain.code()
        );
        self.all(&sql, vec![sequence.into()]).await?.iter().map(run_change).collect()
    }

    async fn insert_sequence(&mut self, row: &SequenceRow) -> StoreResult<()> {
        // No `ON CONFLICT`: of two that come at once, the second is to look again.
        self.insert("sequences", SEQUENCE, &[sequence_cells(row)], "").await?;
        self.insert("sequence_revisions", SEQUENCE_REVISION, &[revision_cells(row)], "").await?;
        Ok(())
    }

    async fn save_sequence(&mut self, row: &SequenceRow) -> StoreResult<()> {
        let tail = "ON CONFLICT (bucket, workspace, sequence, revision) DO NOTHING";
        self.insert("sequence_revisions", SEQUENCE_REVISION, &[revision_cells(row)], tail).await?;
        self.insert("sequences", SEQUENCE, &[sequence_cells(row)], &replace(SEQUENCE, &["id"])).await?;
        Ok(())
    }

    async fn publish_sequence(&mut self, row: &SequenceRow, change: &RunChange) -> StoreResult<()> {
        let mut cells = revision_cells(row);
        cells.push(change.policy.code().into());
        cells.push(json(&change.step_map).into());
        self.insert("sequence_revisions", PUBLISHED, &[cells], "").await?;
        self.save_sequence(row).await
    }

    async fn delete_sequence(&mut self, id: &str) -> StoreResult<()> {
        self.delete_named("sequences", "id", id).await?;
        self.delete_named("sequence_revisions", "sequence", id).await?;
        Ok(())
    }

    async fn destination(&mut self, id: &str) -> StoreResult<Option<DestinationRow>> {
        self.destination_row(id, self.lock()).await
    }

    async fn peek_destination(&mut self, id: &str) -> StoreResult<Option<DestinationRow>> {
        self.destination_row(id, "").await
    }

    async fn destinations(&mut self, after: &str, limit: u32) -> StoreResult<Vec<DestinationRow>> {
        let sql = format!(
            "SELECT * FROM destinations WHERE {} AND id > {} ORDER BY id LIMIT {limit}",
            self.here(),
            self.bind(1)
        );
        self.all(&sql, vec![after.into()]).await?.iter().map(destination).collect()
    }

    async fn insert_destination(&mut self, row: &DestinationRow) -> StoreResult<()> {
        // As for sequences: the second of two is to look again.
        self.insert("destinations", DESTINATION, &[destination_cells(row)], "").await?;
        Ok(())
    }

    async fn save_destination(&mut self, row: &DestinationRow) -> StoreResult<()> {
        self.insert("destinations", DESTINATION, &[destination_cells(row)], &replace(DESTINATION, &["id"]))
            .await?;
        Ok(())
    }

    async fn delete_destination(&mut self, id: &str) -> StoreResult<()> {
        self.delete_named("destinations", "id", id).await?;
        Ok(())
    }

    async fn suppressed(
        &mut self,
        entries: &[(SuppressionKind, String)],
    ) -> StoreResult<Vec<SuppressionRow>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        // What an erased customer was suppressed by is known by its tombstone alone.
        let both = |(kind, value): &(SuppressionKind, String)| {
            [
                vec![kind.code().into(), value.clone().into()],
                vec![kind.code().into(), tombstone(value).into()],
            ]
        };
        let rows: Vec<Vec<Cell>> = entries.iter().flat_map(both).collect();
        let Source { select, values } = self.source(&[("kind", Kind::Int), ("name", Kind::Text)], &rows, 1);
        let listed = Probe { columns: "*", table: "suppressions", by: &["kind", "name"], and: "" };
        let sql = format!("{} ORDER BY kind, name", self.probe(&listed, &select));
        let lookup = Lookup::new(entries.iter().map(|(_, value)| value.as_str()));
        let rows = self.all(&sql, values).await?;
        let as_asked = |row: SuppressionRow| {
            let value = lookup.asked(&row.value).map_or(row.value.clone(), str::to_owned);
            SuppressionRow { value, ..row }
        };
        rows.iter().map(|row| suppression(row).map(as_asked)).collect()
    }

    async fn suppressions(
        &mut self,
        after: Option<&(SuppressionKind, String)>,
        limit: u32,
    ) -> StoreResult<Vec<SuppressionRow>> {
        let (rest, values) = match after {
            Some((kind, value)) => (
                format!(" AND (kind, name) > ({}, {})", kind.code(), self.bind(1)),
                vec![value.clone().into()],
            ),
            None => (String::new(), Vec::new()),
        };
        let sql = format!(
            "SELECT * FROM suppressions WHERE {}{rest} ORDER BY kind, name LIMIT {limit}",
            self.here()
        );
        self.all(&sql, values).await?.iter().map(suppression).collect()
    }

    async fn suppress(&mut self, row: &SuppressionRow) -> StoreResult<bool> {
        let cells = vec![
            row.kind.code().into(),
            row.value.clone().into(),
            row.reason.code().into(),
            row.note.clone().into(),
            row.created_at.0.into(),
        ];
        let tail = "ON CONFLICT (bucket, workspace, kind, name) DO NOTHING";
        Ok(self.insert("suppressions", SUPPRESSION, &[cells], tail).await? == 1)
    }

    async fn unsuppress(&mut self, kind: SuppressionKind, value: &str) -> StoreResult<bool> {
        let sql = format!(
            "DELETE FROM suppressions WHERE {} AND kind = {} AND name IN ({}, {})",
            self.here(),
            kind.code(),
            self.bind(1),
            self.bind(2)
        );
        Ok(self.run(&sql, vec![value.into(), tombstone(value).into()]).await? > 0)
    }

    async fn request(&mut self, kind: RequestKind, id: &str) -> StoreResult<Option<RequestRow>> {
        let sql = format!(
            "SELECT * FROM requests WHERE {} AND kind = {} AND id = {}",
            self.here(),
            kind.code(),
            self.bind(1)
        );
        self.one(&sql, vec![id.into()]).await?.as_ref().map(request).transpose()
    }

    async fn insert_request(&mut self, row: &RequestRow) -> StoreResult<()> {
        let cells = vec![
            row.kind.code().into(),
            row.id.clone().into(),
            row.digest.into(),
            row.answer.clone().into(),
            row.created_at.0.into(),
        ];
        // No `ON CONFLICT`: of two that come at once, the second is to answer as the first.
        self.insert("requests", REQUEST, &[cells], "").await?;
        Ok(())
    }

    async fn workspace(&mut self) -> StoreResult<WorkspaceRow> {
        let sql = format!("SELECT body, revision, updated_at FROM workspaces WHERE {}", self.here());
        let row = self.one(&sql, Vec::new()).await?;
        Ok(row.as_ref().map(workspace).transpose()?.unwrap_or_default())
    }

    async fn save_workspace(&mut self, row: &WorkspaceRow) -> StoreResult<()> {
        let cells = vec![json(&row.body).into(), row.revision.into(), row.updated_at.0.into()];
        // Its row is read everywhere and so never locked: the revision tells two writers apart.
        let tail = "ON CONFLICT (bucket, workspace) DO UPDATE SET \
                    body = excluded.body, revision = excluded.revision, updated_at = excluded.updated_at \
                    WHERE workspaces.revision < excluded.revision";
        match self.insert("workspaces", WORKSPACE, &[cells], tail).await? {
            0 => Err(StoreError::Conflict(format!("the workspace is at revision {} or later", row.revision))),
            _ => Ok(()),
        }
    }

    async fn shared_key(&mut self, name: &str, fresh: &str) -> StoreResult<String> {
        if let Some(known) = self.known_key(name).await? {
            return Ok(known);
        }
        let columns = &[("name", Kind::Text), ("secret", Kind::Text)];
        let tail = "ON CONFLICT (bucket, workspace, name) DO NOTHING";
        self.insert("shared_keys", columns, &[vec![name.into(), fresh.into()]], tail).await?;
        // Another replica may have been first.
        let known = self.known_key(name).await?;
        known.ok_or_else(|| StoreError::Conflict(format!("the shared key {name} was removed")))
    }
}

impl SeaTx {
    fn lock(&self) -> &'static str {
        if self.writes { for_update(self.backend) } else { "" }
    }

    async fn destination_row(&self, id: &str, lock: &str) -> StoreResult<Option<DestinationRow>> {
        let sql = format!("SELECT * FROM destinations WHERE {} AND id = {}{lock}", self.here(), self.bind(1));
        self.one(&sql, vec![id.into()]).await?.as_ref().map(destination).transpose()
    }

    async fn sequence_rows(&self, condition: &str, values: Vec<Value>) -> StoreResult<Vec<SequenceRow>> {
        let sql = format!(
            "SELECT s.id, s.revision, s.changed_by, s.etag, s.state, s.created_at, s.updated_at, s.started_at, r.body \
             FROM sequences s JOIN sequence_revisions r ON {} AND r.sequence = s.id AND r.revision = s.revision \
             WHERE {} AND {condition}",
            self.here_in("r."),
            self.here_in("s.")
        );
        self.all(&sql, values).await?.iter().map(sequence).collect()
    }

    async fn delete_named(&self, table: &str, column: &str, name: &str) -> StoreResult<u64> {
        let sql = format!("DELETE FROM {table} WHERE {} AND {column} = {}", self.here(), self.bind(1));
        self.run(&sql, vec![name.into()]).await
    }

    async fn known_key(&self, name: &str) -> StoreResult<Option<String>> {
        let sql = format!("SELECT secret FROM shared_keys WHERE {} AND name = {}", self.here(), self.bind(1));
        let row = self.one(&sql, vec![name.into()]).await?;
        row.map(|row| get(&row, "shared_keys", "secret")).transpose()
    }
}

fn sequence_cells(row: &SequenceRow) -> Vec<Cell> {
    vec![
        row.id.clone().into(),
        row.revision.into(),
        row.changed_by.into(),
        row.etag.clone().into(),
        row.state.code().into(),
        row.body.trigger.funnel.clone().into(),
        row.created_at.0.into(),
        row.updated_at.0.into(),
        row.started_at.map(|at| at.0).into(),
        occasion(&row.body.trigger.on).into(),
    ]
}

/// Code of sequences that start on events.
const ON_EVENT: i32 = 2;

fn occasion(on: &Occasion) -> i32 {
    match on {
        Occasion::Silence(_) => 1,
        Occasion::Event(_) => ON_EVENT,
        Occasion::Schedule(_) => 3,
        Occasion::Hand => 4,
    }
}

fn revision_cells(row: &SequenceRow) -> Vec<Cell> {
    vec![row.id.clone().into(), row.revision.into(), json(&row.body).into()]
}

fn sequence(row: &QueryResult) -> StoreResult<SequenceRow> {
    const T: &str = "sequences";
    Ok(SequenceRow {
        id: get(row, T, "id")?,
        revision: get(row, T, "revision")?,
        changed_by: get(row, T, "changed_by")?,
        etag: get(row, T, "etag")?,
        state: coded(row, T, "state")?,
        body: get_json(row, "sequence_revisions", "body")?,
        created_at: Timestamp(get(row, T, "created_at")?),
        updated_at: Timestamp(get(row, T, "updated_at")?),
        started_at: instant(row, T, "started_at")?,
    })
}

fn run_change(row: &QueryResult) -> StoreResult<RunChange> {
    const T: &str = "sequence_revisions";
    Ok(RunChange {
        revision: get(row, T, "revision")?,
        policy: coded(row, T, "run_policy")?,
        step_map: get_json(row, T, "step_map")?,
    })
}

fn destination_cells(row: &DestinationRow) -> Vec<Cell> {
    let (disabled_at, disabled_reason) = row.disabled.clone().unzip();
    vec![
        row.id.clone().into(),
        row.display_name.clone().into(),
        json(&row.kind).into(),
        json(&row.secrets).into(),
        disabled_at.map(|at| at.0).into(),
        disabled_reason.into(),
        row.etag.clone().into(),
        row.created_at.0.into(),
        row.updated_at.0.into(),
    ]
}

fn destination(row: &QueryResult) -> StoreResult<DestinationRow> {
    const T: &str = "destinations";
    let disabled_reason: Option<String> = get(row, T, "disabled_reason")?;
    Ok(DestinationRow {
        id: get(row, T, "id")?,
        display_name: get(row, T, "display_name")?,
        kind: get_json(row, T, "kind")?,
        secrets: get_json(row, T, "secrets")?,
        disabled: instant(row, T, "disabled_at")?.zip(disabled_reason),
        etag: get(row, T, "etag")?,
        created_at: Timestamp(get(row, T, "created_at")?),
        updated_at: Timestamp(get(row, T, "updated_at")?),
    })
}

fn suppression(row: &QueryResult) -> StoreResult<SuppressionRow> {
    const T: &str = "suppressions";
    Ok(SuppressionRow {
        kind: coded(row, T, "kind")?,
        value: get(row, T, "name")?,
        reason: coded(row, T, "reason")?,
        note: get(row, T, "note")?,
        created_at: Timestamp(get(row, T, "created_at")?),
    })
}

fn request(row: &QueryResult) -> StoreResult<RequestRow> {
    const T: &str = "requests";
    Ok(RequestRow {
        kind: coded(row, T, "kind")?,
        id: get(row, T, "id")?,
        digest: get(row, T, "digest")?,
        answer: get(row, T, "answer")?,
        created_at: Timestamp(get(row, T, "created_at")?),
    })
}

fn workspace(row: &QueryResult) -> StoreResult<WorkspaceRow> {
    const T: &str = "workspaces";
    Ok(WorkspaceRow {
        body: get_json(row, T, "body")?,
        revision: get(row, T, "revision")?,
        updated_at: Timestamp(get(row, T, "updated_at")?),
    })
}
