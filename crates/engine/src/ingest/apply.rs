//! One ingest transaction: lock subjects, insert events, fold, save.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rekindle_core::Timestamp;
use rekindle_core::event::{Author, CONVERSATION_UPDATED, CUSTOMER_UPDATED, Event, effective_instant};
use rekindle_core::funnel::EpisodeRules;
use rekindle_core::ingest::NewEvent;
use rekindle_ports::rows::{ConversationRow, CustomerRow, NameKind, StoredEvent};
use rekindle_ports::{StoreError, Tx};
use uuid::Uuid;

use super::Fate;
use super::committer::Stored;
use super::fold::{FoldOrder, fold_subjects};
use super::streams::Streams;
use crate::engine::Inner;
use crate::enroll::events::Starters;
use crate::error::EngineResult;
use crate::loops::locks::Locked;

/// Stores events and everything that follows from them. The events are valid and their ids distinct.
pub(crate) async fn apply(
    tx: &mut dyn Tx,
    inner: &Inner,
    events: &[NewEvent],
    now: Timestamp,
) -> EngineResult<Stored> {
    let mut subjects = Subjects::lock(tx, inner, events, now).await?;
    let (fates, fresh) = subjects.insert(tx, events, now).await?;
    if fresh.is_empty() {
        return Ok(Stored { fates, refold_pending: 0 });
    }
    let starters = Starters::of(tx, inner).await?;
    let starting = if starters.is_empty() { Vec::new() } else { fresh.clone() };
    let mut streams = subjects.first_streams(&fresh);
    let late = subjects.take_in(&fresh);
    let order = subjects.fold_order(fresh);
    streams.load_conversations(tx, &late).await?;
    subjects.refold(&late, &streams);
    subjects.save(tx).await?;
    let refold_pending = fold_subjects(tx, inner, order, streams, now).await?;
    if !starting.is_empty() {
        starters.take_in(tx, inner, &subjects.into_locked(), &starting, now).await?;
    }
    Ok(Stored { fates, refold_pending })
}

/// The subjects of a batch, locked.
struct Subjects {
    customer_keys: HashMap<String, Uuid>,
    conversation_keys: HashMap<String, Uuid>,
    customers: BTreeMap<Uuid, CustomerRow>,
    conversations: BTreeMap<Uuid, ConversationRow>,
    /// Owners before the batch, of conversations whose owner it changed.
    former_owners: BTreeMap<Uuid, Option<Uuid>>,
    touched: BTreeSet<Uuid>,
    first_batch: BTreeSet<Uuid>,
}

impl Subjects {
    /// Resolves the names and locks the rows: customers (owners too), then conversations.
    async fn lock(tx: &mut dyn Tx, inner: &Inner, events: &[NewEvent], now: Timestamp) -> EngineResult<Self> {
        let minted = |names: BTreeSet<&String>| -> Vec<(String, Uuid)> {
            names.into_iter().map(|name| (name.clone(), inner.minter.mint())).collect()
        };
        let names = minted(events.iter().filter_map(|event| event.customer.as_ref()).collect());
        let customer_keys = resolve(tx, NameKind::Customer, &names, now).await?;
        let names = minted(events.iter().filter_map(|event| event.conversation.as_ref()).collect());
        let conversation_keys = resolve(tx, NameKind::Conversation, &names, now).await?;
        let wanted: BTreeSet<Uuid> = conversation_keys.values().copied().collect();
        let wanted: Vec<Uuid> = wanted.into_iter().collect();
        let owners = tx.owners_of(&wanted).await?;
        let people: BTreeSet<Uuid> = customer_keys.values().chain(owners.values()).copied().collect();
        let people: Vec<Uuid> = people.into_iter().collect();
        let customers = tx.lock_customers(&people).await?;
        let conversations = tx.lock_conversations(&wanted).await?;
        let customers: BTreeMap<_, _> = customers.into_iter().map(|row| (row.key, row)).collect();
        let conversations: BTreeMap<_, _> = conversations.into_iter().map(|row| (row.key, row)).collect();
        for row in conversations.values() {
            // Somebody gave the conversation another owner between the two reads.
            if row.owner.as_ref().is_some_and(|(owner, _)| !customers.contains_key(owner)) {
                return Err(StoreError::Conflict("a conversation changed its owner".into()).into());
            }
        }
        Ok(Self {
            customer_keys,
            conversation_keys,
            customers,
            conversations,
            former_owners: BTreeMap::new(),
            touched: BTreeSet::new(),
            first_batch: BTreeSet::new(),
        })
    }

    /// Inserts the events and tells what became of each, with those that are new, in order.
    async fn insert(
        &self,
        tx: &mut dyn Tx,
        events: &[NewEvent],
        now: Timestamp,
    ) -> EngineResult<(Vec<Fate>, Vec<Event>)> {
        let rows: Vec<Option<StoredEvent>> = events.iter().map(|event| self.stored(event, now)).collect();
        let mut present: Vec<StoredEvent> = rows.iter().flatten().cloned().collect();
        // Everybody inserts in this order, so that nobody waits in a circle.
        present.sort_by(|a, b| a.event.id.cmp(&b.event.id));
        let new: HashSet<String> = tx.insert_events(&present).await?.into_iter().collect();
        let known: Vec<String> =
            events.iter().map(|event| event.id.clone()).filter(|id| !new.contains(id)).collect();
        let digests = if known.is_empty() { HashMap::new() } else { tx.digests(&known).await? };
        let fates = rows
            .iter()
            .zip(events)
            .map(|(row, event)| match row {
                Some(_) if new.contains(&event.id) => Fate::Accepted,
                _ if digests.get(&event.id) == Some(&event.digest()) => Fate::Duplicate,
                Some(_) => Fate::IdReused,
                None => Fate::Erased,
            })
            .collect();
        let mut fresh: Vec<Event> =
            present.into_iter().filter(|row| new.contains(&row.event.id)).map(|row| row.event).collect();
        fresh.sort_by_key(Event::order);
        Ok((fates, fresh))
    }

    /// The event as it is stored; `None` when a subject of it was erased.
    fn stored(&self, event: &NewEvent, now: Timestamp) -> Option<StoredEvent> {
        let conversation =
            event.conversation.as_ref().and_then(|name| self.conversation_keys.get(name)).copied();
        let customer = event.customer.as_ref().and_then(|name| self.customer_keys.get(name)).copied();
        let erased = conversation
            .is_some_and(|key| self.conversations.get(&key).is_none_or(|row| row.erased_at.is_some()))
            || customer.is_some_and(|key| self.customers.get(&key).is_none_or(|row| row.erased_at.is_some()));
        if erased {
            return None;
        }
        let (effective_at, clamped) = effective_instant(event.occurred_at, now);
        Some(StoredEvent {
            event: Event {
                id: event.id.clone(),
                kind: event.kind.clone(),
                conversation,
                customer,
                occurred_at: event.occurred_at,
                effective_at,
                received_at: now,
                sequence: event.sequence,
                author: event.author.unwrap_or_else(|| Author::implied_by(&event.kind)),
                public: event.public.unwrap_or(event.kind != "note"),
                automated: event.automated.unwrap_or(event.kind == "bot_message"),
                closing: event.closing,
                text: event.text.clone(),
                properties: event.properties.clone(),
            },
            customer_name: event.customer.clone(),
            digest: event.digest(),
            clamped,
        })
    }

    /// Streams that need no reading: of subjects that had no event before this batch.
    /// Must be asked before the events are taken in.
    fn first_streams(&mut self, fresh: &[Event]) -> Streams {
        let mut streams = Streams::default();
        let new = |row: &&ConversationRow| row.event_count == 0;
        self.first_batch = self.conversations.values().filter(new).map(|row| row.key).collect();
        let mut events: BTreeMap<Uuid, Vec<Event>> = BTreeMap::new();
        for event in fresh {
            if let Some(key) = event.conversation.filter(|key| self.first_batch.contains(key)) {
                events.entry(key).or_default().push(event.clone());
            }
        }
        for (key, events) in events {
            streams.know_conversation(key, events);
        }
        streams
    }

    /// Takes fresh events into the subjects' rows; returns the conversations to fold anew.
    fn take_in(&mut self, fresh: &[Event]) -> Vec<Uuid> {
        let mut late = BTreeSet::new();
        let rules = EpisodeRules::default();
        for event in fresh {
            if let Some(key) = event.customer {
                self.take_in_customer(key, event);
            }
            let Some(row) = event.conversation.and_then(|key| self.conversations.get_mut(&key)) else {
                continue;
            };
            self.touched.insert(row.key);
            let order = event.order();
            if let Some(customer) = event.customer
                && row.owner.as_ref().is_none_or(|(_, said)| order < *said)
            {
                let former = row.owner.as_ref().map(|(owner, _)| *owner);
                if former != Some(customer) {
                    self.former_owners.entry(row.key).or_insert(former);
                }
                row.owner = Some((customer, order.clone()));
            }
            if event.kind == CONVERSATION_UPDATED {
                row.attributes.take_in(event);
            }
            row.event_count += 1;
            widen(&mut row.first_at, &mut row.last_at, event.effective_at);
            if row.state.folded_to.as_ref().is_some_and(|to| order < *to) {
                late.insert(row.key);
            } else if !late.contains(&row.key) {
                row.state.step(&rules, event);
            }
        }
        late.into_iter().collect()
    }

    fn take_in_customer(&mut self, key: Uuid, event: &Event) {
        let Some(row) = self.customers.get_mut(&key) else {
            return;
        };
        widen(&mut row.first_at, &mut row.last_at, event.effective_at);
        if event.kind == CUSTOMER_UPDATED {
            row.attributes.take_in(event);
            row.attribute_events += 1;
        }
    }

    /// Folds conversations whose events arrived late from their whole streams.
    fn refold(&mut self, late: &[Uuid], streams: &Streams) {
        let rules = EpisodeRules::default();
        for key in late {
            if let Some(row) = self.conversations.get_mut(key) {
                row.state = rekindle_core::conversation::Conversation::default();
                for event in streams.conversation(*key) {
                    row.state.step(&rules, event);
                }
            }
        }
    }

    /// What has to be folded into funnels.
    fn fold_order(&self, fresh: Vec<Event>) -> FoldOrder {
        let owners = self
            .conversations
            .values()
            .map(|row| (row.key, row.owner.as_ref().map(|(owner, _)| *owner)))
            .collect();
        let with_attributes =
            self.customers.values().filter(|row| row.attribute_events > 0).map(|row| row.key).collect();
        FoldOrder {
            fresh,
            owners,
            former_owners: self.former_owners.clone(),
            first_batch: self.first_batch.clone(),
            with_attributes,
            whole: BTreeSet::new(),
        }
    }

    fn into_locked(self) -> Locked {
        Locked { customers: self.customers, conversations: self.conversations }
    }

    async fn save(&self, tx: &mut dyn Tx) -> EngineResult<()> {
        let customers: Vec<CustomerRow> = self.customers.values().cloned().collect();
        tx.save_customers(&customers).await?;
        let conversations: Vec<ConversationRow> =
            self.conversations.values().filter(|row| self.touched.contains(&row.key)).cloned().collect();
        tx.save_conversations(&conversations).await?;
        Ok(())
    }
}

async fn resolve(
    tx: &mut dyn Tx,
    kind: NameKind,
    names: &[(String, Uuid)],
    now: Timestamp,
) -> EngineResult<HashMap<String, Uuid>> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    Ok(tx.resolve(kind, names, now).await?)
}

fn widen(first: &mut Option<Timestamp>, last: &mut Option<Timestamp>, at: Timestamp) {
    *first = Some(first.map_or(at, |first| first.min(at)));
    *last = Some(last.map_or(at, |last| last.max(at)));
}
