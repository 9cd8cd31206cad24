//! Conversations and customers: read, listed, told, changed and erased.

use std::sync::Arc;

use rekindle_core::scope::Scope;
use rekindle_ports::Tx;
use rekindle_ports::rows::{ConversationRow, CustomerRow, NameKind};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, ResourceKind};

mod attributes;
mod erase;
mod events;
mod lists;
mod positions;
mod timeline;

pub use attributes::{AttributeChange, Updated};
pub use erase::{ErasedConversation, ErasedCustomer};
pub use events::{EventLine, EventPage};
pub use lists::{ConversationList, ConversationPage, CustomerList, CustomerPage, PositionFilter};
pub use positions::{PositionView, QuietView};
pub use timeline::{
    DeliveryLine, Happening, RunLine, SilenceLine, StageMove, TimelineCursor, TimelineEntry, TimelinePage,
};

/// A conversation as its events and attributes tell it.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationView {
    /// Its row: name, attributes, turn and episodes.
    pub row: ConversationRow,
    /// The client's id of the customer it belongs to.
    pub customer: Option<String>,
    /// Where its journeys are, by funnel; empty in lists.
    pub positions: Vec<PositionView>,
}

/// A customer, over all their conversations.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerView {
    /// Their row: name and attributes. Its instants include those of all conversations.
    pub row: CustomerRow,
    /// Events, over all conversations and outside of them.
    pub event_count: i64,
    /// Conversations that are theirs.
    pub conversation_count: i64,
    /// Where their journeys are, by funnel; empty in lists.
    pub positions: Vec<PositionView>,
}

impl Engine {
    /// A conversation by the client's id.
    pub async fn conversation(&self, scope: Scope, id: &str) -> EngineResult<ConversationView> {
        let (inner, id) = (Arc::clone(&self.inner), normal(id));
        self.read(scope, move |tx, now| {
            let (inner, id) = (Arc::clone(&inner), id.clone());
            Box::pin(async move {
                let row = existing_conversation(tx, &id).await?;
                let positions = positions::of_conversation(tx, &inner, row.key, now).await?;
                let customer = customer_name(tx, &row).await?;
                Ok(ConversationView { row, customer, positions })
            })
        })
        .await
    }

    /// A customer by the client's id.
    pub async fn customer(&self, scope: Scope, id: &str) -> EngineResult<CustomerView> {
        let (inner, id) = (Arc::clone(&self.inner), normal(id));
        self.read(scope, move |tx, now| {
            let (inner, id) = (Arc::clone(&inner), id.clone());
            Box::pin(async move {
                let row = existing_customer(tx, &id).await?;
                let positions = positions::of_customer(tx, &inner, row.key, now).await?;
                let mut views = counted(tx, vec![row]).await?;
                let view = views.pop().ok_or_else(|| no_customer(&id))?;
                Ok(CustomerView { positions, ..view })
            })
        })
        .await
    }
}

/// A name in the form in which names are stored.
pub(crate) fn normal(name: &str) -> String {
    name.nfc().collect()
}

/// A conversation's row; one that was erased is not found.
async fn existing_conversation(tx: &mut dyn Tx, id: &str) -> EngineResult<ConversationRow> {
    let row = match tx.key_of(NameKind::Conversation, id).await? {
        Some(key) => tx.lock_conversations(&[key]).await?.pop(),
        None => None,
    };
    row.filter(|row| row.erased_at.is_none()).ok_or_else(|| no_conversation(id))
}

/// A customer's row; one that was erased is not found.
async fn existing_customer(tx: &mut dyn Tx, id: &str) -> EngineResult<CustomerRow> {
    let row = match tx.key_of(NameKind::Customer, id).await? {
        Some(key) => tx.lock_customers(&[key]).await?.pop(),
        None => None,
    };
    row.filter(|row| row.erased_at.is_none()).ok_or_else(|| no_customer(id))
}

fn no_conversation(id: &str) -> EngineError {
    EngineError::not_found(ResourceKind::Conversation, id)
}

fn no_customer(id: &str) -> EngineError {
    EngineError::not_found(ResourceKind::Customer, id)
}

/// The name of a conversation's customer.
async fn customer_name(tx: &mut dyn Tx, row: &ConversationRow) -> EngineResult<Option<String>> {
    let Some((owner, _)) = &row.owner else {
        return Ok(None);
    };
    Ok(tx.names(NameKind::Customer, &[*owner]).await?.remove(owner))
}

/// Customers with their counts, in the same order.
async fn counted(tx: &mut dyn Tx, rows: Vec<CustomerRow>) -> EngineResult<Vec<CustomerView>> {
    let keys: Vec<Uuid> = rows.iter().map(|row| row.key).collect();
    let tallies = tx.tallies(&keys).await?;
    let view = |row: CustomerRow| {
        let tally = tallies.get(&row.key).copied().unwrap_or_default();
        CustomerView {
            event_count: tally.events,
            conversation_count: tally.conversations,
            positions: Vec::new(),
            row: CustomerRow {
                first_at: row.first_at.into_iter().chain(tally.first_at).min(),
                last_at: row.last_at.into_iter().chain(tally.last_at).max(),
                ..row
            },
        }
    };
    Ok(rows.into_iter().map(view).collect())
}
