//! On whose clock customers were written to.

use std::collections::{BTreeSet, HashMap};

use rekindle_core::sequence::walk::Zone;
use rekindle_ports::Tx;
use rekindle_ports::facts::RunFact;
use uuid::Uuid;

use super::BATCH;
use crate::error::EngineResult;

/// Zones of customers as they are now: nobody keeps what they were when the messages came.
pub(super) struct Clocks {
    /// Of those who name one.
    of_customers: HashMap<Uuid, Zone>,
    of_workspace: Zone,
}

impl Clocks {
    /// Those of the customers of runs with a message.
    pub(super) async fn of(tx: &mut dyn Tx, runs: &[RunFact]) -> EngineResult<Self> {
        let workspace = tx.workspace().await?.body.zone;
        let reached = runs.iter().filter(|run| run.reached_at.is_some());
        let customers: BTreeSet<Uuid> = reached.filter_map(|run| run.customer).collect();
        let customers: Vec<Uuid> = customers.into_iter().collect();
        let mut of_customers = HashMap::new();
        for batch in customers.chunks(BATCH) {
            // A unit of work that only reads locks nothing.
            for row in tx.lock_customers(batch).await? {
                if let Some(zone) = row.attributes.current().get("zone") {
                    of_customers.insert(row.key, Zone::of(Some(zone), &workspace));
                }
            }
        }
        Ok(Self { of_customers, of_workspace: Zone::of(None, &workspace) })
    }

    /// The customer's, or that of the workspace: of those who name none, and of conversations
    /// whose customer nobody knows.
    pub(super) fn zone_of(&self, assigned: Uuid) -> &Zone {
        self.of_customers.get(&assigned).unwrap_or(&self.of_workspace)
    }
}
