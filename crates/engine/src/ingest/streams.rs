//! Event streams of subjects, loaded where a fold has to begin anew.

use std::collections::{BTreeSet, HashMap};

use rekindle_core::event::Event;
use rekindle_ports::Tx;
use uuid::Uuid;

use crate::error::EngineResult;

/// Whole streams, by subject.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    conversations: HashMap<Uuid, Vec<Event>>,
    customers: HashMap<Uuid, Vec<Event>>,
    attributes: HashMap<Uuid, Vec<Event>>,
}

impl Streams {
    /// Knows a conversation's whole stream without asking the store.
    pub fn know_conversation(&mut self, key: Uuid, events: Vec<Event>) {
        self.conversations.insert(key, events);
    }

    /// Loads the events of conversations that are not loaded yet.
    pub async fn load_conversations(&mut self, tx: &mut dyn Tx, keys: &[Uuid]) -> EngineResult<()> {
        let missing = missing(&self.conversations, keys);
        if !missing.is_empty() {
            let events = tx.conversation_events(&missing).await?;
            collect(&mut self.conversations, &missing, events);
        }
        Ok(())
    }

    /// Loads the events of customers.
    pub async fn load_customers(&mut self, tx: &mut dyn Tx, keys: &[Uuid]) -> EngineResult<()> {
        let missing = missing(&self.customers, keys);
        if !missing.is_empty() {
            let events = tx.customer_events(&missing).await?;
            collect(&mut self.customers, &missing, events);
        }
        Ok(())
    }

    /// Loads the attribute events of customers.
    pub async fn load_attributes(&mut self, tx: &mut dyn Tx, keys: &[Uuid]) -> EngineResult<()> {
        let missing = missing(&self.attributes, keys);
        if !missing.is_empty() {
            let events = tx.attribute_events(&missing).await?;
            collect(&mut self.attributes, &missing, events);
        }
        Ok(())
    }

    /// Events of a conversation, in order.
    pub fn conversation(&self, key: Uuid) -> &[Event] {
        self.conversations.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Events of a customer over all their conversations, in order.
    pub fn customer(&self, key: Uuid) -> &[Event] {
        self.customers.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Attribute events of a customer in whatever conversation, in order.
    pub fn attributes(&self, key: Uuid) -> &[Event] {
        self.attributes.get(&key).map_or(&[], Vec::as_slice)
    }
}

fn missing(loaded: &HashMap<Uuid, Vec<Event>>, keys: &[Uuid]) -> Vec<Uuid> {
    let wanted: BTreeSet<Uuid> = keys.iter().filter(|key| !loaded.contains_key(key)).copied().collect();
    wanted.into_iter().collect()
}

fn collect(into: &mut HashMap<Uuid, Vec<Event>>, keys: &[Uuid], events: Vec<(Uuid, Event)>) {
    for key in keys {
        into.insert(*key, Vec::new());
    }
    for (subject, event) in events {
        into.entry(subject).or_default().push(event);
    }
}

/// An event on its way into a fold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken<'a> {
    pub event: &'a Event,
    /// Whether it is of the subject's own stream; else it runs along for attributes alone.
    pub is_own: bool,
}

/// A subject's own events and those that run along, in order.
pub(crate) fn merged<'a>(own: &'a [Event], along: impl Iterator<Item = &'a Event>) -> Vec<Taken<'a>> {
    let own = own.iter().map(|event| Taken { event, is_own: true });
    let mut all: Vec<Taken<'_>> = own.chain(along.map(|event| Taken { event, is_own: false })).collect();
    all.sort_by_key(|taken| taken.event.order());
    all
}
