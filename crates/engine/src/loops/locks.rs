//! Locks the subjects of claimed rows in the order that everybody locks in.

use std::collections::BTreeSet;

use rekindle_ports::Tx;
use rekindle_ports::rows::{ConversationRow, CustomerRow};
use uuid::Uuid;

use crate::error::EngineResult;

/// Subjects, locked.
pub(crate) struct Locked {
    /// Customers among them, and owners of the conversations.
    pub customers: Vec<CustomerRow>,
    /// Conversations among them.
    pub conversations: Vec<ConversationRow>,
}

/// Locks subjects of either kind: customers (owners too), then conversations.
pub(crate) async fn lock_subjects(
    tx: &mut dyn Tx,
    subjects: impl IntoIterator<Item = Uuid>,
) -> EngineResult<Locked> {
    let subjects: BTreeSet<Uuid> = subjects.into_iter().collect();
    let keys: Vec<Uuid> = subjects.iter().copied().collect();
    let owners = tx.owners_of(&keys).await?;
    let people: BTreeSet<Uuid> = subjects.iter().chain(owners.values()).copied().collect();
    let people: Vec<Uuid> = people.into_iter().collect();
    Ok(Locked {
        customers: tx.lock_customers(&people).await?,
        conversations: tx.lock_conversations(&keys).await?,
    })
}

impl Locked {
    /// A customer among them.
    pub fn customer(&self, key: Option<Uuid>) -> Option<&CustomerRow> {
        let key = key?;
        self.customers.iter().find(|row| row.key == key)
    }

    /// A conversation among them.
    pub fn conversation(&self, key: Option<Uuid>) -> Option<&ConversationRow> {
        let key = key?;
        self.conversations.iter().find(|row| row.key == key)
    }
}
