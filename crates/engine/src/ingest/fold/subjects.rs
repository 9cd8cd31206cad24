//! Which subjects a batch concerns, and with what.

use std::collections::BTreeMap;

use rekindle_core::event::{CUSTOMER_UPDATED, Event};
use rekindle_core::funnel::SubjectKind;
use rekindle_ports::Tx;
use rekindle_ports::rows::FillState;
use uuid::Uuid;

use super::Fold;
use crate::error::EngineResult;
use crate::revisions::ActiveRevision;

/// Most conversations that a late customer attribute folds again in its own commit.
const REFOLDS_AT_ONCE: usize = 100;

/// A subject and what is new of it.
#[derive(Debug, Default)]
pub(super) struct Subject {
    pub customer: Option<Uuid>,
    pub fresh: Vec<Event>,
    /// Its stream is not what it was: fold it from the beginning.
    pub anew: bool,
    /// The customer changed: even an unchanged journey has to be written.
    pub moved: bool,
}

impl Fold {
    pub(super) fn is_of(&self, kind: SubjectKind, key: Uuid) -> bool {
        self.order.owners.contains_key(&key) == (kind == SubjectKind::Conversation)
    }

    pub(super) fn customer_of(&self, kind: SubjectKind, key: Uuid) -> Option<Uuid> {
        match kind {
            SubjectKind::Conversation => self.order.owners.get(&key).copied().flatten(),
            SubjectKind::Customer => Some(key),
        }
    }

    /// Conversations with fresh events.
    pub(super) fn conversations(&self) -> BTreeMap<Uuid, Subject> {
        let mut subjects: BTreeMap<Uuid, Subject> = BTreeMap::new();
        for event in &self.order.fresh {
            if let Some(key) = event.conversation {
                let subject = subjects.entry(key).or_default();
                subject.customer = self.customer_of(SubjectKind::Conversation, key);
                subject.moved = self.order.former_owners.contains_key(&key);
                subject.fresh.push(event.clone());
            }
        }
        subjects
    }

    /// Customers with fresh events, or who gained or lost a conversation.
    pub(super) fn customers(&self) -> BTreeMap<Uuid, Subject> {
        let mut subjects: BTreeMap<Uuid, Subject> = BTreeMap::new();
        for event in &self.order.fresh {
            let customer = match event.conversation {
                Some(conversation) => self.order.owners.get(&conversation).copied().flatten(),
                None => event.customer,
            };
            if let Some(key) = customer {
                let subject = subjects.entry(key).or_default();
                subject.customer = Some(key);
                subject.fresh.push(event.clone());
            }
            // Said in somebody else's conversation: their own stream says nothing of it.
            if let Some(key) = event.customer.filter(|_| event.kind == CUSTOMER_UPDATED)
                && customer != Some(key)
            {
                let subject = subjects.entry(key).or_default();
                subject.customer = Some(key);
                subject.anew = true;
            }
        }
        for (conversation, former) in &self.order.former_owners {
            let owner = self.order.owners.get(conversation).copied().flatten();
            for key in [owner, *former].into_iter().flatten() {
                let subject = subjects.entry(key).or_default();
                subject.customer = Some(key);
                // A new conversation's events are all fresh: nothing of it was folded before.
                subject.anew |= former.is_some() || !self.order.first_batch.contains(conversation);
            }
        }
        subjects
    }

    /// Late attributes of a customer: their conversations that went on since are folded anew,
    /// the first hundred here and the rest by the fill job.
    pub(super) async fn late_attributes(
        &mut self,
        tx: &mut dyn Tx,
        revisions: &[&ActiveRevision],
        subjects: &mut BTreeMap<Uuid, Subject>,
    ) -> EngineResult<u64> {
        let mut pending = 0;
        let news: Vec<Event> =
            self.order.fresh.iter().filter(|e| e.kind == CUSTOMER_UPDATED).cloned().collect();
        for event in news {
            let reads = |revision: &&&ActiveRevision| {
                event.properties.keys().any(|key| revision.funnel.customer_keys.contains(key))
            };
            let (Some(customer), true) = (event.customer, revisions.iter().any(|revision| reads(&revision)))
            else {
                continue;
            };
            let mut concerned =
                tx.conversations_of(customer, event.effective_at.plus(-1), u32::MAX >> 1).await?;
            // In its own conversation it comes as every other event does.
            concerned.retain(|key| Some(*key) != event.conversation);
            let (here, rest) = concerned.split_at(concerned.len().min(REFOLDS_AT_ONCE));
            for key in here {
                let subject = subjects.entry(*key).or_default();
                subject.customer = Some(customer);
                subject.anew = true;
            }
            pending += rest.len() as u64;
            for revision in revisions.iter().filter(reads) {
                leave_to_fill(tx, revision, rest).await?;
            }
        }
        Ok(pending)
    }
}

/// Forgets journeys and has the fill fold them again.
async fn leave_to_fill(tx: &mut dyn Tx, revision: &ActiveRevision, subjects: &[Uuid]) -> EngineResult<()> {
    if subjects.is_empty() {
        return Ok(());
    }
    tx.forget(revision.head.key, subjects).await?;
    if let Some(mut fill) = tx.fill(revision.head.key).await? {
        fill.state = FillState::Running;
        fill.cursor = None;
        fill.done = 0;
        tx.save_fill(&fill).await?;
    }
    Ok(())
}
