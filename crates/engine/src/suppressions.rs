//! Suppressions: who is not written to, whatever a sequence says.

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_core::value::Value;
use rekindle_core::violation::Violations;
use rekindle_ports::Tx;
use rekindle_ports::resources::{SuppressionKind, SuppressionReason, SuppressionRow};
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, Invalid, ResourceKind};

mod normal;

pub(crate) use normal::is_address;

/// Most bytes of a note.
const MOST_NOTE: usize = 1_024;
/// Entries read at once when a list is filtered.
const PAGE: u32 = 1_000;

/// Somebody who is not to be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSuppression {
    /// What it names.
    pub kind: SuppressionKind,
    /// Address, customer id or domain, as given.
    pub value: String,
    /// Why.
    pub reason: SuppressionReason,
    /// Anything else, at most 1 KB.
    pub note: String,
}

/// Which entries to list, in order of kind and value.
#[derive(Debug, Clone, Default)]
pub struct SuppressionQuery {
    /// Only entries with this reason.
    pub reason: Option<SuppressionReason>,
    /// Only the entry of this address.
    pub address: Option<String>,
    /// After this entry.
    pub after: Option<(SuppressionKind, String)>,
}

impl Engine {
    /// Adds an entry, at once: what is not being sent yet is not sent. One that is there stays as it is.
    pub async fn add_suppression(&self, scope: Scope, new: NewSuppression) -> EngineResult<SuppressionRow> {
        let mut violations = Violations::new();
        let value = normal::normal(new.kind, &new.value, &mut violations);
        violations.require_text(&new.note, MOST_NOTE, "note");
        let value = violations
            .into_result(value)
            .map_err(|violations| EngineError::invalid(Invalid::Field, violations))?;
        let new = NewSuppression { value, ..new };
        self.write(scope, move |tx, now| {
            let new = new.clone();
            Box::pin(async move { add(tx, new, now).await })
        })
        .await
    }

    /// Removes an entry.
    pub async fn remove_suppression(
        &self,
        scope: Scope,
        kind: SuppressionKind,
        value: &str,
    ) -> EngineResult<()> {
        let mut violations = Violations::new();
        let value = normal::normal(kind, value, &mut violations);
        if !violations.is_empty() {
            // Nobody of such a name was ever put on the list.
            return Err(EngineError::not_found(ResourceKind::Suppression, value));
        }
        self.write(scope, move |tx, _| {
            let value = value.clone();
            Box::pin(async move {
                let was_there = tx.unsuppress(kind, &value).await?;
                was_there
                    .then_some(())
                    .ok_or_else(|| EngineError::not_found(ResourceKind::Suppression, value))
            })
        })
        .await
    }

    /// Entries that pass, in order of kind and value.
    pub async fn suppressions(
        &self,
        scope: Scope,
        query: SuppressionQuery,
        limit: u32,
    ) -> EngineResult<Vec<SuppressionRow>> {
        let mut violations = Violations::new();
        if let Some(address) = &query.address {
            normal::normal(SuppressionKind::Address, address, &mut violations);
        }
        violations.into_result(()).map_err(|found| EngineError::invalid(Invalid::Field, found))?;
        self.read(scope, move |tx, _| {
            let query = query.clone();
            Box::pin(async move { list(tx, query, limit).await })
        })
        .await
    }

    /// Writes to a customer, and to the address they have now, no more, because they said so;
    /// saying it again changes nothing.
    ///
    /// What waits is not sent: it is looked at in the transaction that begins an attempt,
    /// which holds the same customer's lock.
    pub async fn unsubscribe_customer(&self, scope: Scope, customer: Uuid) -> EngineResult<()> {
        self.write(scope, move |tx, now| {
            Box::pin(async move {
                // Somebody who was erased is not written to anyway.
                let Some(value) = tx.names(NameKind::Customer, &[customer]).await?.remove(&customer) else {
                    return Ok(());
                };
                let rows = tx.lock_customers(&[customer]).await?;
                let address = rows.first().and_then(|row| match row.attributes.current().remove("email") {
                    Some(Value::Text(address)) => Some((SuppressionKind::Address, address.to_lowercase())),
                    _ => None,
                });
                for (kind, value) in [Some((SuppressionKind::Customer, value)), address].into_iter().flatten()
                {
                    let reason = SuppressionReason::Unsubscribed;
                    add(tx, NewSuppression { kind, value, reason, note: String::new() }, now).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

async fn add(tx: &mut dyn Tx, new: NewSuppression, now: Timestamp) -> EngineResult<SuppressionRow> {
    let NewSuppression { kind, value, reason, note } = new;
    if kind == SuppressionKind::Customer
        && let Some(key) = tx.key_of(NameKind::Customer, &value).await?
    {
        // Whoever begins to send to this customer either sees the entry or began before it.
        tx.lock_customers(&[key]).await?;
    }
    let row = SuppressionRow { kind, value: value.clone(), reason, note, created_at: now };
    if tx.suppress(&row).await? {
        return Ok(row);
    }
    let known = tx.suppressed(&[(kind, value)]).await?.pop();
    // Removed between the two statements: then it was there when it was asked for.
    Ok(known.unwrap_or(row))
}

async fn list(tx: &mut dyn Tx, query: SuppressionQuery, limit: u32) -> EngineResult<Vec<SuppressionRow>> {
    let passes = |row: &SuppressionRow| query.reason.is_none_or(|reason| row.reason == reason);
    if let Some(address) = &query.address {
        let value = normal::normal(SuppressionKind::Address, address, &mut Violations::new());
        let after = query.after.as_ref();
        let found = tx.suppressed(&[(SuppressionKind::Address, value)]).await?;
        let unseen =
            |row: &SuppressionRow| after.is_none_or(|after| (row.kind, &row.value) > (after.0, &after.1));
        return Ok(found.into_iter().filter(|row| passes(row) && unseen(row)).collect());
    }
    let mut found = Vec::new();
    let mut after = query.after.clone();
    loop {
        let size = if query.reason.is_some() { PAGE } else { limit };
        let page = tx.suppressions(after.as_ref(), size).await?;
        let is_last = page.len() < size as usize;
        after = page.last().map(|row| (row.kind, row.value.clone()));
        found.extend(page.into_iter().filter(passes));
        if is_last || found.len() >= limit as usize {
            found.truncate(limit as usize);
            return Ok(found);
        }
    }
}
