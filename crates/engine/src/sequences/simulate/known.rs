//! What is known of the subjects of a page of silences.

use std::collections::{BTreeSet, HashMap};

use rekindle_core::Timestamp;
use rekindle_core::event::Event;
use rekindle_core::funnel::SubjectKind;
use rekindle_core::sequence::simulate::{Candidate, RunEnd};
use rekindle_core::sequence::walk::Zone;
use rekindle_core::value::Properties;
use rekindle_ports::Tx;
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use super::silences::Found;
use crate::error::EngineResult;

/// What a simulation wants to know; nothing else is read.
pub(super) struct Wanted<'a> {
    /// Whether the rule measures our own silence: then no word of the customer ends a run.
    pub is_ours: bool,
    /// What the subjects are.
    pub subject: SubjectKind,
    /// Whether a rule asks about conversations.
    pub conversations: bool,
    /// Events that rules ask about.
    pub events: Hearing,
    /// The workspace's zone.
    pub zone: &'a str,
}

/// Which events rules ask about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hearing {
    /// None.
    Nothing,
    /// The entry filter: those from which clocks ran.
    Anchors,
    /// Steps: what comes later, too.
    Everything,
}

/// What is known. Attributes are as they are now, and events arrive when they happened.
pub(super) struct Known {
    conversations: HashMap<Uuid, Properties>,
    customers: HashMap<Uuid, (Properties, Zone)>,
    /// When customers first came back, by subject and the instant at which its silence came due.
    returns: HashMap<(Uuid, Timestamp), Timestamp>,
    /// By subject, in the order of the stream.
    events: HashMap<Uuid, Vec<Event>>,
    /// Events from which the clocks of silences ran, by their ids.
    anchors: HashMap<String, Event>,
    /// Of those of whom nothing is known.
    nothing: (Properties, Zone),
}

impl Known {
    /// Reads it for a page of silences.
    pub async fn of(tx: &mut dyn Tx, page: &[Found], wanted: &Wanted<'_>) -> EngineResult<Self> {
        let subjects = distinct(page.iter().map(|it| it.subject));
        let customers = distinct(page.iter().filter_map(|it| it.customer));
        let nothing = (Properties::new(), Zone::of(None, wanted.zone));
        let mut known = Self {
            conversations: HashMap::new(),
            customers: HashMap::new(),
            returns: HashMap::new(),
            events: HashMap::new(),
            anchors: HashMap::new(),
            nothing,
        };
        for (key, attributes) in tx.attributes(NameKind::Customer, &customers).await? {
            let zone = match attributes.get("zone") {
                Some(zone) => Zone::of(Some(zone), wanted.zone),
                None => known.nothing.1.clone(),
            };
            known.customers.insert(key, (attributes, zone));
        }
        if wanted.conversations && wanted.subject == SubjectKind::Conversation {
            known.conversations = tx.attributes(NameKind::Conversation, &subjects).await?;
        }
        if !wanted.is_ours {
            let looks: Vec<_> = page.iter().map(|it| (it.subject, it.due_at)).collect();
            known.returns = tx.returns(wanted.kind(), &looks).await?;
        }
        if wanted.events != Hearing::Nothing {
            let anchors: Vec<String> = page.iter().map(|it| it.anchor.clone()).collect();
            let anchors = tx.events_by_id(&anchors).await?.into_iter().map(as_it_happened);
            known.anchors = anchors.map(|event| (event.id.clone(), event)).collect();
        }
        if wanted.events == Hearing::Everything {
            known.read_events(tx, page, &subjects, &customers, wanted).await?;
        }
        Ok(known)
    }

    async fn read_events(
        &mut self,
        tx: &mut dyn Tx,
        page: &[Found],
        subjects: &[Uuid],
        customers: &[Uuid],
        wanted: &Wanted<'_>,
    ) -> EngineResult<()> {
        let read = match wanted.subject {
            SubjectKind::Customer => tx.customer_events(subjects).await?,
            SubjectKind::Conversation => tx.conversation_events(subjects).await?,
        };
        for (subject, event) in read {
            self.events.entry(subject).or_default().push(as_it_happened(event));
        }
        if wanted.subject == SubjectKind::Conversation {
            // What is said about a customer as such is heard by the runs of all their conversations.
            let mut alone: HashMap<Uuid, Vec<Event>> = HashMap::new();
            for (customer, event) in tx.customer_events(customers).await? {
                if event.conversation.is_none() {
                    alone.entry(customer).or_default().push(as_it_happened(event));
                }
            }
            let owners: HashMap<Uuid, Uuid> =
                page.iter().filter_map(|it| Some((it.subject, it.customer?))).collect();
            for (subject, customer) in owners {
                if let Some(said) = alone.get(&customer) {
                    let events = self.events.entry(subject).or_default();
                    events.extend(said.iter().cloned());
                    events.sort_by_cached_key(Event::order);
                }
            }
        }
        Ok(())
    }

    /// A silence with what is known of its subject.
    pub fn candidate<'a>(&'a self, it: &'a Found) -> Candidate<'a> {
        let events = self.events.get(&it.subject).map_or(&[][..], Vec::as_slice);
        let later = &events[events.partition_point(|event| event.effective_at <= it.due_at)..];
        let returned = self.returns.get(&(it.subject, it.due_at)).copied();
        let ends = [(returned, true), (it.left_at, false), (it.spoke_at, false)];
        let ends = ends.into_iter().filter_map(|(at, returned)| Some(RunEnd { at: at?, returned }));
        let customer = it.customer.and_then(|customer| self.customers.get(&customer));
        let (customer_attributes, zone) = customer.unwrap_or(&self.nothing);
        let conversation = it.conversation.and_then(|conversation| self.conversations.get(&conversation));
        Candidate {
            subject: it.subject,
            conversation: it.conversation,
            customer: it.customer,
            since: it.since,
            due_at: it.due_at,
            owed_by: it.owed_by,
            // A word of the customer that leads to the next stage is their return first.
            end: ends.min_by_key(|end| (end.at, !end.returned)),
            anchor: self.anchors.get(&it.anchor),
            events: later,
            conversation_attributes: conversation.unwrap_or(&self.nothing.0),
            customer_attributes,
            zone,
        }
    }
}

impl Wanted<'_> {
    fn kind(&self) -> NameKind {
        match self.subject {
            SubjectKind::Customer => NameKind::Customer,
            SubjectKind::Conversation => NameKind::Conversation,
        }
    }
}

/// The event, received at the instant that counts: what was imported later had come by then.
fn as_it_happened(event: Event) -> Event {
    Event { received_at: event.effective_at, ..event }
}

/// Keys in order, each once.
fn distinct(keys: impl Iterator<Item = Uuid>) -> Vec<Uuid> {
    keys.collect::<BTreeSet<Uuid>>().into_iter().collect()
}
