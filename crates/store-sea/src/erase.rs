//! Erasing customers and conversations in SQL.
//!
//! Rows keep their keys, kinds and instants, so that every figure stays; names and
//! event ids become tombstones wherever they stand, and everything else that a client
//! said is emptied. Tables are written in the order in which everybody locks.

use async_trait::async_trait;
use rekindle_ports::StoreResult;
use rekindle_ports::erasure::{Erased, Erasure};
use rekindle_ports::store::Erase;
use sea_orm::Value;
use uuid::Uuid;

use self::renames::Renames;
use crate::sql::{Columns, Kind, Source};
use crate::store::{SeaTx, get};
use crate::subjects::keys;

mod events;
mod journeys;
mod ledger;
mod renames;
mod subjects;
mod suppressions;

const KEYS: &Columns = &[("key", Kind::Uuid)];
const RENAME: &Columns = &[("old_id", Kind::Text), ("new_id", Kind::Text)];

#[async_trait]
impl Erase for SeaTx {
    async fn erase(&mut self, order: &Erasure) -> StoreResult<Erased> {
        self.erase_names(order).await?;
        self.erase_suppressions(order).await?;
        let renames = self.erase_events(order).await?;
        self.erase_customers(order, &renames).await?;
        self.erase_conversations(order, &renames).await?;
        self.erase_journeys(order, &renames).await?;
        let runs = self.erase_runs(order, &renames).await?;
        self.erase_deliveries(order).await?;
        Ok(Erased { events: renames.len(), runs })
    }
}

impl SeaTx {
    /// Gives tombstones to the event ids in a column of rows that a condition picks.
    /// The condition's placeholders begin at 1.
    async fn rename_in(
        &self,
        table: &'static str,
        column: &'static str,
        condition: &str,
        values: Vec<Value>,
        renames: &Renames,
    ) -> StoreResult<()> {
        let here = self.here_in(&format!("{table}."));
        let sql = format!("SELECT DISTINCT {column} FROM {table} WHERE {here} AND {condition}");
        let mut rows = Vec::new();
        for row in self.all(&sql, values.clone()).await? {
            let old: String = get(&row, table, column)?;
            if let Some(new) = renames.of(&old) {
                rows.push(vec![old.into(), new.into()]);
            }
        }
        if rows.is_empty() {
            return Ok(());
        }
        let Source { select, values: more } = self.source(RENAME, &rows, values.len() + 1);
        let sql = format!(
            "UPDATE {table} SET {column} = v.new_id FROM ({select}) AS v \
             WHERE {here} AND {condition} AND {table}.{column} = v.old_id"
        );
        self.run(&sql, values.into_iter().chain(more).collect()).await?;
        Ok(())
    }

    /// Rows whose columns hold one of these keys: a condition and what it binds.
    fn any_of(&self, columns: &[(&str, &[Uuid])]) -> (String, Vec<Value>) {
        let (mut parts, mut values) = (Vec::new(), Vec::new());
        for (column, wanted) in columns {
            let Source { select, values: more } = self.source(KEYS, &keys(wanted), values.len() + 1);
            parts.push(format!("{column} IN ({select})"));
            values.extend(more);
        }
        (format!("({})", parts.join(" OR ")), values)
    }
}

/// Keys of the customers that are erased.
fn customers(order: &Erasure) -> Vec<Uuid> {
    order.customers.iter().map(|erasee| erasee.key).collect()
}

/// Keys of the conversations that are erased.
fn conversations(order: &Erasure) -> Vec<Uuid> {
    order.conversations.iter().map(|erasee| erasee.key).collect()
}

/// Every subject in whose rows erased events stand: the erased, and owners who stay.
fn touched(order: &Erasure) -> Vec<Uuid> {
    let mut touched = customers(order);
    touched.extend(conversations(order));
    touched.extend(&order.owners);
    touched
}
