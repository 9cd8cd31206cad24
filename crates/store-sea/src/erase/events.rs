//! Events of erased subjects: type and instants stay.

use rekindle_core::event::{CONVERSATION_UPDATED, CUSTOMER_UPDATED};
use rekindle_core::value::Properties;
use rekindle_ports::StoreResult;
use rekindle_ports::erasure::{Erasure, KeptKeys};

use super::renames::Renames;
use super::{conversations, customers};
use crate::sql::{Cell, Columns, Kind, Source, json_text};
use crate::store::{SeaTx, get, get_json, json};

const EVENT: &Columns = &[("old_id", Kind::Text), ("new_id", Kind::Text), ("kept", Kind::Json)];

/// Events written in one statement.
const CHUNK: usize = 5_000;

impl SeaTx {
    /// Empties the events of the subjects; their ids and what they are called from now on.
    pub(super) async fn erase_events(&self, order: &Erasure) -> StoreResult<Renames> {
        let rows = self.emptied(order).await?;
        let renames = Renames::new(rows.iter().map(|(id, _)| id.clone()));
        let cells: Vec<Vec<Cell>> = rows
            .iter()
            .map(|(id, kept)| {
                vec![id.clone().into(), renames.of(id).unwrap_or_default().into(), json(kept).into()]
            })
            .collect();
        for chunk in cells.chunks(CHUNK) {
            let Source { select, values } = self.source(EVENT, chunk, 1);
            let sql = format!(
                "UPDATE events SET id = v.new_id, customer_name = NULL, body = NULL, properties = v.kept \
                 FROM ({select}) AS v WHERE {} AND events.id = v.old_id",
                self.here_in("events.")
            );
            self.run(&sql, values).await?;
        }
        self.erase_mentions(order).await?;
        Ok(renames)
    }

    /// Ids of the subjects' events and what of their properties stays, in order of the ids.
    async fn emptied(&self, order: &Erasure) -> StoreResult<Vec<(String, Properties)>> {
        let (conversations, customers) = (conversations(order), customers(order));
        let columns = format!("id, kind, {} AS properties", json_text(self.backend, "properties"));
        let of_conversations = self.any_of(&[("conversation", &conversations)]);
        let of_customers = self.any_of(&[("conversation IS NULL AND customer", &customers)]);
        let mut rows = Vec::new();
        for (condition, values) in [of_conversations, of_customers] {
            let sql = format!("SELECT {columns} FROM events WHERE {} AND {condition}", self.here());
            for row in self.all(&sql, values).await? {
                let kind: String = get(&row, "events", "kind")?;
                let properties = get_json(&row, "events", "properties")?;
                rows.push((get(&row, "events", "id")?, kept(&kind, properties, &order.kept)));
            }
        }
        rows.sort_by(|a: &(String, Properties), b| a.0.cmp(&b.0));
        Ok(rows)
    }

    /// Takes the customers out of events in conversations of others.
    async fn erase_mentions(&self, order: &Erasure) -> StoreResult<()> {
        let customers = customers(order);
        if customers.is_empty() {
            return Ok(());
        }
        let (condition, values) = self.any_of(&[("customer", &customers)]);
        let sql = format!(
            "UPDATE events SET customer_name = NULL, \
             properties = CASE WHEN kind = '{CUSTOMER_UPDATED}' THEN '{{}}' ELSE properties END \
             WHERE {} AND customer_name IS NOT NULL AND {condition}",
            self.here()
        );
        self.run(&sql, values).await?;
        Ok(())
    }
}

/// The properties of an event that figures are broken down by.
fn kept(kind: &str, mut properties: Properties, keys: &KeptKeys) -> Properties {
    let keys = match kind {
        CONVERSATION_UPDATED => &keys.conversation,
        CUSTOMER_UPDATED => &keys.customer,
        _ => &keys.event,
    };
    properties.retain(|key, _| keys.contains(key));
    properties
}
