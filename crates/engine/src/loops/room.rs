//! Room under the limits of the workspace: how often a customer may be written to.

use std::collections::HashMap;

use rekindle_core::Timestamp;
use rekindle_core::sequence::contact::{ContactLimit, LONGEST, LimitPolicy, room_at};
use rekindle_core::sequence::walk::{BY_ZONE, Zone};
use rekindle_ports::Tx;
use rekindle_ports::ledger::{Contact, DeliveryRow};
use uuid::Uuid;

use super::shelf::Shelf;
use crate::error::EngineResult;

/// Limits, what counts against them already, and the room that was made since.
pub(super) struct Room {
    limits: Vec<ContactLimit>,
    /// Messages that count, oldest first.
    past: HashMap<Uuid, Vec<Contact>>,
    /// Room that was made now.
    pub made: Vec<Contact>,
}

/// What the limits say of a mail.
pub(super) enum Verdict {
    /// There is room, and it was made.
    Goes,
    /// There will be.
    Waits { until: Timestamp, words: String },
    /// It is not to wait, or would have to wait longer than it is worth.
    LeftOut { words: String },
}

impl Room {
    /// What counts against the limits of the customers of these deliveries; nothing is read where
    /// there are no limits. The caller holds the locks of the customers.
    pub async fn of(tx: &mut dyn Tx, shelf: &mut Shelf, held: &[DeliveryRow]) -> EngineResult<Self> {
        let limits = shelf.workspace(tx).await?.body.contact_limits.clone();
        let mut past: HashMap<Uuid, Vec<Contact>> = HashMap::new();
        if !limits.is_empty() {
            let mut customers: Vec<Uuid> = held.iter().filter_map(|delivery| delivery.customer).collect();
            customers.sort_unstable();
            customers.dedup();
            let earliest = held.iter().map(|delivery| delivery.created_at).min();
            // Far enough back for a month that began before the oldest message was written.
            let since = earliest.unwrap_or_default().plus(-2 * LONGEST);
            for contact in tx.contacts(&customers, since).await? {
                past.entry(contact.customer).or_default().push(contact);
            }
        }
        Ok(Self { limits, past, made: Vec::new() })
    }

    /// Makes room for a mail, or says until when there is none. One that has room keeps it.
    pub fn ask(
        &mut self,
        delivery: &DeliveryRow,
        customer: Uuid,
        zone: &Zone,
        policy: LimitPolicy,
        now: Timestamp,
    ) -> Verdict {
        if self.limits.is_empty() {
            return Verdict::Goes;
        }
        let past = self.past.entry(customer).or_default();
        if past.iter().any(|contact| contact.delivery == delivery.id) {
            return Verdict::Goes;
        }
        let instants: Vec<Timestamp> = past.iter().map(|contact| contact.at).collect();
        let until = room_at(&self.limits, &zone.zone, &instants, now);
        if until <= now {
            let contact = Contact { customer, delivery: delivery.id.clone(), at: now };
            past.push(contact.clone());
            self.made.push(contact);
            return Verdict::Goes;
        }
        let limits: Vec<String> = self.limits.iter().map(ContactLimit::words).collect();
        let words = format!("no more than {}{BY_ZONE}{}", limits.join(" and "), zone.words);
        if policy == LimitPolicy::Defer && until < delivery.expires_at {
            Verdict::Waits { until, words }
        } else {
            Verdict::LeftOut { words }
        }
    }
}
