//! The shapes that cross the border between the engine and a store.

use std::collections::BTreeMap;

use rekindle_core::Timestamp;
use rekindle_core::attributes::LatestAttributes;
use rekindle_core::conversation::Conversation;
use rekindle_core::event::{Event, OrderKey};
use rekindle_core::fold::{Attempt, Journey, Silence};
use rekindle_core::funnel::{Funnel, OwedBy};
use uuid::Uuid;

/// What an identity names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameKind {
    /// A customer.
    Customer,
    /// A conversation.
    Conversation,
}

/// An event with what only the store keeps of it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEvent {
    /// The event.
    pub event: Event,
    /// Name of the customer as sent, if one was.
    pub customer_name: Option<String>,
    /// Digest of its content, to tell a redelivery from a reused id.
    pub digest: Uuid,
    /// Whether its instant was clamped to its receipt.
    pub clamped: bool,
}

/// A customer's row.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerRow {
    /// Our key.
    pub key: Uuid,
    /// The client's id.
    pub name: String,
    /// Attributes as they are now, with where they came from.
    pub attributes: LatestAttributes,
    /// Number of attribute events taken in.
    pub attribute_events: i64,
    /// Instant of the first event.
    pub first_at: Option<Timestamp>,
    /// Instant of the newest event.
    pub last_at: Option<Timestamp>,
    /// When it was first stored.
    pub created_at: Timestamp,
    /// When its names and content were erased.
    pub erased_at: Option<Timestamp>,
}

/// A conversation's row.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationRow {
    /// Our key.
    pub key: Uuid,
    /// The client's id.
    pub name: String,
    /// The customer it belongs to and the place of the event that says so.
    pub owner: Option<(Uuid, OrderKey)>,
    /// Attributes as they are now, with where they came from.
    pub attributes: LatestAttributes,
    /// The conversation's own fold.
    pub state: Conversation,
    /// Number of events.
    pub event_count: i64,
    /// Instant of the first event.
    pub first_at: Option<Timestamp>,
    /// Instant of the newest event.
    pub last_at: Option<Timestamp>,
    /// When it was first stored.
    pub created_at: Timestamp,
    /// When its names and content were erased.
    pub erased_at: Option<Timestamp>,
}

/// A funnel revision that events are folded into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionHead {
    /// Funnel id.
    pub funnel: String,
    /// Number of the revision, from 1.
    pub revision: i32,
    /// Key of the revision in fact tables.
    pub key: i64,
    /// Whether it is the funnel's newest.
    pub is_latest: bool,
    /// When it was published: silences due before are history.
    pub published_at: Timestamp,
    /// What became of the journeys that were live before it.
    pub policy: LivePolicy,
}

/// What publishing a revision does to the journeys that are live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LivePolicy {
    /// They stay live in their revision until they end.
    #[default]
    Drain,
    /// They go on in the new revision.
    Migrate,
    /// They end; nothing of them is live.
    Cancel,
}

/// A funnel revision as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct RevisionRow {
    /// Which.
    pub head: RevisionHead,
    /// What it says.
    pub body: Funnel,
    /// For stages that it removed: the stage that takes over, or none.
    pub stage_map: BTreeMap<String, String>,
}

/// A funnel's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunnelRow {
    /// Id in the workspace.
    pub id: String,
    /// Newest revision.
    pub revision: i32,
    /// Changes with every change.
    pub etag: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Which journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JourneyKey {
    /// Key of the revision.
    pub revision: i64,
    /// Key of the subject.
    pub subject: Uuid,
}

/// A journey's row.
#[derive(Debug, Clone, PartialEq)]
pub struct JourneyRow {
    /// Which.
    pub key: JourneyKey,
    /// Funnel id.
    pub funnel: String,
    /// Customer of the subject: itself, or the conversation's owner.
    pub customer: Option<Uuid>,
    /// Whether it has a timer, is marked and starts runs.
    pub live: bool,
    /// The fold's checkpoint.
    pub journey: Journey,
}

/// What a unit of work writes of one journey.
#[derive(Debug, Clone, PartialEq)]
pub struct JourneyWrite {
    /// The row.
    pub row: JourneyRow,
    /// Where it stands, for the columns that lists and figures read.
    pub standing: rekindle_core::fold::passage::Standing,
    /// Attempts to write.
    pub attempts: Vec<Attempt>,
    /// Silences that became due and ended, to write.
    pub silences: Vec<Silence>,
    /// Whether the journey was folded anew: everything written before is replaced.
    pub replaces: bool,
    /// The row is known to be there (it was loaded).
    pub existed: bool,
}

/// A timer to set: the detector looks at the journey then, or earlier if it is to already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerSet {
    /// Funnel id.
    pub funnel: String,
    /// Key of the subject.
    pub subject: Uuid,
    /// When to look.
    pub due_at: Timestamp,
}

/// A row that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed<K> {
    /// Which row.
    pub key: K,
    /// Fencing token: the row's epoch as of this claim.
    pub epoch: i64,
    /// Claims of the row alone since one ended well, this one included; 0 for one that was free.
    pub crashes: i32,
}

/// Which timer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerKey {
    /// Workspace.
    pub scope: rekindle_core::scope::Scope,
    /// Funnel id.
    pub funnel: String,
    /// Key of the subject.
    pub subject: Uuid,
}

/// What becomes of a claimed timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerDone {
    /// Which, and the fence.
    pub claim: Claimed<TimerKey>,
    /// When to look again; `None` removes it.
    pub next: Option<Timestamp>,
}

/// A timer that nobody looks at any more, because every look failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerAside {
    /// Which.
    pub key: TimerKey,
    /// When it was set aside.
    pub at: Timestamp,
    /// Why, for people.
    pub reason: String,
}

/// A worker's lease on claimed rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The worker.
    pub owner: String,
    /// How long the claim holds without renewal, in microseconds of database time.
    pub ttl: i64,
}

/// Progress of filling a revision from stored history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillRow {
    /// Which revision.
    pub head: RevisionHead,
    /// What it does.
    pub state: FillState,
    /// Newest subject key folded; the fill goes through them in key order.
    pub cursor: Option<Uuid>,
    /// Subjects seen so far.
    pub done: i64,
    /// Subjects there were when it began.
    pub total: i64,
}

/// What a fill does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FillState {
    /// At work, or waiting for a worker.
    Running,
    /// Through.
    Done,
    /// Stopped by a user: the revision stays incomplete.
    Cancelled,
}

/// Names and instants of a subject, for lists and drill-down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectName {
    /// Key.
    pub key: Uuid,
    /// The client's id.
    pub name: String,
}

/// Whose turn, as stored in lists.
pub type Turn = OwedBy;
