//! The least that storing events costs: bare inserts into the events table with its indexes.

use rekindle_core::scope::Scope;
use uuid::Uuid;

use crate::draws::Draws;
use crate::workload::{Slot, Workload};

pub mod postgres;
pub mod sqlite;

/// An event as a row of the table.
pub struct EventRow {
    id: String,
    conversation: Uuid,
    customer: Uuid,
    customer_name: String,
    kind: &'static str,
    at: i64,
    properties: String,
    digest: Uuid,
}

/// Makes rows of events as the program would store them.
pub struct Rows<'a> {
    workload: &'a Workload,
    conversations: Keys,
    customers: Keys,
    digests: Draws,
}

/// Keys of subjects, rising in the order in which subjects are met: like UUID version 7.
struct Keys {
    given: Vec<u32>,
    next: u32,
}

impl<'a> Rows<'a> {
    /// Rows of a workload.
    pub fn of(workload: &'a Workload) -> Self {
        let keys = || Keys { given: vec![0; workload.conversations as usize], next: 0 };
        let digests = Draws::of(workload.seed, u64::MAX);
        Self { workload, conversations: keys(), customers: keys(), digests }
    }

    /// The row of an event.
    pub fn row(&mut self, slot: &Slot) -> EventRow {
        EventRow {
            id: self.workload.id(slot),
            conversation: self.conversations.of(slot.conversation),
            customer: self.customers.of(slot.conversation / 2),
            customer_name: self.workload.customer_name(slot),
            kind: Workload::kind(slot),
            at: slot.at,
            properties: self.workload.properties_json(slot),
            digest: Uuid::from_u64_pair(self.digests.bits(), self.digests.bits()),
        }
    }
}

impl Keys {
    fn of(&mut self, number: u32) -> Uuid {
        let given = &mut self.given[number as usize];
        if *given == 0 {
            self.next += 1;
            *given = self.next;
        }
        Uuid::from_u64_pair(0x0190_0000_0000_7000 | (u64::from(*given) << 16), 0x8000_0000_0000_0000)
    }
}

/// Where the rows go: the workspace that the program uses too.
fn scope() -> Scope {
    Scope::of("default")
}
