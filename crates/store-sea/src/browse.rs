//! Lists, counts and histories of customers and conversations in SQL.

use std::collections::HashMap;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::event::OrderKey;
use rekindle_ports::StoreResult;
use rekindle_ports::browse::{ConversationQuery, CustomerQuery, Scanned, SilenceRow, Stream, Tally};
use rekindle_ports::rows::{ConversationRow, CustomerRow, StoredEvent};
use rekindle_ports::store::Browse;
use sea_orm::{DatabaseBackend, QueryResult, Value};
use uuid::Uuid;

use self::list::List;
use crate::codes::{Code, coded};
use crate::probe::Probe;
use crate::sql::{Kind, Source, json_text};
use crate::store::{SeaTx, get};
use crate::subjects::{CLAMPED, conversation, customer, event, instant, keys};

mod list;

#[async_trait]
impl Browse for SeaTx {
    async fn list_conversations(
        &mut self,
        query: &ConversationQuery,
    ) -> StoreResult<Scanned<ConversationRow>> {
        let mut list = List::new(self, query.filter.as_ref(), query.before, "s.attributes");
        if let Some(owed_by) = query.owed_by {
            list.and(&format!("s.owed_by = {}", owed_by.code()));
        }
        if let Some(resolved) = query.resolved {
            list.and(if resolved { "s.resolved" } else { "NOT s.resolved" });
        }
        if let Some(customer) = query.customer {
            let place = list.bind(customer);
            list.and(&format!("s.owner = {place}"));
        }
        if let Some(position) = &query.position {
            list.at(self, position);
        }
        let sql = format!(
            "SELECT s.key, s.name, s.owner, s.owner_order, s.latest, s.state, s.event_count, s.first_at, s.last_at, \
             s.created_at, s.erased_at, {} AS f_conversation, {} AS f_customer \
             FROM conversations s LEFT JOIN customers u ON {} AND u.key = s.owner {}",
            json_text(self.backend, "s.attributes"),
            json_text(self.backend, "u.attributes"),
            self.here_in("u."),
            list.tail(query.limit)
        );
        let rows = self.all(&sql, list.values()).await?;
        list.page(&rows, query.limit, conversation)
    }

    async fn list_customers(&mut self, query: &CustomerQuery) -> StoreResult<Scanned<CustomerRow>> {
        // A customer is in no conversation: every attribute of one is missing.
        let no_attributes = match self.backend {
            DatabaseBackend::Postgres => "'{}'::jsonb",
            _ => "'{}'",
        };
        let mut list = List::new(self, query.filter.as_ref(), query.before, no_attributes);
        if let Some(position) = &query.position {
            list.at(self, position);
        }
        let sql = format!(
            "SELECT s.key, s.name, s.latest, s.attribute_events, s.first_at, s.last_at, s.created_at, s.erased_at, \
             '{{}}' AS f_conversation, {} AS f_customer \
             FROM customers s JOIN customers u ON {} AND u.key = s.key {}",
            json_text(self.backend, "u.attributes"),
            self.here_in("u."),
            list.tail(query.limit)
        );
        let rows = self.all(&sql, list.values()).await?;
        list.page(&rows, query.limit, customer)
    }

    async fn tallies(&mut self, customers: &[Uuid]) -> StoreResult<HashMap<Uuid, Tally>> {
        let mut tallies: HashMap<Uuid, Tally> = HashMap::new();
        let Source { select, values } = self.source(&[("customer", Kind::Uuid)], &keys(customers), 1);
        let owned = Probe {
            columns: "owner, event_count, first_at, last_at",
            table: "conversations",
            by: &["owner"],
            and: "",
        };
        let owned = format!(
            "SELECT owner AS customer, COUNT(*) AS conversations, CAST(SUM(event_count) AS BIGINT) AS events, \
             MIN(first_at) AS first_at, MAX(last_at) AS last_at FROM ({}) AS c GROUP BY owner",
            self.probe(&owned, &format!("SELECT customer AS owner FROM ({select}) AS w"))
        );
        let alone = Probe {
            columns: "customer, effective_at",
            table: "events",
            by: &["customer"],
            and: "AND conversation IS NULL",
        };
        let alone = format!(
            "SELECT customer, CAST(0 AS BIGINT) AS conversations, COUNT(*) AS events, \
             MIN(effective_at) AS first_at, MAX(effective_at) AS last_at FROM ({}) AS e GROUP BY customer",
            self.probe(&alone, &select)
        );
        for sql in [owned, alone] {
            for row in self.all(&sql, values.clone()).await? {
                tallies.entry(get(&row, "tallies", "customer")?).or_default().add(&tally(&row)?);
            }
        }
        Ok(tallies)
    }

    async fn event_page(
        &mut self,
        stream: Stream,
        after: Option<&OrderKey>,
        limit: u32,
    ) -> StoreResult<Vec<StoredEvent>> {
        let key = match stream {
            Stream::Conversation(key) | Stream::Customer(key) => key,
        };
        let mut values: Vec<Value> = vec![key.into()];
        let later = after.map_or_else(String::new, |after| self.later_than(after, &mut values));
        let columns = format!("{}, customer_name, digest", self.event_columns());
        let (here, key) = (self.here_in("e."), self.bind(1));
        let own = match stream {
            Stream::Conversation(_) => {
                format!("SELECT {columns} FROM events e WHERE {here} AND e.conversation = {key}{later}")
            }
            Stream::Customer(_) => format!(
                "SELECT {columns} FROM conversations c JOIN events e ON {here} AND e.conversation = c.key{later} \
                 WHERE {} AND c.owner = {key} \
                 UNION ALL \
                 SELECT {columns} FROM events e WHERE {here} AND e.conversation IS NULL AND e.customer = {key}{later}",
                self.here_in("c.")
            ),
        };
        let sql =
            format!("SELECT * FROM ({own}) AS e ORDER BY e.effective_at, e.sequence, e.id LIMIT {limit}");
        self.all(&sql, values).await?.iter().map(stored).collect()
    }

    async fn stored_event(&mut self, id: &str) -> StoreResult<Option<StoredEvent>> {
        let sql = format!(
            "SELECT {}, customer_name, digest FROM events e WHERE {} AND e.id = {}",
            self.event_columns(),
            self.here_in("e."),
            self.bind(1)
        );
        self.one(&sql, vec![id.into()]).await?.as_ref().map(stored).transpose()
    }

    async fn ended_silences(&mut self, revisions: &[i64], subjects: &[Uuid]) -> StoreResult<Vec<SilenceRow>> {
        if revisions.is_empty() || subjects.is_empty() {
            return Ok(Vec::new());
        }
        let Source { select, values } = self.source(&[("subject", Kind::Uuid)], &keys(subjects), 1);
        let revisions: Vec<String> = revisions.iter().map(ToString::to_string).collect();
        let of_revisions = format!("AND revision IN ({})", revisions.join(", "));
        let silences = Probe {
            columns: "revision, subject, place, anchor_event, since, stall_at, abandon_at, until_at, owed_by",
            table: "silences",
            by: &["subject"],
            and: &of_revisions,
        };
        let sql = self.probe(&silences, &select);
        self.all(&sql, values).await?.iter().map(silence).collect()
    }
}

impl SeaTx {
    /// `AND …`: events after a place in their stream.
    fn later_than(&self, after: &OrderKey, values: &mut Vec<Value>) -> String {
        let mut place = |value: Value| {
            values.push(value);
            self.bind(values.len())
        };
        let at = place(after.at.0.into());
        let sequence = place(after.sequence.into());
        let id = place(after.id.clone().into());
        // The first condition is implied, and what an index can use.
        format!(
            " AND e.effective_at >= {at} AND (e.effective_at, e.sequence, e.id) > ({at}, {sequence}, {id})"
        )
    }
}

fn tally(row: &QueryResult) -> StoreResult<Tally> {
    const T: &str = "tallies";
    Ok(Tally {
        conversations: get(row, T, "conversations")?,
        events: get(row, T, "events")?,
        first_at: instant(row, T, "first_at")?,
        last_at: instant(row, T, "last_at")?,
    })
}

fn stored(row: &QueryResult) -> StoreResult<StoredEvent> {
    const T: &str = "events";
    let flags: i16 = get(row, T, "flags")?;
    Ok(StoredEvent {
        event: event(row)?,
        customer_name: get(row, T, "customer_name")?,
        digest: get(row, T, "digest")?,
        clamped: i64::from(flags) & CLAMPED != 0,
    })
}

fn silence(row: &QueryResult) -> StoreResult<SilenceRow> {
    const T: &str = "silences";
    let place: i16 = get(row, T, "place")?;
    Ok(SilenceRow {
        revision: get(row, T, "revision")?,
        subject: get(row, T, "subject")?,
        place: place as usize,
        anchor: get(row, T, "anchor_event")?,
        since: Timestamp(get(row, T, "since")?),
        stall_at: instant(row, T, "stall_at")?,
        abandon_at: instant(row, T, "abandon_at")?,
        until: Timestamp(get(row, T, "until_at")?),
        owed_by: coded(row, T, "owed_by")?,
    })
}
