//! Locks the subjects of claimed rows: in the order that everybody locks in, or without waiting.

use std::collections::{BTreeMap, BTreeSet};

use rekindle_core::value::Properties;
use rekindle_ports::Tx;
use rekindle_ports::ledger::RunRow;
use rekindle_ports::rows::{ConversationRow, CustomerRow};
use uuid::Uuid;

use crate::error::EngineResult;

/// Subjects, locked.
pub(crate) struct Locked {
    /// Customers among them, and owners of the conversations, by their keys.
    pub customers: BTreeMap<Uuid, CustomerRow>,
    /// Conversations among them, by their keys.
    pub conversations: BTreeMap<Uuid, ConversationRow>,
}

/// Locks subjects of either kind: customers (owners too), then conversations. Waits for those that
/// somebody else has locked.
pub(crate) async fn lock_subjects(
    tx: &mut dyn Tx,
    subjects: impl IntoIterator<Item = Uuid>,
) -> EngineResult<Locked> {
    let Wanted { people, keys } = Wanted::of(tx, subjects).await?;
    let customers = tx.lock_customers(&people).await?;
    Ok(Locked::of(customers, tx.lock_conversations(&keys).await?))
}

/// Locks those of the subjects that nobody else has locked; see [`Locked::holds`].
pub(super) async fn lock_free_subjects(
    tx: &mut dyn Tx,
    subjects: impl IntoIterator<Item = Uuid>,
) -> EngineResult<Locked> {
    let keys: BTreeSet<Uuid> = subjects.into_iter().collect();
    lock_free(tx, keys.clone(), keys).await
}

/// The same for conversations and customers that are known to be such.
pub(super) async fn lock_free_pairs(
    tx: &mut dyn Tx,
    pairs: impl IntoIterator<Item = (Option<Uuid>, Option<Uuid>)>,
) -> EngineResult<Locked> {
    let (mut keys, mut people) = (BTreeSet::new(), BTreeSet::new());
    for (conversation, customer) in pairs {
        keys.extend(conversation);
        people.extend(customer);
    }
    lock_free(tx, keys, people).await
}

/// Conversations come first here, and say who owns them: nobody waits in a circle for those who wait
/// for nobody.
async fn lock_free(
    tx: &mut dyn Tx,
    keys: BTreeSet<Uuid>,
    mut people: BTreeSet<Uuid>,
) -> EngineResult<Locked> {
    let conversations = tx.lock_free_conversations(&keys.into_iter().collect::<Vec<_>>()).await?;
    people.extend(conversations.iter().filter_map(|row| row.owner.as_ref()).map(|(owner, _)| *owner));
    let customers = tx.lock_free_customers(&people.into_iter().collect::<Vec<_>>()).await?;
    Ok(Locked::of(customers, conversations))
}

/// Keys to lock, each kind in order.
struct Wanted {
    people: Vec<Uuid>,
    keys: Vec<Uuid>,
}

impl Wanted {
    async fn of(tx: &mut dyn Tx, subjects: impl IntoIterator<Item = Uuid>) -> EngineResult<Self> {
        let subjects: BTreeSet<Uuid> = subjects.into_iter().collect();
        let keys: Vec<Uuid> = subjects.iter().copied().collect();
        let owners = tx.owners_of(&keys).await?;
        let people: BTreeSet<Uuid> = subjects.iter().chain(owners.values()).copied().collect();
        Ok(Self { people: people.into_iter().collect(), keys })
    }
}

impl Locked {
    fn of(customers: Vec<CustomerRow>, conversations: Vec<ConversationRow>) -> Self {
        Self {
            customers: customers.into_iter().map(|row| (row.key, row)).collect(),
            conversations: conversations.into_iter().map(|row| (row.key, row)).collect(),
        }
    }

    /// Whether a subject is locked, and where it is a conversation with an owner, that one too.
    pub fn holds(&self, subject: Uuid) -> bool {
        match self.conversation(Some(subject)).map(|row| row.owner.as_ref().map(|(owner, _)| *owner)) {
            Some(None) => true,
            Some(owner) => self.customer(owner).is_some(),
            None => self.customer(Some(subject)).is_some(),
        }
    }

    /// The conversation and the customer that a subject among them is or belongs to; `None` for one
    /// that is not among them, or was erased.
    pub fn whose(&self, subject: Uuid) -> Option<(Option<Uuid>, Option<Uuid>)> {
        if let Some(row) = self.conversation(Some(subject)) {
            let owner = row.owner.as_ref().map(|(owner, _)| *owner);
            return row.erased_at.is_none().then_some((Some(subject), owner));
        }
        let row = self.customer(Some(subject))?;
        row.erased_at.is_none().then_some((None, Some(subject)))
    }

    /// A customer among them.
    pub fn customer(&self, key: Option<Uuid>) -> Option<&CustomerRow> {
        self.customers.get(&key?)
    }

    /// What is known of a run's conversation now.
    pub fn conversation_attributes(&self, run: &RunRow) -> Properties {
        self.conversation(run.conversation).map(|row| row.attributes.current()).unwrap_or_default()
    }

    /// What is known of a run's customer now.
    pub fn customer_attributes(&self, run: &RunRow) -> Properties {
        self.customer(run.customer).map(|row| row.attributes.current()).unwrap_or_default()
    }

    /// A conversation among them.
    pub fn conversation(&self, key: Option<Uuid>) -> Option<&ConversationRow> {
        self.conversations.get(&key?)
    }
}
