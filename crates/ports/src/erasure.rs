//! What is erased, and what stays of it.

use std::collections::BTreeSet;

use rekindle_core::Timestamp;
use uuid::Uuid;

/// Subjects to erase. Their rows, and those of `owners`, are locked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Erasure {
    /// Customers.
    pub customers: Vec<Erasee>,
    /// Conversations.
    pub conversations: Vec<Erasee>,
    /// Customers who stay and whose streams hold events of the conversations.
    pub owners: Vec<Uuid>,
    /// What is not emptied.
    pub kept: KeptKeys,
    /// Business time.
    pub at: Timestamp,
}

/// A subject to erase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasee {
    /// Our key; it stays.
    pub key: Uuid,
    /// The client's id, of which only a hash stays.
    pub name: String,
    /// What lists of figures show instead; nothing maps to it.
    pub pseudonym: String,
}

/// Keys that figures are broken down by: their values stay, so that figures do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptKeys {
    /// Properties of events.
    pub event: BTreeSet<String>,
    /// Attributes of conversations.
    pub conversation: BTreeSet<String>,
    /// Attributes of customers.
    pub customer: BTreeSet<String>,
}

/// What an erasure did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Events that were emptied.
    pub events: u64,
    /// Runs that ended with it.
    pub runs: u64,
}
