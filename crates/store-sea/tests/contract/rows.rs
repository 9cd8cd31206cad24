//! Rows to write in tests.

use rekindle_core::Timestamp;
use rekindle_core::event::{Author, Event};
use rekindle_core::scope::Scope;
use rekindle_core::value::Properties;
use rekindle_ports::rows::StoredEvent;
use rekindle_ports::{Store, Tx};
use rekindle_testkit::build::at;
use uuid::Uuid;

/// The workspace that tests write in.
pub fn scope() -> Scope {
    Scope::of("default")
}

/// A key by number.
pub fn key(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// An event as it is stored.
pub fn stored(id: &str, conversation: Option<Uuid>, customer: Option<Uuid>, seconds: i64) -> StoredEvent {
    StoredEvent {
        event: Event {
            id: id.into(),
            kind: "a".into(),
            conversation,
            customer,
            occurred_at: at(seconds),
            effective_at: at(seconds),
            received_at: at(1_000),
            sequence: 0,
            author: Author::Customer,
            public: true,
            automated: false,
            closing: false,
            text: None,
            properties: Properties::new(),
        },
        customer_name: customer.map(|_| "ada".into()),
        digest: key(seconds as u128 + 7),
        clamped: false,
    }
}

/// A unit of work that writes.
pub async fn begin(store: &dyn Store) -> Box<dyn Tx> {
    store.begin(scope()).await.expect("the database answers")
}

/// A business instant at which names are stored.
pub fn now() -> Timestamp {
    at(1_000)
}
