//! Journeys, attempts and silences in SQL.

use async_trait::async_trait;
use rekindle_core::fold::passage::Standing;
use rekindle_core::fold::{Attempt, Journey, Silence};
use rekindle_ports::StoreResult;
use rekindle_ports::rows::{JourneyKey, JourneyRow, JourneyWrite, TimerSet};
use rekindle_ports::store::Journeys;
use sea_orm::QueryResult;
use uuid::Uuid;

use crate::codes::Code;
use crate::probe::Probe;
use crate::sql::{Cell, Columns, Kind, Source};
use crate::store::{SeaTx, get, get_json, json};
use crate::subjects::replace;

const JOURNEY: &Columns = &[
    ("revision", Kind::Int),
    ("subject", Kind::Uuid),
    ("funnel", Kind::Given),
    ("customer", Kind::Uuid),
    ("live", Kind::Bool),
    ("first_at", Kind::Int),
    ("last_at", Kind::Int),
    ("received_through", Kind::Int),
    ("place", Kind::Int),
    ("entered_at", Kind::Int),
    ("moved_at", Kind::Int),
    ("entry_event", Kind::Text),
    ("completed", Kind::Bool),
    ("ended", Kind::Bool),
    ("open_since", Kind::Int),
    ("open_stall_at", Kind::Int),
    ("open_abandon_at", Kind::Int),
    ("passages", Kind::Given),
    ("state", Kind::Given),
];

const ATTEMPT: &Columns = &[
    ("revision", Kind::Int),
    ("subject", Kind::Uuid),
    ("start_at", Kind::Int),
    ("start_sequence", Kind::Number),
    ("start_event", Kind::Given),
    ("customer", Kind::Uuid),
    ("entered", Kind::Given),
    ("voided_at", Kind::Int),
    ("episode", Kind::Int),
    ("chained", Kind::Bool),
    ("entry_values", Kind::Given),
];

const SILENCE: &Columns = &[
    ("revision", Kind::Int),
    ("subject", Kind::Uuid),
    ("place", Kind::Int),
    ("anchor_at", Kind::Int),
    ("anchor_sequence", Kind::Number),
    ("anchor_event", Kind::Given),
    ("since", Kind::Int),
    ("stall_at", Kind::Int),
    ("abandon_at", Kind::Int),
    ("until_at", Kind::Int),
    ("ended_by", Kind::Int),
    ("owed_by", Kind::Int),
];

const JOURNEY_KEY: &Columns = &[("revision", Kind::Int), ("subject", Kind::Uuid)];

const TIMER: &Columns =
    &[("funnel", Kind::Given), ("subject", Kind::Uuid), ("due_at", Kind::Int), ("epoch", Kind::Int)];

#[async_trait]
impl Journeys for SeaTx {
    async fn load_journeys(&mut self, revisions: &[i64], subjects: &[Uuid]) -> StoreResult<Vec<JourneyRow>> {
        if revisions.is_empty() || subjects.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<Vec<Cell>> = revisions
            .iter()
            .flat_map(|revision| subjects.iter().map(|subject| vec![(*revision).into(), (*subject).into()]))
            .collect();
        let Source { select, values } = self.source(JOURNEY_KEY, &keys, 1);
        let journeys = Probe {
            columns: "revision, subject, funnel, customer, live, passages, state",
            table: "journeys",
            by: &["revision", "subject"],
            and: "",
        };
        self.all(&self.probe(&journeys, &select), values).await?.iter().map(journey).collect()
    }

    async fn save_journeys(&mut self, writes: &[JourneyWrite]) -> StoreResult<()> {
        let replaced: Vec<Vec<Cell>> = writes
            .iter()
            .filter(|write| write.replaces && write.existed)
            .map(|write| key_cells(&write.row.key))
            .collect();
        self.delete_by_journey("attempts", &replaced).await?;
        self.delete_by_journey("silences", &replaced).await?;
        let rows: Vec<Vec<Cell>> = writes.iter().map(journey_cells).collect();
        self.insert("journeys", JOURNEY, &rows, &replace(JOURNEY, &["revision", "subject"])).await?;
        let rows: Vec<Vec<Cell>> = writes
            .iter()
            .flat_map(|write| write.attempts.iter().map(|attempt| attempt_cells(&write.row, attempt)))
            .collect();
        let tail = replace(ATTEMPT, &["revision", "subject", "start_at", "start_sequence", "start_event"]);
        self.insert("attempts", ATTEMPT, &rows, &tail).await?;
        let rows: Vec<Vec<Cell>> = writes
            .iter()
            .flat_map(|write| {
                // One that was only warned of counts in no figure.
                let kept = write.silences.iter().filter(|silence| silence.became_due());
                kept.map(|silence| silence_cells(&write.row, silence))
            })
            .collect();
        // One with the same anchor and end is the same silence.
        self.insert("silences", SILENCE, &rows, "ON CONFLICT DO NOTHING").await?;
        Ok(())
    }

    async fn retire(&mut self, retired: &[JourneyKey]) -> StoreResult<()> {
        if retired.is_empty() {
            return Ok(());
        }
        let rows: Vec<Vec<Cell>> = retired.iter().map(key_cells).collect();
        let Source { select, values } = self.source(JOURNEY_KEY, &rows, 1);
        let sql = format!(
            "UPDATE journeys SET live = FALSE FROM ({}) AS v WHERE {}",
            self.batch(&select),
            self.is_of_batch("journeys", &["revision", "subject"])
        );
        self.run(&sql, values).await?;
        Ok(())
    }

    async fn forget(&mut self, revision: i64, subjects: &[Uuid]) -> StoreResult<()> {
        let rows: Vec<Vec<Cell>> =
            subjects.iter().map(|subject| key_cells(&JourneyKey { revision, subject: *subject })).collect();
        for table in ["attempts", "silences", "journeys"] {
            self.delete_by_journey(table, &rows).await?;
        }
        Ok(())
    }

    async fn set_timers(&mut self, timers: &[TimerSet]) -> StoreResult<()> {
        let rows: Vec<Vec<Cell>> = timers
            .iter()
            .map(|timer| {
                vec![timer.funnel.clone().into(), timer.subject.into(), timer.due_at.0.into(), 0i64.into()]
            })
            .collect();
        let tail = "ON CONFLICT (bucket, workspace, funnel, subject) \
                    DO UPDATE SET due_at = excluded.due_at WHERE excluded.due_at < timers.due_at";
        self.insert("timers", TIMER, &rows, tail).await?;
        Ok(())
    }
}

impl SeaTx {
    async fn delete_by_journey(&self, table: &str, rows: &[Vec<Cell>]) -> StoreResult<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let Source { select, values } = self.source(JOURNEY_KEY, rows, 1);
        let sql = self.delete_batch(table, &["revision", "subject"], &select);
        self.run(&sql, values).await?;
        Ok(())
    }
}

pub(crate) fn journey(row: &QueryResult) -> StoreResult<JourneyRow> {
    const T: &str = "journeys";
    let mut journey: Journey = get_json(row, T, "state")?;
    journey.passages = get_json(row, T, "passages")?;
    Ok(JourneyRow {
        key: JourneyKey { revision: get(row, T, "revision")?, subject: get(row, T, "subject")? },
        funnel: get(row, T, "funnel")?,
        customer: get(row, T, "customer")?,
        live: get(row, T, "live")?,
        journey,
    })
}

fn key_cells(key: &JourneyKey) -> Vec<Cell> {
    vec![key.revision.into(), key.subject.into()]
}

fn journey_cells(write: &JourneyWrite) -> Vec<Cell> {
    let JourneyRow { key, funnel, customer, live, journey } = &write.row;
    let Standing { place, entered_at, moved_at, completed, ended } = write.standing;
    let open = journey.watch.open.as_ref();
    let passage = journey.passages.0.last();
    let entry = passage.and_then(|passage| passage.moves.first()).map(|entry| entry.by.id.clone());
    vec![
        key.revision.into(),
        key.subject.into(),
        funnel.clone().into(),
        (*customer).into(),
        (*live).into(),
        journey.first_at.map(|at| at.0).into(),
        journey.last_at.map(|at| at.0).into(),
        journey.received_through.0.into(),
        place.map(|place| place as i64).into(),
        entered_at.map(|at| at.0).into(),
        moved_at.map(|at| at.0).into(),
        entry.into(),
        completed.into(),
        ended.into(),
        open.map(|open| open.since().0).into(),
        open.and_then(Silence::stall_at).map(|at| at.0).into(),
        open.and_then(Silence::abandon_at).map(|at| at.0).into(),
        json(&journey.passages).into(),
        json(journey).into(),
    ]
}

fn attempt_cells(row: &JourneyRow, attempt: &Attempt) -> Vec<Cell> {
    vec![
        row.key.revision.into(),
        row.key.subject.into(),
        attempt.start.at.0.into(),
        attempt.start.sequence.into(),
        attempt.start.id.clone().into(),
        row.customer.into(),
        json(&attempt.entered).into(),
        attempt.voided_at.map(|at| at.0).into(),
        i64::from(attempt.episode).into(),
        attempt.chained.into(),
        json(&attempt.values).into(),
    ]
}

fn silence_cells(row: &JourneyRow, silence: &Silence) -> Vec<Cell> {
    let anchor = &silence.key.anchor;
    vec![
        row.key.revision.into(),
        row.key.subject.into(),
        (silence.key.place as i64).into(),
        anchor.at.0.into(),
        anchor.sequence.into(),
        anchor.id.clone().into(),
        silence.since().0.into(),
        silence.stall_at().map(|at| at.0).into(),
        silence.abandon_at().map(|at| at.0).into(),
        silence.until.map(|at| at.0).into(),
        silence.ended_by.map_or(0, Code::code).into(),
        silence.owed_by.code().into(),
    ]
}
