//! Erasing a conversation, or a customer with all their conversations.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::funnel::PropertyScope;
use rekindle_core::scope::Scope;
use rekindle_ports::erasure::{Erasee, Erasure, KeptKeys};
use rekindle_ports::rows::{ConversationRow, NameKind};
use rekindle_ports::{StoreError, Tx};
use uuid::Uuid;

use super::{no_conversation, no_customer, normal};
use crate::engine::{Engine, Inner};
use crate::error::EngineResult;

/// What erasing a conversation did; nothing when it was erased before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ErasedConversation {
    /// Events that were emptied.
    pub events: u64,
    /// Runs that ended with it.
    pub runs: u64,
}

/// What erasing a customer did; nothing when they were erased before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ErasedCustomer {
    /// Conversations that were erased with them.
    pub conversations: u64,
    /// Events that were emptied.
    pub events: u64,
    /// Runs that ended with them.
    pub runs: u64,
}

impl Engine {
    /// Erases a conversation for good.
    ///
    /// Counts and figures stay as they were. Its name stays taken: an event that names
    /// it is refused as `SubjectErased`, one that was stored before is a duplicate.
    pub async fn erase_conversation(&self, scope: Scope, id: &str) -> EngineResult<ErasedConversation> {
        let (inner, id) = (Arc::clone(&self.inner), normal(id));
        self.write(scope, move |tx, now| erase_conversation(tx, Arc::clone(&inner), id.clone(), now)).await
    }

    /// Erases a customer for good, with all conversations that are theirs.
    ///
    /// Counts and figures stay as they were. The names stay taken: an event that names
    /// them is refused as `SubjectErased`, one that was stored before is a duplicate.
    pub async fn erase_customer(&self, scope: Scope, id: &str) -> EngineResult<ErasedCustomer> {
        let (inner, id) = (Arc::clone(&self.inner), normal(id));
        self.write(scope, move |tx, now| erase_customer(tx, Arc::clone(&inner), id.clone(), now)).await
    }
}

fn erase_conversation(
    tx: &mut dyn Tx,
    inner: Arc<Inner>,
    id: String,
    at: Timestamp,
) -> BoxFuture<'_, EngineResult<ErasedConversation>> {
    Box::pin(async move {
        let key = tx.key_of(NameKind::Conversation, &id).await?.ok_or_else(|| no_conversation(&id))?;
        let owner = tx.owners_of(&[key]).await?.remove(&key);
        let owners: Vec<Uuid> = owner.into_iter().collect();
        tx.lock_customers(&owners).await?;
        let row = tx.lock_conversations(&[key]).await?.pop().ok_or_else(|| no_conversation(&id))?;
        if row.erased_at.is_some() {
            return Ok(ErasedConversation::default());
        }
        if row.owner.as_ref().map(|(owner, _)| *owner) != owner {
            return Err(StoreError::Conflict("a conversation changed its owner".into()).into());
        }
        let order = Erasure {
            conversations: vec![erasee(&inner, key, row.name)],
            owners,
            kept: kept(tx, &inner).await?,
            at,
            ..Erasure::default()
        };
        let erased = tx.erase(&order).await?;
        Ok(ErasedConversation { events: erased.events, runs: erased.runs })
    })
}

fn erase_customer(
    tx: &mut dyn Tx,
    inner: Arc<Inner>,
    id: String,
    at: Timestamp,
) -> BoxFuture<'_, EngineResult<ErasedCustomer>> {
    Box::pin(async move {
        let key = tx.key_of(NameKind::Customer, &id).await?.ok_or_else(|| no_customer(&id))?;
        let row = tx.lock_customers(&[key]).await?.pop().ok_or_else(|| no_customer(&id))?;
        if row.erased_at.is_some() {
            return Ok(ErasedCustomer::default());
        }
        let conversations = owned(tx, key).await?;
        let order = Erasure {
            customers: vec![erasee(&inner, key, row.name)],
            conversations: conversations.into_iter().map(|row| erasee(&inner, row.key, row.name)).collect(),
            kept: kept(tx, &inner).await?,
            at,
            ..Erasure::default()
        };
        let erased = tx.erase(&order).await?;
        Ok(ErasedCustomer {
            conversations: order.conversations.len() as u64,
            events: erased.events,
            runs: erased.runs,
        })
    })
}

/// The conversations of a locked customer, locked: nobody can give them another meanwhile.
async fn owned(tx: &mut dyn Tx, customer: Uuid) -> EngineResult<Vec<ConversationRow>> {
    let keys = tx.conversations_of(customer, Timestamp(i64::MIN), u32::MAX >> 1).await?;
    let rows = tx.lock_conversations(&keys).await?;
    let is_theirs = |row: &ConversationRow| row.owner.as_ref().is_some_and(|(owner, _)| *owner == customer);
    Ok(rows.into_iter().filter(|row| row.erased_at.is_none() && is_theirs(row)).collect())
}

/// A subject under a fresh name that says nothing.
fn erasee(inner: &Inner, key: Uuid, name: String) -> Erasee {
    Erasee { key, name, pseudonym: format!("erased:{}", inner.minter.mint().simple()) }
}

/// What funnels break figures down by: values that stay.
async fn kept(tx: &mut dyn Tx, inner: &Inner) -> EngineResult<KeptKeys> {
    let mut kept = KeptKeys::default();
    for revision in inner.revisions.active(tx).await? {
        for property in &revision.funnel.funnel.breakdowns {
            let keys = match property.scope {
                PropertyScope::Event => &mut kept.event,
                PropertyScope::Conversation => &mut kept.conversation,
                PropertyScope::Customer => &mut kept.customer,
            };
            keys.insert(property.key.clone());
        }
    }
    Ok(kept)
}
