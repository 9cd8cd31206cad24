//! Suppressions of erased customers: they hold on, as hashes.

use std::collections::BTreeSet;

use rekindle_core::value::{Properties, Value};
use rekindle_ports::StoreResult;
use rekindle_ports::erasure::Erasure;
use rekindle_ports::ledger::Message;
use rekindle_ports::resources::SuppressionKind;

use super::customers;
use crate::codes::Code;
use crate::sql::{Cell, Columns, Kind, Source, json_text};
use crate::store::{SeaTx, get, get_json};
use crate::tombstone::tombstone;

const ENTRY: &Columns = &[("kind", Kind::Int), ("old_name", Kind::Text), ("new_name", Kind::Text)];

impl SeaTx {
    /// Keeps of the customers' entries only hashes of their names.
    /// Must be asked before attributes and messages are emptied.
    pub(super) async fn erase_suppressions(&self, order: &Erasure) -> StoreResult<()> {
        if order.customers.is_empty() {
            return Ok(());
        }
        let mut entries: BTreeSet<(SuppressionKind, String)> =
            order.customers.iter().map(|erasee| (SuppressionKind::Customer, erasee.name.clone())).collect();
        let addresses = self.addresses(order).await?;
        entries.extend(addresses.into_iter().map(|address| (SuppressionKind::Address, address)));
        let rows: Vec<Vec<Cell>> = entries
            .into_iter()
            .map(|(kind, name)| vec![kind.code().into(), name.clone().into(), tombstone(&name).into()])
            .collect();
        let Source { select, values } = self.source(ENTRY, &rows, 1);
        let (here, known) = (self.here(), self.here_in("s."));
        let sql = format!(
            "INSERT INTO suppressions (bucket, workspace, kind, name, reason, note, created_at) \
             SELECT s.bucket, s.workspace, s.kind, v.new_name, s.reason, '', s.created_at \
             FROM suppressions s JOIN ({select}) AS v ON v.kind = s.kind AND v.old_name = s.name WHERE {known} \
             ON CONFLICT (bucket, workspace, kind, name) DO NOTHING"
        );
        self.run(&sql, values.clone()).await?;
        let sql = format!(
            "DELETE FROM suppressions WHERE {here} AND (kind, name) IN (SELECT kind, old_name FROM ({select}) AS v)"
        );
        self.run(&sql, values).await?;
        Ok(())
    }

    /// Addresses under which the customers were, or could have been, written to, in lower case.
    async fn addresses(&self, order: &Erasure) -> StoreResult<BTreeSet<String>> {
        let mut addresses = BTreeSet::new();
        let (condition, values) = self.any_of(&[("key", &customers(order))]);
        let attributes = json_text(self.backend, "attributes");
        let sql =
            format!("SELECT {attributes} AS attributes FROM customers WHERE {} AND {condition}", self.here());
        for row in self.all(&sql, values).await? {
            let attributes: Properties = get_json(&row, "customers", "attributes")?;
            if let Some(Value::Text(address)) = attributes.get("email") {
                addresses.insert(address.to_lowercase());
            }
        }
        let (runs, values) = self.runs_of(order);
        let sql =
            format!("SELECT recipient, message FROM deliveries WHERE {} AND run IN ({runs})", self.here());
        for row in self.all(&sql, values).await? {
            if matches!(get_json(&row, "deliveries", "message")?, Message::Email { .. }) {
                addresses.insert(get::<String>(&row, "deliveries", "recipient")?.to_lowercase());
            }
        }
        addresses.remove("");
        Ok(addresses)
    }
}
