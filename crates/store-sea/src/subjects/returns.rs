//! When customers came back.

use std::collections::HashMap;

use rekindle_core::Timestamp;
use rekindle_core::event::{Author, CONVERSATION_UPDATED, CUSTOMER_UPDATED};
use rekindle_ports::StoreResult;
use rekindle_ports::rows::NameKind;
use sea_orm::DatabaseBackend;
use uuid::Uuid;

use super::rows::AUTOMATED;
use crate::codes::Code;
use crate::sql::{Cell, Columns, Kind, Source};
use crate::store::{SeaTx, get};

/// Subjects, each with an instant.
pub(super) type Looks = [(Uuid, Timestamp)];

/// The first return after each.
pub(super) type Returns = HashMap<(Uuid, Timestamp), Timestamp>;

const LOOK: &Columns = &[("subject", Kind::Uuid), ("after", Kind::Number)];

/// Walks once through what each subject did after the earliest of its instants, and answers all of
/// them from that: a subject may be asked about a thousand times.
pub(super) async fn first(tx: &SeaTx, kind: NameKind, looks: &Looks) -> StoreResult<Returns> {
    let mut earliest: HashMap<Uuid, Timestamp> = HashMap::new();
    for (subject, after) in looks {
        let known = earliest.entry(*subject).or_insert(*after);
        *known = *after.min(known);
    }
    let mut came: HashMap<Uuid, Vec<Timestamp>> = HashMap::new();
    for (subject, at) in all(tx, kind, &earliest).await? {
        came.entry(subject).or_default().push(at);
    }
    for instants in came.values_mut() {
        instants.sort_unstable();
    }
    let first = |look: &(Uuid, Timestamp)| {
        let instants = came.get(&look.0)?;
        let at = instants.get(instants.partition_point(|at| *at <= look.1))?;
        Some((*look, *at))
    };
    Ok(looks.iter().filter_map(first).collect())
}

/// All returns of subjects, each after the instant beside it.
async fn all(
    tx: &SeaTx,
    kind: NameKind,
    after: &HashMap<Uuid, Timestamp>,
) -> StoreResult<Vec<(Uuid, Timestamp)>> {
    if after.is_empty() {
        return Ok(Vec::new());
    }
    if kind == NameKind::Conversation {
        return found(tx, IN_CONVERSATION, after).await;
    }
    let customers: Vec<Uuid> = after.keys().copied().collect();
    let owners = tx.owned_by(&customers).await?;
    let inside = owners.iter().map(|(conversation, owner)| (*conversation, after[owner])).collect();
    let mut returns = found(tx, IN_CONVERSATION, &inside).await?;
    for (subject, _) in &mut returns {
        *subject = owners[subject];
    }
    returns.extend(found(tx, ALONE, after).await?);
    Ok(returns)
}

const IN_CONVERSATION: &str = "e.conversation = v.subject";
const ALONE: &str = "e.conversation IS NULL AND e.customer = v.subject";

/// One walk along an index of events for each: a planner without statistics is told so.
async fn found(
    tx: &SeaTx,
    whose: &str,
    after: &HashMap<Uuid, Timestamp>,
) -> StoreResult<Vec<(Uuid, Timestamp)>> {
    if after.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<Vec<Cell>> = after.iter().map(|(key, after)| vec![(*key).into(), after.0.into()]).collect();
    let Source { select, values } = tx.source(LOOK, &rows, 1);
    let which = format!("{} AND {whose} AND e.effective_at > v.after AND {}", tx.here_in("e."), is_return());
    let events = match tx.backend {
        DatabaseBackend::Postgres => {
            let in_order = "ORDER BY e.effective_at, e.sequence, e.id OFFSET 0";
            format!("LATERAL (SELECT e.effective_at FROM events e WHERE {which} {in_order}) AS e")
        }
        // Joined so, SQLite keeps the order of the tables.
        _ => format!("events e WHERE {which}"),
    };
    let sql = format!("SELECT v.subject, e.effective_at AS at FROM ({select}) AS v CROSS JOIN {events}");
    let rows = tx.all(&sql, values).await?;
    rows.iter()
        .map(|row| Ok((get(row, "events", "subject")?, Timestamp(get(row, "events", "at")?))))
        .collect()
}

/// What [`Event::is_return`](rekindle_core::event::Event::is_return) says, of events that carry no
/// attributes.
fn is_return() -> String {
    format!(
        "e.author = {} AND e.flags & {AUTOMATED} = 0 AND e.kind NOT IN ('{CONVERSATION_UPDATED}', '{CUSTOMER_UPDATED}')",
        Author::Customer.code()
    )
}
