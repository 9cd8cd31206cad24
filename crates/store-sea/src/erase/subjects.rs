//! Names, customers and conversations that are erased.

use std::collections::BTreeSet;

use rekindle_core::attributes::LatestAttributes;
use rekindle_ports::erasure::{Erasee, Erasure};
use rekindle_ports::rows::NameKind;
use rekindle_ports::{StoreError, StoreResult};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::renames::Renames;
use super::{conversations, customers};
use crate::codes::Code;
use crate::sql::{Cell, Columns, Kind, Source};
use crate::store::{SeaTx, get, get_json, json};
use crate::tombstone::tombstone;

const NAME: &Columns = &[("kind", Kind::Int), ("old_name", Kind::Text), ("new_name", Kind::Text)];

const CUSTOMER: &Columns =
    &[("key", Kind::Uuid), ("pseudonym", Kind::Text), ("attributes", Kind::Json), ("latest", Kind::Text)];

const CONVERSATION: &Columns = &[
    ("key", Kind::Uuid),
    ("pseudonym", Kind::Text),
    ("attributes", Kind::Json),
    ("latest", Kind::Text),
    ("state", Kind::Text),
    ("owner_order", Kind::Text),
];

impl SeaTx {
    /// Lets names be known by their tombstones alone.
    pub(super) async fn erase_names(&self, order: &Erasure) -> StoreResult<()> {
        let of_kind = |kind: NameKind, erasees: &[Erasee]| -> Vec<Vec<Cell>> {
            let row = |erasee: &Erasee| {
                vec![kind.code().into(), erasee.name.clone().into(), tombstone(&erasee.name).into()]
            };
            erasees.iter().map(row).collect()
        };
        let mut rows = of_kind(NameKind::Customer, &order.customers);
        rows.extend(of_kind(NameKind::Conversation, &order.conversations));
        let Source { select, values } = self.source(NAME, &rows, 1);
        let sql = format!(
            "UPDATE identities SET name = v.new_name FROM ({select}) AS v \
             WHERE {} AND identities.kind = v.kind AND identities.name = v.old_name",
            self.here_in("identities.")
        );
        self.run(&sql, values).await?;
        Ok(())
    }

    /// Empties customers; those who stay only forget the ids of erased events.
    pub(super) async fn erase_customers(&self, order: &Erasure, renames: &Renames) -> StoreResult<()> {
        let wanted: Vec<Uuid> = customers(order).into_iter().chain(order.owners.iter().copied()).collect();
        let (condition, values) = self.any_of(&[("key", &wanted)]);
        let sql = format!("SELECT key, latest FROM customers WHERE {} AND {condition}", self.here());
        let mut rows = Vec::new();
        for row in self.all(&sql, values).await? {
            let key: Uuid = get(&row, "customers", "key")?;
            let pseudonym = pseudonym(&order.customers, key);
            let kept = pseudonym.is_some().then_some(&order.kept.customer);
            let latest = attributes(get_json(&row, "customers", "latest")?, kept, renames)?;
            rows.push(vec![
                key.into(),
                pseudonym.into(),
                json(&latest.current()).into(),
                json(&latest).into(),
            ]);
        }
        let Source { select, values } = self.source(CUSTOMER, &rows, 1);
        let sql = format!(
            "UPDATE customers SET name = COALESCE(v.pseudonym, customers.name), \
             attributes = v.attributes, latest = v.latest, \
             erased_at = CASE WHEN v.pseudonym IS NULL THEN customers.erased_at ELSE {} END \
             FROM ({select}) AS v WHERE {} AND customers.key = v.key",
            order.at.0,
            self.here_in("customers.")
        );
        self.run(&sql, values).await?;
        Ok(())
    }

    /// Empties conversations.
    pub(super) async fn erase_conversations(&self, order: &Erasure, renames: &Renames) -> StoreResult<()> {
        const T: &str = "conversations";
        let (condition, values) = self.any_of(&[("key", &conversations(order))]);
        let sql = format!(
            "SELECT key, latest, state, owner_order FROM conversations WHERE {} AND {condition}",
            self.here()
        );
        let mut rows = Vec::new();
        for row in self.all(&sql, values).await? {
            let key: Uuid = get(&row, T, "key")?;
            let latest = attributes(get_json(&row, T, "latest")?, Some(&order.kept.conversation), renames)?;
            let mut state: Value = get_json(&row, T, "state")?;
            renames.apply(&mut state);
            let owner_order = match get::<Option<String>>(&row, T, "owner_order")? {
                Some(_) => {
                    let mut order: Value = get_json(&row, T, "owner_order")?;
                    renames.apply(&mut order);
                    Some(order.to_string())
                }
                None => None,
            };
            rows.push(vec![
                key.into(),
                pseudonym(&order.conversations, key).into(),
                json(&latest.current()).into(),
                json(&latest).into(),
                state.to_string().into(),
                owner_order.into(),
            ]);
        }
        let Source { select, values } = self.source(CONVERSATION, &rows, 1);
        let sql = format!(
            "UPDATE conversations SET name = v.pseudonym, attributes = v.attributes, latest = v.latest, \
             state = v.state, owner_order = v.owner_order, erased_at = {} \
             FROM ({select}) AS v WHERE {} AND conversations.key = v.key",
            order.at.0,
            self.here_in("conversations.")
        );
        self.run(&sql, values).await?;
        Ok(())
    }
}

fn pseudonym(erasees: &[Erasee], key: Uuid) -> Option<String> {
    erasees.iter().find(|erasee| erasee.key == key).map(|erasee| erasee.pseudonym.clone())
}

/// Attributes cut down to the keys that stay (all, when `kept` is absent), without erased event ids.
///
/// Each key holds its value and the place of the event that gave it.
fn attributes(
    mut latest: Map<String, Value>,
    kept: Option<&BTreeSet<String>>,
    renames: &Renames,
) -> StoreResult<LatestAttributes> {
    latest.retain(|key, _| kept.is_none_or(|kept| kept.contains(key)));
    for given in latest.values_mut().filter_map(|entry| entry.get_mut(1)) {
        renames.apply(given);
    }
    serde_json::from_value(latest.into()).map_err(|error| {
        tracing::error!(%error, "attributes cannot be read");
        StoreError::Corrupt { table: "subjects", column: "latest", row: String::new() }
    })
}
