//! Everything that the fold wrote of a funnel, by name, so that two histories can be compared.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rekindle_core::Timestamp;
use rekindle_core::funnel::SubjectKind;
use rekindle_core::scope::Scope;
use rekindle_ports::facts::FactQuery;
use rekindle_ports::rows::{JourneyRow, NameKind};
use rekindle_ports::{Store, Tx};
use uuid::Uuid;

/// A funnel's rows; keys are replaced by names, and journeys that saw nothing are left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dump {
    /// Whole journeys by subject: checkpoint, customer, whether it is live.
    pub journeys: BTreeMap<String, serde_json::Value>,
    /// Where they stand, as figures read it.
    pub standings: BTreeSet<String>,
    /// Attempts.
    pub attempts: BTreeSet<String>,
    /// Silences, the open ones included.
    pub silences: BTreeSet<String>,
    /// Conversations: owner, turn, episodes, attributes.
    pub conversations: BTreeMap<String, serde_json::Value>,
    /// Attributes of customers.
    pub customers: BTreeMap<String, serde_json::Value>,
}

/// Names by key.
struct Names(HashMap<Uuid, String>);

impl Dump {
    /// Reads the rows of a funnel's newest revision.
    pub async fn of(store: &dyn Store, scope: Scope, funnel: &str) -> Self {
        // A unit of work that may write, because reading subjects' rows locks them; it is dropped.
        let mut tx = store.begin(scope).await.expect("the database answers");
        Self::read(&mut *tx, funnel).await.expect("the rows can be read")
    }

    async fn read(tx: &mut dyn Tx, funnel: &str) -> rekindle_ports::StoreResult<Self> {
        let mut dump = Self::default();
        let conversations = tx.subjects_after(false, None, u32::MAX >> 1).await?;
        let customers = tx.subjects_after(true, None, u32::MAX >> 1).await?;
        let mut names = tx.names(NameKind::Conversation, &conversations).await?;
        names.extend(tx.names(NameKind::Customer, &customers).await?);
        let names = Names(names);
        for row in tx.lock_conversations(&conversations).await? {
            let owner = row.owner.map(|(key, _)| key);
            let value = serde_json::json!([
                row.state,
                owner,
                row.attributes,
                row.event_count,
                row.first_at,
                row.last_at
            ]);
            dump.conversations.insert(row.name, names.instead_of_keys(&value));
        }
        for row in tx.lock_customers(&customers).await? {
            dump.customers.insert(row.name, serde_json::json!([row.attributes, row.attribute_events]));
        }
        let Some(row) = tx.funnel(funnel).await? else {
            return Ok(dump);
        };
        let revision = tx.revision(funnel, row.revision).await?.expect("the newest revision is there");
        let subjects = match revision.body.subject {
            SubjectKind::Conversation => &conversations,
            SubjectKind::Customer => &customers,
        };
        for row in tx.load_journeys(&[revision.head.key], subjects).await? {
            dump.note_journey(&names, &row);
        }
        dump.note_facts(tx, &names, revision.head.key).await?;
        Ok(dump)
    }

    fn note_journey(&mut self, names: &Names, row: &JourneyRow) {
        if row.journey.first_at.is_none() {
            return;
        }
        let value = serde_json::json!([row.journey, row.customer, row.live, row.funnel]);
        self.journeys.insert(names.of(row.key.subject), names.instead_of_keys(&value));
    }

    async fn note_facts(
        &mut self,
        tx: &mut dyn Tx,
        names: &Names,
        revision: i64,
    ) -> rekindle_ports::StoreResult<()> {
        let query = FactQuery {
            revision,
            from: None,
            until: None,
            as_of: Timestamp::LATEST,
            filter: None,
            groups: (0..3).map(rekindle_ports::facts::Reading::Declared).collect(),
        };
        for fact in tx.attempt_facts(&query).await? {
            let who = (names.of(fact.subject), fact.customer.map(|key| names.of(key)));
            let what = (fact.start, fact.entered, fact.voided_at, fact.episode, fact.chained, fact.values);
            self.attempts.insert(format!("{who:?} {what:?}"));
        }
        for fact in tx.standing_facts(&query).await? {
            let who = (names.of(fact.subject), fact.customer.map(|key| names.of(key)));
            self.standings.insert(format!("{who:?} {:?} {:?}", fact.first_at, fact.standing));
        }
        for fact in tx.silence_facts(&query).await? {
            let who = names.of(fact.subject);
            self.silences.insert(format!(
                "{who:?} {:?}",
                rekindle_core::metrics::SilenceFact { subject: Uuid::nil(), ..fact }
            ));
        }
        Ok(())
    }
}

impl Names {
    fn of(&self, key: Uuid) -> String {
        self.0.get(&key).cloned().unwrap_or_else(|| format!("nobody has the key {key}"))
    }

    /// The same value with names where keys were, also as keys of maps.
    fn instead_of_keys(&self, value: &serde_json::Value) -> serde_json::Value {
        let mut text = value.to_string();
        for (key, name) in &self.0 {
            text = text.replace(&key.to_string(), name);
        }
        serde_json::from_str(&text).expect("names of tests need no escapes")
    }
}
