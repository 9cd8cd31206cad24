//! The events that a fold needs beside the fresh ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rekindle_core::event::Event;
use rekindle_core::funnel::SubjectKind;
use rekindle_ports::Tx;
use rekindle_ports::rows::{JourneyKey, JourneyRow};
use uuid::Uuid;

use super::subjects::Subject;
use super::{Fold, needs_all, takes_part};
use crate::error::EngineResult;
use crate::revisions::ActiveRevision;

impl Fold {
    /// Loads what has to be folded from the beginning, and attributes that run along.
    pub(super) async fn load_streams(
        &mut self,
        tx: &mut dyn Tx,
        kind: SubjectKind,
        revisions: &[&ActiveRevision],
        subjects: &BTreeMap<Uuid, Subject>,
        rows: &HashMap<JourneyKey, JourneyRow>,
    ) -> EngineResult<()> {
        let whole: Vec<Uuid> = subjects
            .iter()
            .filter(|(key, subject)| {
                revisions.iter().any(|revision| {
                    let row = rows.get(&JourneyKey { revision: revision.head.key, subject: **key });
                    takes_part(revision, row) && needs_all(subject, row)
                })
            })
            .map(|(key, _)| *key)
            .collect();
        match kind {
            SubjectKind::Conversation => self.streams.load_conversations(tx, &whole).await?,
            SubjectKind::Customer => self.streams.load_customers(tx, &whole).await?,
        }
        let reads_customers = revisions.iter().any(|revision| !revision.funnel.customer_keys.is_empty());
        if reads_customers {
            let people: Vec<Uuid> = subjects
                .values()
                .filter_map(|subject| subject.customer)
                .filter(|customer| self.order.with_attributes.contains(customer))
                .collect();
            self.streams.load_attributes(tx, &people).await?;
            if kind == SubjectKind::Customer {
                self.load_other_owners(tx, &people).await?;
            }
        }
        Ok(())
    }

    /// Loads whose conversations they are in which these customers' attributes were set.
    pub(super) async fn load_other_owners(&mut self, tx: &mut dyn Tx, people: &[Uuid]) -> EngineResult<()> {
        let said = people.iter().flat_map(|customer| self.streams.attributes(*customer));
        let unknown: BTreeSet<Uuid> = said
            .filter_map(|event| event.conversation)
            .filter(|conversation| !self.order.owners.contains_key(conversation))
            .collect();
        if !unknown.is_empty() {
            let unknown: Vec<Uuid> = unknown.into_iter().collect();
            self.other_owners.extend(tx.owners_of(&unknown).await?);
        }
        Ok(())
    }

    /// Whether an event that sets a customer's attributes is in a subject's own stream.
    pub(super) fn is_own(&self, kind: SubjectKind, key: Uuid, event: &Event) -> bool {
        match (kind, event.conversation) {
            (SubjectKind::Conversation, conversation) => conversation == Some(key),
            (SubjectKind::Customer, None) => event.customer == Some(key),
            (SubjectKind::Customer, Some(conversation)) => {
                let known = self.order.owners.get(&conversation).copied();
                known.unwrap_or_else(|| self.other_owners.get(&conversation).copied()) == Some(key)
            }
        }
    }
}
