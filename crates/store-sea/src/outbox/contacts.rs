//! Messages that count against the limits of their customers.

use rekindle_core::Timestamp;
use rekindle_ports::StoreResult;
use rekindle_ports::ledger::{Contact, DeliveryState};
use uuid::Uuid;

use crate::listing::in_states;
use crate::sql::{Cell, Columns, Kind, Source};
use crate::store::{SeaTx, get};
use crate::subjects::keys;

const T: &str = "contacts";

const CONTACT: &Columns = &[("customer", Kind::Uuid), ("delivery", Kind::Text), ("at", Kind::Int)];

/// What is given up for good counts for nothing.
const COUNTING: [DeliveryState; 5] = [
    DeliveryState::Scheduled,
    DeliveryState::Sending,
    DeliveryState::Delivered,
    DeliveryState::Unknown,
    DeliveryState::HeldOut,
];

pub(super) async fn read(tx: &SeaTx, customers: &[Uuid], since: Timestamp) -> StoreResult<Vec<Contact>> {
    if customers.is_empty() {
        return Ok(Vec::new());
    }
    let Source { select, values } = tx.source(&[("customer", Kind::Uuid)], &keys(customers), 1);
    let sql = format!(
        "SELECT c.customer, c.delivery, c.at FROM contacts c \
         JOIN deliveries d ON {} AND d.id = c.delivery \
         WHERE {} AND c.customer IN ({select}) AND c.at >= {} AND d.{} ORDER BY c.at, c.delivery",
        tx.here_in("d."),
        tx.here_in("c."),
        since.0,
        in_states(&COUNTING).unwrap_or_default(),
    );
    let rows = tx.all(&sql, values).await?;
    rows.iter()
        .map(|row| {
            Ok(Contact {
                customer: get(row, T, "customer")?,
                delivery: get(row, T, "delivery")?,
                at: Timestamp(get(row, T, "at")?),
            })
        })
        .collect()
}

pub(super) async fn insert(tx: &SeaTx, contacts: &[Contact]) -> StoreResult<()> {
    if contacts.is_empty() {
        return Ok(());
    }
    let rows: Vec<Vec<Cell>> = contacts
        .iter()
        .map(|contact| vec![contact.customer.into(), contact.delivery.clone().into(), contact.at.0.into()])
        .collect();
    tx.insert(T, CONTACT, &rows, "ON CONFLICT DO NOTHING").await?;
    Ok(())
}
