//! Lists, counts and histories of customers and conversations.

use std::collections::HashMap;

use async_trait::async_trait;
use rekindle_core::event::OrderKey;
use uuid::Uuid;

use crate::browse::{ConversationQuery, CustomerQuery, Scanned, SilenceRow, Stream, Tally};
use crate::error::StoreResult;
use crate::rows::{ConversationRow, CustomerRow, StoredEvent};

/// What people look at. Erased subjects are in no list.
#[async_trait]
pub trait Browse {
    /// Conversations that pass, the newest key first.
    async fn list_conversations(
        &mut self,
        query: &ConversationQuery,
    ) -> StoreResult<Scanned<ConversationRow>>;

    /// Customers that pass, the newest key first.
    async fn list_customers(&mut self, query: &CustomerQuery) -> StoreResult<Scanned<CustomerRow>>;

    /// Counts of customers; one without events or conversations is missing.
    async fn tallies(&mut self, customers: &[Uuid]) -> StoreResult<HashMap<Uuid, Tally>>;

    /// Events of a stream after a place in it, in stream order.
    async fn event_page(
        &mut self,
        stream: Stream,
        after: Option<&OrderKey>,
        limit: u32,
    ) -> StoreResult<Vec<StoredEvent>>;

    /// An event by the client's id.
    async fn stored_event(&mut self, id: &str) -> StoreResult<Option<StoredEvent>>;

    /// Silences of these revisions and subjects that became due and ended.
    async fn ended_silences(&mut self, revisions: &[i64], subjects: &[Uuid]) -> StoreResult<Vec<SilenceRow>>;
}
