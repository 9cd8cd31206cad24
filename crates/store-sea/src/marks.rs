//! Marks in SQL.

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::event::OrderKey;
use rekindle_core::mark::{Mark, MarkFate, MarkKey};
use rekindle_core::sequence::Origin;
use rekindle_ports::StoreResult;
use rekindle_ports::rows::JourneyRow;
use rekindle_ports::store::Marks;
use sea_orm::QueryResult;
use uuid::Uuid;

use crate::codes::{Code, coded};
use crate::journeys::journey;
use crate::probe::Probe;
use crate::runs::with;
use crate::sql::{Cell, Columns, Kind, Source};
use crate::store::{SeaTx, get};
use crate::subjects::keys;

const T: &str = "marks";

const KEY: &Columns = &[
    ("funnel", Kind::Text),
    ("subject", Kind::Uuid),
    ("stage", Kind::Text),
    ("kind", Kind::Int),
    ("anchor_event", Kind::Text),
];

const MARK: &Columns = &[
    ("funnel", Kind::Text),
    ("subject", Kind::Uuid),
    ("stage", Kind::Text),
    ("kind", Kind::Int),
    ("anchor_event", Kind::Text),
    ("anchor_at", Kind::Int),
    ("anchor_sequence", Kind::Int),
    ("revision", Kind::Int),
    ("due_at", Kind::Int),
    ("noticed_at", Kind::Int),
    ("owed_by", Kind::Int),
    ("reason", Kind::Text),
    ("fate", Kind::Int),
    ("customer", Kind::Uuid),
    ("conversation", Kind::Uuid),
];

#[async_trait]
impl Marks for SeaTx {
    async fn live_journeys(&mut self, subjects: &[(String, Uuid)]) -> StoreResult<Vec<JourneyRow>> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<Vec<Cell>> =
            subjects.iter().map(|(funnel, subject)| vec![funnel.clone().into(), (*subject).into()]).collect();
        let columns = &[("funnel", Kind::Text), ("subject", Kind::Uuid)];
        let Source { select, values } = self.source(columns, &rows, 1);
        let live = Probe {
            columns: "revision, subject, funnel, customer, live, passages, state",
            table: "journeys",
            by: &["funnel", "subject"],
            and: "AND live",
        };
        self.all(&self.probe(&live, &select), values).await?.iter().map(journey).collect()
    }

    async fn insert_marks(&mut self, marks: &[Mark]) -> StoreResult<Vec<MarkKey>> {
        let rows: Vec<Vec<Cell>> = marks.iter().map(mark_cells).collect();
        let noticed =
            ["revision", "due_at", "noticed_at", "owed_by", "reason", "fate", "customer", "conversation"];
        let noticed: Vec<String> =
            noticed.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        let tail = format!(
            "ON CONFLICT (bucket, workspace, funnel, subject, stage, kind, anchor_event) \
             DO UPDATE SET {}, voided_at = NULL \
             WHERE marks.fate = {} AND marks.due_at <> excluded.due_at \
             RETURNING funnel, subject, stage, kind, anchor_event",
            noticed.join(", "),
            MarkFate::Voided.code()
        );
        let rows = self.insert_returning(T, MARK, &rows, &tail).await?;
        rows.iter().map(|row| mark_key(row, T)).collect()
    }

    async fn marks_of(&mut self, subjects: &[Uuid]) -> StoreResult<Vec<Mark>> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let Source { select, values } = self.source(&[("subject", Kind::Uuid)], &keys(subjects), 1);
        let marks = Probe { columns: "*", table: "marks", by: &["subject"], and: "" };
        let sql = format!(
            "{} ORDER BY due_at, noticed_at, funnel, subject, stage, kind, anchor_event",
            self.probe(&marks, &select)
        );
        self.all(&sql, values).await?.iter().map(mark).collect()
    }

    async fn void_marks(&mut self, voided: &[MarkKey], now: Timestamp) -> StoreResult<()> {
        if voided.is_empty() {
            return Ok(());
        }
        let rows: Vec<Vec<Cell>> = voided.iter().map(mark_key_cells).collect();
        let Source { select, values } = self.source(KEY, &rows, 1);
        let sql = format!(
            "UPDATE marks SET fate = {voided}, voided_at = {} FROM ({}) AS v WHERE {} AND fate <> {voided}",
            self.bind(values.len() + 1),
            self.batch(&select),
            self.is_of_batch("marks", &["funnel", "subject", "stage", "kind", "anchor_event"]),
            voided = MarkFate::Voided.code()
        );
        self.run(&sql, with(&values, now)).await?;
        Ok(())
    }
}

/// Cells of the identity of a mark: funnel, subject, stage, kind, anchor event.
pub(crate) fn mark_key_cells(key: &MarkKey) -> Vec<Cell> {
    vec![
        key.funnel.clone().into(),
        key.subject.into(),
        key.stage.clone().into(),
        key.kind.code().into(),
        key.anchor.clone().into(),
    ]
}

/// Reads the identity of a mark.
pub(crate) fn mark_key(row: &QueryResult, table: &'static str) -> StoreResult<MarkKey> {
    Ok(MarkKey {
        funnel: get(row, table, "funnel")?,
        subject: get(row, table, "subject")?,
        stage: get(row, table, "stage")?,
        kind: coded(row, table, "kind")?,
        anchor: get(row, table, "anchor_event")?,
    })
}

/// Cells of what started a run, as [`mark_key_cells`].
pub(crate) fn origin_cells(origin: &Origin) -> Vec<Cell> {
    vec![
        origin.funnel.clone().into(),
        origin.subject.into(),
        origin.stage.clone().into(),
        origin.cause.code().into(),
        origin.anchor.clone().into(),
    ]
}

/// Reads what started a run.
pub(crate) fn origin(row: &QueryResult, table: &'static str) -> StoreResult<Origin> {
    Ok(Origin {
        funnel: get(row, table, "funnel")?,
        subject: get(row, table, "subject")?,
        stage: get(row, table, "stage")?,
        cause: coded(row, table, "kind")?,
        anchor: get(row, table, "anchor_event")?,
    })
}

fn mark_cells(mark: &Mark) -> Vec<Cell> {
    let mut cells = mark_key_cells(&mark.key);
    cells.extend::<Vec<Cell>>(vec![
        mark.anchor.at.0.into(),
        mark.anchor.sequence.into(),
        mark.revision.into(),
        mark.due_at.0.into(),
        mark.noticed_at.0.into(),
        mark.owed_by.code().into(),
        mark.reason.clone().into(),
        mark.fate.code().into(),
        mark.customer.into(),
        mark.conversation.into(),
    ]);
    cells
}

fn mark(row: &QueryResult) -> StoreResult<Mark> {
    let key = mark_key(row, T)?;
    let anchor = OrderKey {
        at: Timestamp(get(row, T, "anchor_at")?),
        sequence: get(row, T, "anchor_sequence")?,
        id: key.anchor.clone(),
    };
    Ok(Mark {
        key,
        revision: get(row, T, "revision")?,
        anchor,
        due_at: Timestamp(get(row, T, "due_at")?),
        noticed_at: Timestamp(get(row, T, "noticed_at")?),
        owed_by: coded(row, T, "owed_by")?,
        reason: get(row, T, "reason")?,
        fate: coded(row, T, "fate")?,
        voided_at: crate::subjects::instant(row, T, "voided_at")?,
        customer: get(row, T, "customer")?,
        conversation: get(row, T, "conversation")?,
    })
}
