//! On whose clock a customer lives.

use rekindle_core::sequence::walk::Zone;
use uuid::Uuid;

use super::locks::Locked;

/// The customer's zone, or that of the workspace.
pub(super) fn zone_of(locked: &Locked, customer: Option<Uuid>, workspace: &str) -> Zone {
    let attributes = locked.customer(customer).map(|row| row.attributes.current());
    Zone::of(attributes.as_ref().and_then(|attributes| attributes.get("zone")), workspace)
}
