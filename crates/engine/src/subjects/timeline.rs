//! Everything that happened to a conversation or a customer, in order of time.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::event::OrderKey;
use rekindle_core::funnel::OwedBy;
use rekindle_core::mark::Mark;
use rekindle_core::scope::Scope;
use rekindle_ports::Tx;
use rekindle_ports::browse::Stream;
use rekindle_ports::ledger::{AttemptRow, DeliveryRow, LedgerFilter, RunEvent, RunRow};
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use super::events::{EventLine, conversation_names, page, stream_of};
use super::normal;
use crate::engine::{Engine, Inner};
use crate::error::EngineResult;

mod folded;
mod ledger;

/// One entry of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelineEntry {
    /// When it happened, or came due.
    pub at: Timestamp,
    /// The client's id of the conversation; `None` for the customer as such.
    pub conversation: Option<String>,
    /// What it is.
    pub what: Happening,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// An event came in.
    Event(EventLine),
    /// A stage was entered.
    StageMove(StageMove),
    /// A silence came due.
    Silence(SilenceLine),
    /// The detector noticed one.
    Mark(Mark),
    /// A run of a sequence did something.
    Run(RunLine),
    /// A message: at its first attempt, else when it was planned.
    Delivery(DeliveryLine),
}

/// A stage that a journey entered, in the newest revision of its funnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageMove {
    /// Funnel id.
    pub funnel: String,
    /// Revision.
    pub revision: i32,
    /// Passages before this one.
    pub passage: usize,
    /// Id of the stage left; `None` when the journey began.
    pub from: Option<String>,
    /// Id of the stage entered.
    pub to: String,
    /// Id of the event that entered it.
    pub event: String,
}

/// A silence that came due, as the events have it now, in the newest revision of its funnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceLine {
    /// Funnel id.
    pub funnel: String,
    /// Revision.
    pub revision: i32,
    /// Id of the stage.
    pub stage: String,
    /// Who owed the next word.
    pub owed_by: OwedBy,
    /// Id of the event at which it began.
    pub anchor: String,
    /// Since when.
    pub since: Timestamp,
    /// When it became a stall.
    pub stall_at: Option<Timestamp>,
    /// When it became an abandonment.
    pub abandon_at: Option<Timestamp>,
    /// Instant of the event that ended it; `None` while it goes on.
    pub until: Option<Timestamp>,
}

/// A line of a run's ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct RunLine {
    /// The run.
    pub run: RunRow,
    /// Place in the run, from 1.
    pub index: usize,
    /// The line.
    pub event: RunEvent,
}

/// A message with every attempt to send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryLine {
    /// The delivery.
    pub delivery: DeliveryRow,
    /// Attempts, oldest first.
    pub attempts: Vec<AttemptRow>,
    /// The client's id of the customer.
    pub customer: Option<String>,
}

/// A place in a history. Of entries at one instant events come first, then stages,
/// silences, marks, runs and deliveries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimelineCursor {
    /// When.
    pub at: Timestamp,
    /// Kind of the entry: 0 for events.
    pub rank: u8,
    /// Order among entries of one kind at one instant.
    pub sequence: i64,
    /// The same where that is equal.
    pub id: String,
}

/// A page of a history.
#[derive(Debug, Clone, PartialEq)]
pub struct TimelinePage {
    /// The entries, oldest first.
    pub entries: Vec<TimelineEntry>,
    /// The last one's place, when there are more.
    pub next: Option<TimelineCursor>,
}

impl Engine {
    /// The history of a conversation after a place in it.
    pub async fn conversation_timeline(
        &self,
        scope: Scope,
        id: &str,
        after: Option<TimelineCursor>,
        limit: u32,
    ) -> EngineResult<TimelinePage> {
        self.timeline_of(scope, NameKind::Conversation, normal(id), after, limit).await
    }

    /// The history of a customer, over all their conversations, after a place in it.
    pub async fn customer_timeline(
        &self,
        scope: Scope,
        id: &str,
        after: Option<TimelineCursor>,
        limit: u32,
    ) -> EngineResult<TimelinePage> {
        self.timeline_of(scope, NameKind::Customer, normal(id), after, limit).await
    }

    async fn timeline_of(
        &self,
        scope: Scope,
        kind: NameKind,
        id: String,
        after: Option<TimelineCursor>,
        limit: u32,
    ) -> EngineResult<TimelinePage> {
        let inner = Arc::clone(&self.inner);
        self.read(scope, move |tx, now| {
            let (inner, id, after) = (Arc::clone(&inner), id.clone(), after.clone());
            Box::pin(async move {
                let stream = stream_of(tx, kind, &id).await?;
                let whose = Whose::of(tx, stream).await?;
                timeline(tx, inner, whose, now, after, limit).await
            })
        })
        .await
    }
}

/// Whose history.
struct Whose {
    stream: Stream,
    /// Conversations and customers in it.
    subjects: Vec<Uuid>,
    /// Which runs and deliveries.
    filter: LedgerFilter,
}

impl Whose {
    /// That of the subject of a stream; of a customer, with all their conversations.
    async fn of(tx: &mut dyn Tx, stream: Stream) -> EngineResult<Self> {
        let all = LedgerFilter::default();
        Ok(match stream {
            Stream::Conversation(key) => {
                Self { stream, subjects: vec![key], filter: LedgerFilter { conversation: Some(key), ..all } }
            }
            Stream::Customer(key) => {
                let mut subjects = tx.conversations_of(key, Timestamp(i64::MIN), u32::MAX >> 1).await?;
                subjects.push(key);
                Self { stream, subjects, filter: LedgerFilter { customer: Some(key), ..all } }
            }
        })
    }
}

/// An entry with its place and the key of its conversation.
struct Placed {
    place: TimelineCursor,
    conversation: Option<Uuid>,
    what: Happening,
}

fn timeline(
    tx: &mut dyn Tx,
    inner: Arc<Inner>,
    whose: Whose,
    now: Timestamp,
    after: Option<TimelineCursor>,
    limit: u32,
) -> BoxFuture<'_, EngineResult<TimelinePage>> {
    Box::pin(async move {
        let size = limit as usize;
        let mut entries = folded::entries(tx, &inner, &whose, now).await?;
        entries.extend(ledger::entries(tx, &whose).await?);
        entries.retain(|entry| after.as_ref().is_none_or(|after| entry.place > *after));
        // One event more than fits: the page is full before another could be missing.
        let events = page(tx, whose.stream, after.as_ref().map(event_after), limit.saturating_add(1)).await?;
        entries.extend(events.events.into_iter().map(event_entry));
        entries.sort_by(|a, b| a.place.cmp(&b.place));
        let more = entries.len() > size;
        entries.truncate(size);
        let next = entries.last().filter(|_| more).map(|entry| entry.place.clone());
        Ok(TimelinePage { entries: named(tx, entries).await?, next })
    })
}

/// The place in the stream of events after which a page goes on.
fn event_after(after: &TimelineCursor) -> OrderKey {
    if after.rank == EVENT {
        return OrderKey { at: after.at, sequence: after.sequence, id: after.id.clone() };
    }
    // Every event of that instant came before.
    OrderKey { at: after.at.plus(1), sequence: i64::MIN, id: String::new() }
}

const EVENT: u8 = 0;
const STAGE: u8 = 1;
const SILENCE: u8 = 2;
const MARK: u8 = 3;
const RUN: u8 = 4;
const DELIVERY: u8 = 5;

fn event_entry(line: EventLine) -> Placed {
    let order = line.stored.event.order();
    Placed {
        place: TimelineCursor { at: order.at, rank: EVENT, sequence: order.sequence, id: order.id },
        conversation: line.stored.event.conversation,
        what: Happening::Event(line),
    }
}

/// Entries with the names of their conversations.
async fn named(tx: &mut dyn Tx, entries: Vec<Placed>) -> EngineResult<Vec<TimelineEntry>> {
    let keys = entries.iter().filter_map(|entry| entry.conversation);
    let names: HashMap<Uuid, String> = conversation_names(tx, keys).await?;
    let entry = |placed: Placed| TimelineEntry {
        at: placed.place.at,
        conversation: placed.conversation.and_then(|key| names.get(&key).cloned()),
        what: placed.what,
    };
    Ok(entries.into_iter().map(entry).collect())
}
