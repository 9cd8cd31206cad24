//! What lists and histories ask of the store, and what they get.

use rekindle_core::Timestamp;
use rekindle_core::funnel::OwedBy;
use rekindle_core::metrics::positions::Condition;
use rekindle_core::predicate::Predicate;
use uuid::Uuid;

/// Which conversations to list. All conditions that are given must hold.
#[derive(Debug, Clone, Default)]
pub struct ConversationQuery {
    /// A rule over the attributes now of the conversation and its customer.
    pub filter: Option<Predicate>,
    /// Who owes the next word.
    pub owed_by: Option<OwedBy>,
    /// Whether the latest episode is resolved.
    pub resolved: Option<bool>,
    /// The customer it belongs to.
    pub customer: Option<Uuid>,
    /// Where one of its journeys is.
    pub position: Option<PositionTest>,
    /// Keys below this one only: where the page before ended.
    pub before: Option<Uuid>,
    /// Most rows.
    pub limit: u32,
}

/// Which customers to list. All conditions that are given must hold.
#[derive(Debug, Clone, Default)]
pub struct CustomerQuery {
    /// A rule over the attributes now of the customer.
    pub filter: Option<Predicate>,
    /// Where one of their journeys is.
    pub position: Option<PositionTest>,
    /// Keys below this one only: where the page before ended.
    pub before: Option<Uuid>,
    /// Most rows.
    pub limit: u32,
}

/// Where a journey of a revision is at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionTest {
    /// Key of the revision.
    pub revision: i64,
    /// Place of the stage; any when absent, none included.
    pub place: Option<usize>,
    /// What the journey is doing; anything when absent.
    pub condition: Option<Condition>,
    /// The instant.
    pub now: Timestamp,
}

/// Rows of a page, newest key first.
#[derive(Debug, Clone, PartialEq)]
pub struct Scanned<T> {
    /// The rows; fewer than asked for when the rule had to be tested on too many.
    pub rows: Vec<T>,
    /// Where the next page starts; `None` when every row was seen.
    pub next: Option<Uuid>,
}

/// Counts over everything that belongs to a customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Conversations that are theirs.
    pub conversations: i64,
    /// Events, over all their conversations and outside of them.
    pub events: i64,
    /// Instant of the first of these.
    pub first_at: Option<Timestamp>,
    /// Instant of the newest of these.
    pub last_at: Option<Timestamp>,
}

impl Tally {
    /// Takes in counts of other events of the same customer.
    pub fn add(&mut self, other: &Self) {
        self.conversations += other.conversations;
        self.events += other.events;
        self.first_at = self.first_at.into_iter().chain(other.first_at).min();
        self.last_at = self.last_at.into_iter().chain(other.last_at).max();
    }
}

/// Whose events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Of a conversation.
    Conversation(Uuid),
    /// Of a customer, over the conversations they own and outside of them.
    Customer(Uuid),
}

/// A silence that became due and ended, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilenceRow {
    /// Key of the revision.
    pub revision: i64,
    /// Key of the subject.
    pub subject: Uuid,
    /// Place of the stage.
    pub place: usize,
    /// Id of the event at which it began.
    pub anchor: String,
    /// Since when.
    pub since: Timestamp,
    /// When it became a stall, or would have.
    pub stall_at: Option<Timestamp>,
    /// When it became an abandonment, or would have.
    pub abandon_at: Option<Timestamp>,
    /// Instant of the event that ended it.
    pub until: Timestamp,
    /// Who owed the next word.
    pub owed_by: OwedBy,
}
