//! Events of a conversation or a customer, page by page.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::BoxFuture;
use rekindle_core::event::OrderKey;
use rekindle_core::scope::Scope;
use rekindle_ports::Tx;
use rekindle_ports::browse::Stream;
use rekindle_ports::rows::{NameKind, StoredEvent};
use uuid::Uuid;

use super::{existing_conversation, existing_customer, normal};
use crate::engine::Engine;
use crate::error::EngineResult;

/// An event with the names it was sent with.
#[derive(Debug, Clone, PartialEq)]
pub struct EventLine {
    /// The event; the customer's name as sent is in it.
    pub stored: StoredEvent,
    /// The client's id of the conversation.
    pub conversation: Option<String>,
}

/// A page of events.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// The events, in the order in which they count.
    pub events: Vec<EventLine>,
    /// The last one's place, when there are more.
    pub next: Option<OrderKey>,
}

impl Engine {
    /// Events of a conversation after a place in its stream.
    pub async fn conversation_events(
        &self,
        scope: Scope,
        id: &str,
        after: Option<OrderKey>,
        limit: u32,
    ) -> EngineResult<EventPage> {
        self.events_of(scope, NameKind::Conversation, normal(id), after, limit).await
    }

    /// Events of a customer, over all their conversations, after a place in their stream.
    pub async fn customer_events(
        &self,
        scope: Scope,
        id: &str,
        after: Option<OrderKey>,
        limit: u32,
    ) -> EngineResult<EventPage> {
        self.events_of(scope, NameKind::Customer, normal(id), after, limit).await
    }

    async fn events_of(
        &self,
        scope: Scope,
        kind: NameKind,
        id: String,
        after: Option<OrderKey>,
        limit: u32,
    ) -> EngineResult<EventPage> {
        self.read(scope, move |tx, _| {
            let (id, after) = (id.clone(), after.clone());
            Box::pin(async move {
                let stream = stream_of(tx, kind, &id).await?;
                page(tx, stream, after, limit).await
            })
        })
        .await
    }
}

/// The stream of a subject that is there.
pub(super) async fn stream_of(tx: &mut dyn Tx, kind: NameKind, id: &str) -> EngineResult<Stream> {
    Ok(match kind {
        NameKind::Conversation => Stream::Conversation(existing_conversation(tx, id).await?.key),
        NameKind::Customer => Stream::Customer(existing_customer(tx, id).await?.key),
    })
}

/// A page of a stream.
pub(super) fn page(
    tx: &mut dyn Tx,
    stream: Stream,
    after: Option<OrderKey>,
    limit: u32,
) -> BoxFuture<'_, EngineResult<EventPage>> {
    Box::pin(async move {
        let mut rows = tx.event_page(stream, after.as_ref(), limit.saturating_add(1)).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let conversations = rows.iter().filter_map(|stored| stored.event.conversation);
        let names = conversation_names(tx, conversations).await?;
        let next = rows.last().filter(|_| more).map(|stored| stored.event.order());
        let line = |stored: StoredEvent| {
            let conversation = stored.event.conversation.and_then(|key| names.get(&key).cloned());
            EventLine { stored, conversation }
        };
        Ok(EventPage { events: rows.into_iter().map(line).collect(), next })
    })
}

/// Names of conversations.
pub(super) async fn conversation_names(
    tx: &mut dyn Tx,
    keys: impl IntoIterator<Item = Uuid>,
) -> EngineResult<HashMap<Uuid, String>> {
    let keys: BTreeSet<Uuid> = keys.into_iter().collect();
    let keys: Vec<Uuid> = keys.into_iter().collect();
    Ok(tx.names(NameKind::Conversation, &keys).await?)
}
