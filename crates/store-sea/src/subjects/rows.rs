//! Customers, conversations and events as rows.

use rekindle_core::Timestamp;
use rekindle_core::event::{Author, Event, OrderKey};
use rekindle_ports::StoreResult;
use rekindle_ports::rows::{ConversationRow, CustomerRow, StoredEvent};
use sea_orm::QueryResult;
use uuid::Uuid;

use crate::codes::Code;
use crate::sql::{Cell, Columns, Kind};
use crate::store::{get, get_json, json};
use crate::tombstone::tombstone;

pub(super) const CUSTOMER: &Columns = &[
    ("key", Kind::Uuid),
    ("name", Kind::Given),
    ("attributes", Kind::Json),
    ("latest", Kind::Given),
    ("attribute_events", Kind::Int),
    ("first_at", Kind::Int),
    ("last_at", Kind::Int),
    ("created_at", Kind::Int),
    ("erased_at", Kind::Int),
];

pub(super) const CONVERSATION: &Columns = &[
    ("key", Kind::Uuid),
    ("name", Kind::Given),
    ("owner", Kind::Uuid),
    ("owner_order", Kind::Text),
    ("attributes", Kind::Json),
    ("latest", Kind::Given),
    ("state", Kind::Given),
    ("owed_by", Kind::Int),
    ("resolved", Kind::Bool),
    ("event_count", Kind::Int),
    ("first_at", Kind::Int),
    ("last_at", Kind::Int),
    ("created_at", Kind::Int),
    ("erased_at", Kind::Int),
];

pub(super) const EVENT: &Columns = &[
    ("id", Kind::Given),
    ("conversation", Kind::Uuid),
    ("customer", Kind::Uuid),
    ("customer_name", Kind::Text),
    ("kind", Kind::Given),
    ("occurred_at", Kind::Int),
    ("effective_at", Kind::Int),
    ("received_at", Kind::Int),
    ("sequence", Kind::Number),
    ("author", Kind::Int),
    ("flags", Kind::Int),
    ("body", Kind::Text),
    ("properties", Kind::Json),
    ("digest", Kind::Uuid),
];

const PUBLIC: i64 = 1;
pub(super) const AUTOMATED: i64 = 2;
const CLOSING: i64 = 4;
pub(crate) const CLAMPED: i64 = 8;

fn micros(at: Option<Timestamp>) -> Cell {
    Cell::Int(at.map(|at| at.0))
}

pub(super) fn customer_cells(row: &CustomerRow) -> Vec<Cell> {
    vec![
        row.key.into(),
        row.name.clone().into(),
        json(&row.attributes.current()).into(),
        json(&row.attributes).into(),
        row.attribute_events.into(),
        micros(row.first_at),
        micros(row.last_at),
        row.created_at.0.into(),
        micros(row.erased_at),
    ]
}

pub(super) fn conversation_cells(row: &ConversationRow) -> Vec<Cell> {
    let owner = row.owner.as_ref();
    vec![
        row.key.into(),
        row.name.clone().into(),
        owner.map(|(key, _)| *key).into(),
        owner.map(|(_, order)| json(order)).into(),
        json(&row.attributes.current()).into(),
        json(&row.attributes).into(),
        json(&row.state).into(),
        row.state.owed_by().code().into(),
        row.state.is_resolved().into(),
        row.event_count.into(),
        micros(row.first_at),
        micros(row.last_at),
        row.created_at.0.into(),
        micros(row.erased_at),
    ]
}

fn event_cells(stored: &StoredEvent) -> Vec<Cell> {
    let event = &stored.event;
    let flag = |set: bool, bit: i64| if set { bit } else { 0 };
    let flags = flag(event.public, PUBLIC)
        | flag(event.automated, AUTOMATED)
        | flag(event.closing, CLOSING)
        | flag(stored.clamped, CLAMPED);
    vec![
        event.id.clone().into(),
        event.conversation.into(),
        event.customer.into(),
        stored.customer_name.clone().into(),
        event.kind.clone().into(),
        event.occurred_at.0.into(),
        event.effective_at.0.into(),
        event.received_at.0.into(),
        event.sequence.into(),
        event.author.code().into(),
        flags.into(),
        event.text.clone().into(),
        json(&event.properties).into(),
        stored.digest.into(),
    ]
}

/// An event's cells, and the id under which it is stored should it have been erased.
pub(super) fn event_cells_and_tombstone(stored: &StoredEvent) -> Vec<Cell> {
    let mut cells = event_cells(stored);
    cells.push(tombstone(&stored.event.id).into());
    cells
}

pub(crate) fn instant(
    row: &QueryResult,
    table: &'static str,
    column: &'static str,
) -> StoreResult<Option<Timestamp>> {
    Ok(get::<Option<i64>>(row, table, column)?.map(Timestamp))
}

fn required(row: &QueryResult, table: &'static str, column: &'static str) -> StoreResult<Timestamp> {
    Ok(Timestamp(get(row, table, column)?))
}

pub(crate) fn customer(row: &QueryResult) -> StoreResult<CustomerRow> {
    const T: &str = "customers";
    Ok(CustomerRow {
        key: get(row, T, "key")?,
        name: get(row, T, "name")?,
        attributes: get_json(row, T, "latest")?,
        attribute_events: get(row, T, "attribute_events")?,
        first_at: instant(row, T, "first_at")?,
        last_at: instant(row, T, "last_at")?,
        created_at: required(row, T, "created_at")?,
        erased_at: instant(row, T, "erased_at")?,
    })
}

pub(crate) fn conversation(row: &QueryResult) -> StoreResult<ConversationRow> {
    const T: &str = "conversations";
    let owner: Option<Uuid> = get(row, T, "owner")?;
    let owner = match owner {
        Some(key) => Some((key, get_json::<OrderKey>(row, T, "owner_order")?)),
        None => None,
    };
    Ok(ConversationRow {
        key: get(row, T, "key")?,
        name: get(row, T, "name")?,
        owner,
        attributes: get_json(row, T, "latest")?,
        state: get_json(row, T, "state")?,
        event_count: get(row, T, "event_count")?,
        first_at: instant(row, T, "first_at")?,
        last_at: instant(row, T, "last_at")?,
        created_at: required(row, T, "created_at")?,
        erased_at: instant(row, T, "erased_at")?,
    })
}

/// Reads an event from [`event_columns`](crate::store::SeaTx::event_columns).
pub(crate) fn event(row: &QueryResult) -> StoreResult<Event> {
    const T: &str = "events";
    let flags: i16 = get(row, T, "flags")?;
    let flags = i64::from(flags);
    let author: i16 = get(row, T, "author")?;
    Ok(Event {
        id: get(row, T, "id")?,
        kind: get(row, T, "kind")?,
        conversation: get(row, T, "conversation")?,
        customer: get(row, T, "customer")?,
        occurred_at: required(row, T, "occurred_at")?,
        effective_at: required(row, T, "effective_at")?,
        received_at: required(row, T, "received_at")?,
        sequence: get(row, T, "sequence")?,
        author: Author::from_code(author.into()).unwrap_or(Author::Customer),
        public: flags & PUBLIC != 0,
        automated: flags & AUTOMATED != 0,
        closing: flags & CLOSING != 0,
        text: get(row, T, "body")?,
        properties: get_json(row, T, "properties")?,
    })
}
