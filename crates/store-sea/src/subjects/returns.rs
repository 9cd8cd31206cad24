//! When customers came back.

use std::collections::HashMap;

use rekindle_core::Timestamp;
use rekindle_core::event::{Author, CONVERSATION_UPDATED, CUSTOMER_UPDATED};
use rekindle_ports::StoreResult;
use rekindle_ports::rows::NameKind;
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

pub(super) async fn first(tx: &SeaTx, kind: NameKind, looks: &Looks) -> StoreResult<Returns> {
    match kind {
        NameKind::Conversation => to_subjects(tx, "e.conversation = v.subject", looks).await,
        NameKind::Customer => to_customers(tx, looks).await,
    }
}

/// In a conversation of theirs, or outside of any.
async fn to_customers(tx: &SeaTx, looks: &Looks) -> StoreResult<Returns> {
    let customers: Vec<Uuid> = looks.iter().map(|(customer, _)| *customer).collect();
    let mut owned: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for (conversation, owner) in tx.owned_by(&customers).await? {
        owned.entry(owner).or_default().push(conversation);
    }
    let of = |customer: &Uuid| owned.get(customer).map_or(&[][..], Vec::as_slice);
    let inside = looks.iter().flat_map(|(customer, after)| of(customer).iter().map(|it| (*it, *after)));
    let inside = to_subjects(tx, "e.conversation = v.subject", &inside.collect::<Vec<_>>()).await?;
    let mut returns = to_subjects(tx, "e.conversation IS NULL AND e.customer = v.subject", looks).await?;
    for look @ (customer, after) in looks {
        let first = of(customer).iter().filter_map(|it| inside.get(&(*it, *after))).min();
        if let Some(at) = first {
            let known = returns.entry(*look).or_insert(*at);
            *known = *at.min(known);
        }
    }
    Ok(returns)
}

/// One look into an index of events for each, which ends at the first that is a return.
async fn to_subjects(tx: &SeaTx, whose: &str, looks: &Looks) -> StoreResult<Returns> {
    if looks.is_empty() {
        return Ok(Returns::new());
    }
    let rows: Vec<Vec<Cell>> = looks.iter().map(|(key, after)| vec![(*key).into(), after.0.into()]).collect();
    let Source { select, values } = tx.source(LOOK, &rows, 1);
    let sql = format!(
        "SELECT v.subject, v.after, (SELECT e.effective_at FROM events e \
           WHERE {} AND {whose} AND e.effective_at > v.after AND {} \
           ORDER BY e.effective_at, e.sequence, e.id LIMIT 1) AS at FROM ({select}) AS v",
        tx.here_in("e."),
        is_return()
    );
    let mut returns = Returns::new();
    for row in tx.all(&sql, values).await? {
        let at: Option<i64> = get(&row, "events", "at")?;
        if let Some(at) = at {
            let look = (get(&row, "events", "subject")?, Timestamp(get(&row, "events", "after")?));
            returns.insert(look, Timestamp(at));
        }
    }
    Ok(returns)
}

/// What [`Event::is_return`](rekindle_core::event::Event::is_return) says, of events that carry no
/// attributes.
fn is_return() -> String {
    format!(
        "e.author = {} AND e.flags & {AUTOMATED} = 0 AND e.kind NOT IN ('{CONVERSATION_UPDATED}', '{CUSTOMER_UPDATED}')",
        Author::Customer.code()
    )
}
