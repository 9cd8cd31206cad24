//! Customers, conversations and events in SQL.

use std::cmp::Ordering;
use std::collections::HashMap;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::attributes::LatestAttributes;
use rekindle_core::conversation::Conversation;
use rekindle_core::event::Event;
use rekindle_core::scope::Scope;
use rekindle_core::value::Properties;
use rekindle_ports::StoreResult;
use rekindle_ports::rows::{ConversationRow, CustomerRow, NameKind, StoredEvent};
use rekindle_ports::store::Subjects;
use sea_orm::{DatabaseBackend, QueryResult};
use uuid::Uuid;

use self::rows::{
    CONVERSATION, CUSTOMER, EVENT, conversation_cells, customer_cells, event_cells_and_tombstone,
};
use crate::codes::Code;
use crate::probe::{Others, Probe};
use crate::sql::{Cell, Columns, Kind, Source, json_text};
use crate::store::{SeaTx, get};
use crate::tombstone::Lookup;

mod attributes;
mod returns;
mod rows;

pub(crate) use rows::{CLAMPED, conversation, customer, event, instant};

const KEYS: &Columns = &[("key", Kind::Uuid)];
const NAMES: &Columns = &[("kind", Kind::Int), ("name", Kind::Given), ("key", Kind::Uuid)];

const CUSTOMERS: Probe<'_> = Probe {
    columns: "key, name, latest, attribute_events, first_at, last_at, created_at, erased_at",
    table: "customers",
    by: &["key"],
    and: "",
};

const CONVERSATIONS: Probe<'_> = Probe {
    columns: "key, name, owner, owner_order, latest, state, event_count, first_at, last_at, created_at, erased_at",
    table: "conversations",
    by: &["key"],
    and: "",
};

#[async_trait]
impl Subjects for SeaTx {
    async fn resolve(
        &mut self,
        kind: NameKind,
        names: &[(String, Uuid)],
        now: Timestamp,
    ) -> StoreResult<HashMap<String, Uuid>> {
        let rows: Vec<Vec<Cell>> = names
            .iter()
            .map(|(name, minted)| vec![kind.code().into(), name.clone().into(), (*minted).into()])
            .collect();
        let known = self.known(kind, names.iter().map(|(name, _)| name.as_str())).await?;
        if known.len() == names.len() {
            return Ok(known);
        }
        let unknown: Vec<Vec<Cell>> = rows
            .into_iter()
            .zip(names)
            .filter(|(_, (name, _))| !known.contains_key(name))
            .map(|(row, _)| row)
            .collect();
        let tail = "ON CONFLICT (bucket, workspace, kind, name) DO NOTHING RETURNING name, key";
        let fresh = self.insert_returning("identities", NAMES, &unknown, tail).await?;
        let fresh: Vec<(String, Uuid)> = fresh
            .iter()
            .map(|row| Ok((get(row, "identities", "name")?, get(row, "identities", "key")?)))
            .collect::<StoreResult<_>>()?;
        self.create_subjects(kind, &fresh, now).await?;
        if known.len() + fresh.len() == names.len() {
            return Ok(known.into_iter().chain(fresh).collect());
        }
        // Another replica named some of them between the two statements; they are there by now.
        let raced = self.known(kind, names.iter().map(|(name, _)| name.as_str())).await?;
        Ok(known.into_iter().chain(fresh).chain(raced).collect())
    }

    async fn key_of(&mut self, kind: NameKind, name: &str) -> StoreResult<Option<Uuid>> {
        Ok(self.known(kind, [name]).await?.remove(name))
    }

    async fn owners_of(&mut self, conversations: &[Uuid]) -> StoreResult<HashMap<Uuid, Uuid>> {
        let Source { select, values } = self.source(KEYS, &keys(conversations), 1);
        // Those without an owner are left out here: asked for in SQL, they lead a planner that knows
        // little of the table to the index of owners, all of which it walks for each key.
        let owners = Probe { columns: "key, owner", table: "conversations", by: &["key"], and: "" };
        let sql = self.probe(&owners, &select);
        self.owners(&sql, values).await
    }

    async fn lock_customers(&mut self, wanted: &[Uuid]) -> StoreResult<Vec<CustomerRow>> {
        self.locked(&CUSTOMERS, wanted, Others::Await).await?.iter().map(customer).collect()
    }

    async fn lock_conversations(&mut self, wanted: &[Uuid]) -> StoreResult<Vec<ConversationRow>> {
        self.locked(&CONVERSATIONS, wanted, Others::Await).await?.iter().map(conversation).collect()
    }

    async fn lock_free_customers(&mut self, wanted: &[Uuid]) -> StoreResult<Vec<CustomerRow>> {
        self.locked(&CUSTOMERS, wanted, Others::Skip).await?.iter().map(customer).collect()
    }

    async fn lock_free_conversations(&mut self, wanted: &[Uuid]) -> StoreResult<Vec<ConversationRow>> {
        self.locked(&CONVERSATIONS, wanted, Others::Skip).await?.iter().map(conversation).collect()
    }

    async fn digests(&mut self, ids: &[String]) -> StoreResult<HashMap<String, Uuid>> {
        let lookup = Lookup::new(ids.iter().map(String::as_str));
        let Source { select, values } = self.source(&[("id", Kind::Given)], &texts(lookup.stored()), 1);
        let stored = Probe { columns: "id, digest", table: "events", by: &["id"], and: "" };
        let sql = self.probe(&stored, &select);
        let mut digests = HashMap::new();
        for row in self.all(&sql, values).await? {
            let stored: String = get(&row, "events", "id")?;
            if let Some(id) = lookup.asked(&stored) {
                digests.insert(id.to_owned(), get(&row, "events", "digest")?);
            }
        }
        Ok(digests)
    }

    async fn insert_events(&mut self, events: &[StoredEvent]) -> StoreResult<Vec<String>> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let columns: Vec<_> = EVENT.iter().copied().chain([("tombstone", Kind::Text)]).collect();
        let names: Vec<&str> = EVENT.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let rows: Vec<Vec<Cell>> = events.iter().map(event_cells_and_tombstone).collect();
        let Source { select, values } = self.source(&columns, &rows, 1);
        let Scope { bucket, workspace } = rekindle_ports::Tx::scope(self);
        // PostgreSQL is shown the index of what was erased: knowing nothing of a young table it takes
        // any index that holds the id, however far behind, and walks all of it for every event.
        let erased = match self.backend {
            DatabaseBackend::Postgres => " AND e.id LIKE 'sha256:%'",
            _ => "",
        };
        // Counted instead of tested by EXISTS: the planner must not turn a few probes of an index
        // into a scan of all events.
        let sql = format!(
            "INSERT INTO events (bucket, workspace, {names}) SELECT {bucket}, {workspace}, {names} FROM ({select}) AS v \
             WHERE (SELECT COUNT(*) FROM events e WHERE {} AND e.id = v.tombstone{erased}) = 0 \
             ON CONFLICT (bucket, workspace, id) DO NOTHING RETURNING id",
            self.here_in("e.")
        );
        let rows = self.all(&sql, values).await?;
        rows.iter().map(|row| get(row, "events", "id")).collect()
    }

    async fn save_customers(&mut self, rows: &[CustomerRow]) -> StoreResult<()> {
        let rows: Vec<Vec<Cell>> = rows.iter().map(customer_cells).collect();
        self.insert("customers", CUSTOMER, &rows, &replace(CUSTOMER, &["key"])).await?;
        Ok(())
    }

    async fn save_conversations(&mut self, rows: &[ConversationRow]) -> StoreResult<()> {
        let rows: Vec<Vec<Cell>> = rows.iter().map(conversation_cells).collect();
        self.insert("conversations", CONVERSATION, &rows, &replace(CONVERSATION, &["key"])).await?;
        Ok(())
    }

    async fn events_by_id(&mut self, ids: &[String]) -> StoreResult<Vec<Event>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let rows: Vec<Vec<Cell>> = ids.iter().map(|id| vec![id.clone().into()]).collect();
        let Source { select, values } = self.source(&[("id", Kind::Text)], &rows, 1);
        let columns = self.event_columns();
        let events = Probe { columns: &columns, table: "events", by: &["id"], and: "" };
        self.all(&self.probe(&events, &select), values).await?.iter().map(event).collect()
    }

    async fn conversation_events(&mut self, wanted: &[Uuid]) -> StoreResult<Vec<(Uuid, Event)>> {
        let Source { select, values } = self.source(&[("conversation", Kind::Uuid)], &keys(wanted), 1);
        let columns = format!("{}, conversation AS subject", self.event_columns());
        let events = Probe { columns: &columns, table: "events", by: &["conversation"], and: IN_ORDER };
        self.subject_events(&self.probe(&events, &select), values).await
    }

    async fn customer_events(&mut self, wanted: &[Uuid]) -> StoreResult<Vec<(Uuid, Event)>> {
        let owners = self.owned_by(wanted).await?;
        let conversations: Vec<Uuid> = owners.keys().copied().collect();
        let mut events = self.conversation_events(&conversations).await?;
        for (subject, _) in &mut events {
            *subject = owners[subject];
        }
        events.extend(self.events_naming(wanted, "AND conversation IS NULL").await?);
        events.sort_by(|(_, a), (_, b)| in_order(a, b));
        Ok(events)
    }

    async fn returns(
        &mut self,
        kind: NameKind,
        after: &[(Uuid, Timestamp)],
    ) -> StoreResult<HashMap<(Uuid, Timestamp), Timestamp>> {
        returns::first(self, kind, after).await
    }

    async fn attributes(&mut self, kind: NameKind, keys: &[Uuid]) -> StoreResult<HashMap<Uuid, Properties>> {
        attributes::current(self, kind, keys).await
    }

    async fn attribute_events(&mut self, wanted: &[Uuid]) -> StoreResult<Vec<(Uuid, Event)>> {
        let of_attributes = format!("AND kind = '{}'", rekindle_core::event::CUSTOMER_UPDATED);
        self.events_naming(wanted, &of_attributes).await
    }

    async fn conversations_owned(&mut self, customers: &[Uuid]) -> StoreResult<Vec<Uuid>> {
        let Source { select, values } = self.source(&[("owner", Kind::Uuid)], &keys(customers), 1);
        let owned =
            Probe { columns: "key", table: "conversations", by: &["owner"], and: "AND erased_at IS NULL" };
        let rows = self.all(&self.probe(&owned, &select), values).await?;
        rows.iter().map(|row| get(row, "conversations", "key")).collect()
    }

    async fn conversations_unowned(&mut self, after: Option<Uuid>, limit: u32) -> StoreResult<Vec<Uuid>> {
        let sql = format!(
            "SELECT key FROM conversations WHERE {} AND key > {} AND owner IS NULL AND erased_at IS NULL \
             ORDER BY key LIMIT {limit}",
            self.here(),
            self.bind(1)
        );
        let rows = self.all(&sql, vec![after.unwrap_or(Uuid::nil()).into()]).await?;
        rows.iter().map(|row| get(row, "conversations", "key")).collect()
    }

    async fn conversations_of(
        &mut self,
        customer: Uuid,
        after: Timestamp,
        limit: u32,
    ) -> StoreResult<Vec<Uuid>> {
        let sql = format!(
            "SELECT key FROM conversations WHERE {} AND owner = {} AND last_at > {} AND erased_at IS NULL ORDER BY key LIMIT {limit}",
            self.here(),
            self.bind(1),
            self.bind(2)
        );
        let rows = self.all(&sql, vec![customer.into(), after.0.into()]).await?;
        rows.iter().map(|row| get(row, "conversations", "key")).collect()
    }
}

/// The order of the index on a conversation's events: what makes the planner read that one.
const IN_ORDER: &str = "ORDER BY effective_at, sequence, id";

impl SeaTx {
    /// Keys of names that are known; an erased name is known by its tombstone.
    async fn known<'a>(
        &self,
        kind: NameKind,
        names: impl IntoIterator<Item = &'a str>,
    ) -> StoreResult<HashMap<String, Uuid>> {
        let lookup = Lookup::new(names);
        let Source { select, values } = self.source(&[("name", Kind::Given)], &texts(lookup.stored()), 1);
        let of_kind = format!("AND kind = {}", kind.code());
        let names = Probe { columns: "name, key", table: "identities", by: &["name"], and: &of_kind };
        let sql = self.probe(&names, &select);
        let mut known = HashMap::new();
        for row in self.all(&sql, values).await? {
            let stored: String = get(&row, "identities", "name")?;
            if let Some(name) = lookup.asked(&stored) {
                known.insert(name.to_owned(), get(&row, "identities", "key")?);
            }
        }
        Ok(known)
    }

    /// Rows of subjects, locked by a unit of work that may write; one that only reads may not.
    async fn locked(
        &self,
        rows: &Probe<'_>,
        wanted: &[Uuid],
        others: Others,
    ) -> StoreResult<Vec<QueryResult>> {
        let Source { select, values } = self.source(KEYS, &keys(wanted), 1);
        self.all(&self.probe_for_update(rows, &select, others), values).await
    }

    async fn create_subjects(
        &mut self,
        kind: NameKind,
        fresh: &[(String, Uuid)],
        now: Timestamp,
    ) -> StoreResult<()> {
        match kind {
            NameKind::Customer => {
                let rows: Vec<_> =
                    fresh.iter().map(|(name, key)| customer_cells(&new_customer(name, *key, now))).collect();
                self.insert("customers", CUSTOMER, &rows, "").await?;
            }
            NameKind::Conversation => {
                let rows: Vec<_> = fresh
                    .iter()
                    .map(|(name, key)| conversation_cells(&new_conversation(name, *key, now)))
                    .collect();
                self.insert("conversations", CONVERSATION, &rows, "").await?;
            }
        }
        Ok(())
    }

    /// Columns of an event; JSON as text under its own name.
    pub(crate) fn event_columns(&self) -> String {
        format!(
            "id, conversation, customer, kind, occurred_at, effective_at, received_at, \
             sequence, author, flags, body, {} AS properties",
            json_text(self.backend, "properties")
        )
    }

    /// Conversations of customers, each with its owner.
    pub(crate) async fn owned_by(&self, customers: &[Uuid]) -> StoreResult<HashMap<Uuid, Uuid>> {
        let Source { select, values } = self.source(&[("owner", Kind::Uuid)], &keys(customers), 1);
        let owned = Probe { columns: "key, owner", table: "conversations", by: &["owner"], and: "" };
        self.owners(&self.probe(&owned, &select), values).await
    }

    /// Owners by conversation, of those that have one.
    async fn owners(&self, sql: &str, values: Vec<sea_orm::Value>) -> StoreResult<HashMap<Uuid, Uuid>> {
        let mut owners = HashMap::new();
        for row in &self.all(sql, values).await? {
            if let Some(owner) = get(row, "conversations", "owner")? {
                owners.insert(get(row, "conversations", "key")?, owner);
            }
        }
        Ok(owners)
    }

    /// Events that name customers; `and` is what else has to hold, as an index of them says it.
    async fn events_naming(&self, customers: &[Uuid], and: &str) -> StoreResult<Vec<(Uuid, Event)>> {
        let Source { select, values } = self.source(&[("customer", Kind::Uuid)], &keys(customers), 1);
        let columns = format!("{}, customer AS subject", self.event_columns());
        let and = format!("{and} {IN_ORDER}");
        let events = Probe { columns: &columns, table: "events", by: &["customer"], and: &and };
        self.subject_events(&self.probe(&events, &select), values).await
    }

    /// Events of a query that says whose each is, as `subject`, in the order of their streams.
    pub(crate) async fn subject_events(
        &self,
        sql: &str,
        values: Vec<sea_orm::Value>,
    ) -> StoreResult<Vec<(Uuid, Event)>> {
        let rows = self.all(sql, values).await?;
        let events = rows.iter().map(|row| Ok((get(row, "events", "subject")?, event(row)?)));
        let mut events = events.collect::<StoreResult<Vec<(Uuid, Event)>>>()?;
        events.sort_by(|(_, a), (_, b)| in_order(a, b));
        Ok(events)
    }
}

/// The order of a stream, over the streams of a batch; ids order by their bytes.
pub(crate) fn in_order(a: &Event, b: &Event) -> Ordering {
    let place = |event: &Event| (event.effective_at, event.sequence);
    place(a).cmp(&place(b)).then_with(|| a.id.cmp(&b.id))
}

/// `ON CONFLICT … DO UPDATE` of every column that is not part of the key.
pub(crate) fn replace(columns: &Columns, key: &[&str]) -> String {
    let sets: Vec<String> = columns
        .iter()
        .filter(|(name, _)| !key.contains(name))
        .map(|(name, _)| format!("{name} = excluded.{name}"))
        .collect();
    format!("ON CONFLICT (bucket, workspace, {}) DO UPDATE SET {}", key.join(", "), sets.join(", "))
}

pub(crate) fn keys(wanted: &[Uuid]) -> Vec<Vec<Cell>> {
    wanted.iter().map(|key| vec![(*key).into()]).collect()
}

pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Vec<Cell>> {
    texts.into_iter().map(|text| vec![text.into()]).collect()
}

fn new_customer(name: &str, key: Uuid, now: Timestamp) -> CustomerRow {
    CustomerRow {
        key,
        name: name.to_owned(),
        attributes: LatestAttributes::default(),
        attribute_events: 0,
        first_at: None,
        last_at: None,
        created_at: now,
        erased_at: None,
    }
}

fn new_conversation(name: &str, key: Uuid, now: Timestamp) -> ConversationRow {
    ConversationRow {
        key,
        name: name.to_owned(),
        owner: None,
        attributes: LatestAttributes::default(),
        state: Conversation::default(),
        event_count: 0,
        first_at: None,
        last_at: None,
        created_at: now,
        erased_at: None,
    }
}
