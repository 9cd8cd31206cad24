//! What is known of the subjects of a page of silences.

use std::collections::{BTreeSet, HashMap};

use rekindle_core::event::Event;
use rekindle_core::funnel::SubjectKind;
use rekindle_core::sequence::simulate::{Candidate, RunEnd, returned_at};
use rekindle_core::sequence::walk::Zone;
use rekindle_core::value::Properties;
use rekindle_ports::Tx;
use uuid::Uuid;

use super::silences::Found;
use crate::error::EngineResult;

/// What a simulation wants to know.
pub(super) struct Wanted<'a> {
    /// Whether the rule measures our own silence: then no word of the customer ends a run.
    pub is_ours: bool,
    /// What the subjects are.
    pub subject: SubjectKind,
    /// Whether steps ask about events.
    pub in_steps: bool,
    /// Whether the entry filter does.
    pub at_entry: bool,
    /// The workspace's zone.
    pub zone: &'a str,
}

/// What is known. Attributes are as they are now, and events arrive when they happened.
pub(super) struct Known {
    conversations: HashMap<Uuid, Properties>,
    customers: HashMap<Uuid, (Properties, Zone)>,
    /// By subject, in the order of the stream.
    events: HashMap<Uuid, Vec<Event>>,
    /// Of those of whom nothing is known.
    nothing: (Properties, Zone),
}

impl Known {
    /// Reads it for a page of silences.
    pub async fn of(tx: &mut dyn Tx, page: &[Found], wanted: &Wanted<'_>) -> EngineResult<Self> {
        let subjects = distinct(page.iter().map(|it| it.subject));
        let customers = distinct(page.iter().filter_map(|it| it.customer));
        let mut known = Self {
            conversations: HashMap::new(),
            customers: HashMap::new(),
            events: HashMap::new(),
            nothing: (Properties::new(), Zone::of(None, wanted.zone)),
        };
        // A unit of work that only reads locks nothing.
        for row in tx.lock_customers(&customers).await? {
            let attributes = row.attributes.current();
            let zone = match attributes.get("zone") {
                Some(zone) => Zone::of(Some(zone), wanted.zone),
                None => known.nothing.1.clone(),
            };
            known.customers.insert(row.key, (attributes, zone));
        }
        if wanted.subject == SubjectKind::Conversation {
            for row in tx.lock_conversations(&subjects).await? {
                known.conversations.insert(row.key, row.attributes.current());
            }
        }
        if !wanted.is_ours || wanted.in_steps || wanted.at_entry {
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
        if wanted.in_steps && wanted.subject == SubjectKind::Conversation {
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
    pub fn candidate<'a>(&'a self, it: &'a Found, wanted: &Wanted<'_>) -> Candidate<'a> {
        let events = self.events.get(&it.subject).map_or(&[][..], Vec::as_slice);
        let later = &events[events.partition_point(|event| event.effective_at <= it.due_at)..];
        // What is said about a customer as such ends no run of a conversation.
        let of_customer = wanted.subject == SubjectKind::Customer;
        let own = later.iter().filter(|event| of_customer || event.conversation.is_some());
        let returned = if wanted.is_ours { None } else { returned_at(own) };
        let ends = [(returned, true), (it.left_at, false), (it.spoke_at, false)];
        let ends = ends.into_iter().filter_map(|(at, returned)| Some(RunEnd { at: at?, returned }));
        let anchor = (wanted.in_steps || wanted.at_entry).then_some(it.anchor.as_str());
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
            anchor: anchor.and_then(|anchor| events.iter().find(|event| event.id == anchor)),
            events: if wanted.in_steps { later } else { &[] },
            conversation_attributes: conversation.unwrap_or(&self.nothing.0),
            customer_attributes,
            zone,
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
