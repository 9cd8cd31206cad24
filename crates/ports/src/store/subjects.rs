//! Customers, conversations and their events.

use std::collections::HashMap;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::event::Event;
use rekindle_core::value::Properties;
use uuid::Uuid;

use crate::error::StoreResult;
use crate::rows::{ConversationRow, CustomerRow, NameKind, StoredEvent};

/// Subjects and what happened to them.
#[async_trait]
pub trait Subjects {
    /// Keys of the names, in their order; a name that is new gets the key minted
    /// beside it and an empty row. Names must be distinct and sorted.
    async fn resolve(
        &mut self,
        kind: NameKind,
        names: &[(String, Uuid)],
        now: Timestamp,
    ) -> StoreResult<HashMap<String, Uuid>>;

    /// The key of a name, if it is known.
    async fn key_of(&mut self, kind: NameKind, name: &str) -> StoreResult<Option<Uuid>>;

    /// Owners of conversations as they are before anything is locked.
    async fn owners_of(&mut self, conversations: &[Uuid]) -> StoreResult<HashMap<Uuid, Uuid>>;

    /// Locks customers in key order and reads them.
    async fn lock_customers(&mut self, keys: &[Uuid]) -> StoreResult<Vec<CustomerRow>>;

    /// Locks conversations in key order and reads them.
    async fn lock_conversations(&mut self, keys: &[Uuid]) -> StoreResult<Vec<ConversationRow>>;

    /// Locks those of the customers that nobody else has locked, in key order, and reads them.
    async fn lock_free_customers(&mut self, keys: &[Uuid]) -> StoreResult<Vec<CustomerRow>>;

    /// Locks those of the conversations that nobody else has locked, in key order, and reads them.
    async fn lock_free_conversations(&mut self, keys: &[Uuid]) -> StoreResult<Vec<ConversationRow>>;

    /// Digests of those of the events that are stored.
    async fn digests(&mut self, ids: &[String]) -> StoreResult<HashMap<String, Uuid>>;

    /// Inserts events and returns the ids of those that were not there.
    async fn insert_events(&mut self, events: &[StoredEvent]) -> StoreResult<Vec<String>>;

    /// Writes customers' rows.
    async fn save_customers(&mut self, rows: &[CustomerRow]) -> StoreResult<()>;

    /// Writes conversations' rows.
    async fn save_conversations(&mut self, rows: &[ConversationRow]) -> StoreResult<()>;

    /// These events, as far as they are stored.
    async fn events_by_id(&mut self, ids: &[String]) -> StoreResult<Vec<Event>>;

    /// All events of conversations, with the conversation, in stream order.
    async fn conversation_events(&mut self, keys: &[Uuid]) -> StoreResult<Vec<(Uuid, Event)>>;

    /// All events of customers (of the conversations they own, and their own), with the
    /// customer, in stream order.
    async fn customer_events(&mut self, keys: &[Uuid]) -> StoreResult<Vec<(Uuid, Event)>>;

    /// When customers came back: for each of the subjects (all of one kind) the first instant later than
    /// the one beside it at which the customer did something, themselves and no machine
    /// ([`Event::is_return`]), that is more than news of attributes. What is done in any conversation of a
    /// customer, and outside of all, is theirs. Those who did not come back are missing.
    async fn returns(
        &mut self,
        kind: NameKind,
        after: &[(Uuid, Timestamp)],
    ) -> StoreResult<HashMap<(Uuid, Timestamp), Timestamp>>;

    /// What is known of subjects of a kind now, and nothing else of them; nothing is locked.
    async fn attributes(&mut self, kind: NameKind, keys: &[Uuid]) -> StoreResult<HashMap<Uuid, Properties>>;

    /// Events that set attributes of customers, in whatever conversation, with the customer, in
    /// stream order.
    async fn attribute_events(&mut self, keys: &[Uuid]) -> StoreResult<Vec<(Uuid, Event)>>;

    /// Conversations that these customers own, but those that were erased; in no order.
    async fn conversations_owned(&mut self, customers: &[Uuid]) -> StoreResult<Vec<Uuid>>;

    /// Conversations that no customer is known to own, but those that were erased, in the order of their
    /// keys after one.
    async fn conversations_unowned(&mut self, after: Option<Uuid>, limit: u32) -> StoreResult<Vec<Uuid>>;

    /// Conversations of a customer whose newest event is later than `after`, in key order.
    async fn conversations_of(
        &mut self,
        customer: Uuid,
        after: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Uuid>>;
}
