//! Journeys of erased subjects: frozen where they stand.

use rekindle_core::Timestamp;
use rekindle_core::event::OrderKey;
use rekindle_ports::StoreResult;
use rekindle_ports::erasure::Erasure;
use sea_orm::QueryResult;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::renames::Renames;
use super::{conversations, customers, touched};
use crate::sql::{Cell, Columns, Kind, Source};
use crate::store::{SeaTx, get, get_json};

const KEY: &Columns = &[("revision", Kind::Int), ("subject", Kind::Uuid)];

const JOURNEY: &Columns = &[
    ("revision", Kind::Int),
    ("subject", Kind::Uuid),
    ("frozen", Kind::Bool),
    ("entry_event", Kind::Text),
    ("passages", Kind::Text),
    ("state", Kind::Text),
];

const ATTEMPT: &Columns = &[
    ("revision", Kind::Int),
    ("subject", Kind::Uuid),
    ("start_at", Kind::Int),
    ("start_sequence", Kind::Number),
    ("start_event", Kind::Text),
    ("new_start", Kind::Text),
    ("entered", Kind::Text),
];

impl SeaTx {
    /// Freezes the journeys of the subjects, and forgets erased ids and attributes in those of owners.
    pub(super) async fn erase_journeys(&self, order: &Erasure, renames: &Renames) -> StoreResult<()> {
        let keys = self.rewrite_journeys(order, renames).await?;
        if !keys.is_empty() {
            let Source { select, values } = self.source(KEY, &keys, 1);
            let of_journeys = format!("(revision, subject) IN ({select})");
            self.rewrite_attempts(&of_journeys, values.clone(), renames).await?;
            self.rename_in("silences", "anchor_event", &of_journeys, values, renames).await?;
        }
        let (condition, values) =
            self.any_of(&[("subject", &customers(order)), ("subject", &conversations(order))]);
        self.run(&format!("DELETE FROM timers WHERE {} AND {condition}", self.here()), values).await?;
        Ok(())
    }

    /// The keys of all journeys in which erased events can stand.
    async fn rewrite_journeys(&self, order: &Erasure, renames: &Renames) -> StoreResult<Vec<Vec<Cell>>> {
        let (condition, values) = self.any_of(&[("subject", &touched(order))]);
        let sql = format!(
            "SELECT revision, subject, entry_event, passages, state FROM journeys WHERE {} AND {condition}",
            self.here()
        );
        let rows = self.all(&sql, values).await?;
        let cells: Vec<Vec<Cell>> =
            rows.iter().map(|row| journey_cells(row, order, renames)).collect::<StoreResult<_>>()?;
        let Source { select, values } = self.source(JOURNEY, &cells, 1);
        let sql = format!(
            "UPDATE journeys SET live = (journeys.live AND NOT v.frozen), entry_event = v.entry_event, \
             passages = v.passages, state = v.state \
             FROM ({select}) AS v WHERE {} AND journeys.revision = v.revision AND journeys.subject = v.subject",
            self.here_in("journeys.")
        );
        self.run(&sql, values).await?;
        Ok(cells.into_iter().map(|mut cells| cells.drain(..2).collect()).collect())
    }

    async fn rewrite_attempts(
        &self,
        condition: &str,
        values: Vec<sea_orm::Value>,
        renames: &Renames,
    ) -> StoreResult<()> {
        let sql = format!(
            "SELECT revision, subject, start_at, start_sequence, start_event, entered FROM attempts \
             WHERE {} AND {condition}",
            self.here()
        );
        let mut rows = Vec::new();
        for row in self.all(&sql, values).await? {
            rows.extend(attempt_cells(&row, renames)?);
        }
        let Source { select, values } = self.source(ATTEMPT, &rows, 1);
        let sql = format!(
            "UPDATE attempts SET start_event = v.new_start, entered = v.entered FROM ({select}) AS v \
             WHERE {} AND attempts.revision = v.revision AND attempts.subject = v.subject \
             AND attempts.start_at = v.start_at AND attempts.start_sequence = v.start_sequence \
             AND attempts.start_event = v.start_event",
            self.here_in("attempts.")
        );
        self.run(&sql, values).await?;
        Ok(())
    }
}

fn journey_cells(row: &QueryResult, order: &Erasure, renames: &Renames) -> StoreResult<Vec<Cell>> {
    const T: &str = "journeys";
    let revision: i64 = get(row, T, "revision")?;
    let subject: Uuid = get(row, T, "subject")?;
    let mut passages: Value = get_json(row, T, "passages")?;
    renames.apply(&mut passages);
    let mut state: Map<String, Value> = get_json(row, T, "state")?;
    let frozen = !order.owners.contains(&subject);
    empty_state(&mut state, frozen, order);
    for (_, part) in state.iter_mut().filter(|(key, _)| *key != ATTRIBUTES) {
        renames.apply(part);
    }
    Ok(vec![
        revision.into(),
        subject.into(),
        frozen.into(),
        renames.renamed(get(row, T, "entry_event")?).into(),
        passages.to_string().into(),
        Value::from(state).to_string().into(),
    ])
}

/// Attributes in a checkpoint: of conversations `c` by key, and of the customer `u`.
const ATTRIBUTES: &str = "at";
/// Attempts in a checkpoint that a future event could still change.
const ATTEMPTS: &str = "a";

/// Takes attributes out of a checkpoint. A frozen one takes no event any more, and so
/// needs neither them nor its open attempts.
fn empty_state(state: &mut Map<String, Value>, frozen: bool, order: &Erasure) {
    if frozen {
        state.insert(ATTRIBUTES.into(), json!({}));
        state.insert(ATTEMPTS.into(), json!({}));
        return;
    }
    let of_conversations = state.get_mut(ATTRIBUTES).and_then(|attributes| attributes.get_mut("c"));
    if let Some(of_conversations) = of_conversations.and_then(Value::as_object_mut) {
        for erasee in &order.conversations {
            of_conversations.remove(&erasee.key.to_string());
        }
    }
}

/// The cells of an attempt, if an erased event stands in it.
fn attempt_cells(row: &QueryResult, renames: &Renames) -> StoreResult<Option<Vec<Cell>>> {
    const T: &str = "attempts";
    let start = OrderKey {
        at: Timestamp(get(row, T, "start_at")?),
        sequence: get(row, T, "start_sequence")?,
        id: get(row, T, "start_event")?,
    };
    let mut entered: Value = get_json(row, T, "entered")?;
    let new_start = renames.of(&start.id).map(str::to_owned);
    if !renames.apply(&mut entered) && new_start.is_none() {
        return Ok(None);
    }
    Ok(Some(vec![
        get::<i64>(row, T, "revision")?.into(),
        get::<Uuid>(row, T, "subject")?.into(),
        start.at.0.into(),
        start.sequence.into(),
        start.id.clone().into(),
        new_start.unwrap_or(start.id).into(),
        entered.to_string().into(),
    ]))
}
