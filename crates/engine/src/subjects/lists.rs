//! Lists of conversations and customers, the newest first.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::funnel::{OwedBy, SubjectKind};
use rekindle_core::metrics::positions::Condition;
use rekindle_core::predicate::{self, Predicate};
use rekindle_core::scope::Scope;
use rekindle_core::violation::{Violation, quoted};
use rekindle_ports::Tx;
use rekindle_ports::browse::{ConversationQuery, CustomerQuery, PositionTest};
use rekindle_ports::rows::{ConversationRow, NameKind};
use uuid::Uuid;

use super::{ConversationView, CustomerView, counted, normal};
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, Invalid};
use crate::funnels::view;

/// Which conversations to list. All conditions that are given must hold.
#[derive(Debug, Clone, Default)]
pub struct ConversationList {
    /// A rule over the attributes now of `conversation` and `customer`; empty means all.
    pub filter: String,
    /// Who owes the next word.
    pub owed_by: Option<OwedBy>,
    /// Whether the latest episode is resolved.
    pub resolved: Option<bool>,
    /// The client's id of the customer it belongs to.
    pub customer: Option<String>,
    /// Where one of its journeys is.
    pub position: Option<PositionFilter>,
    /// Where the page before ended.
    pub after: Option<Uuid>,
    /// Most conversations.
    pub limit: u32,
}

/// Which customers to list. All conditions that are given must hold.
#[derive(Debug, Clone, Default)]
pub struct CustomerList {
    /// A rule over the attributes now of `customer`; empty means all.
    pub filter: String,
    /// Where one of their journeys is.
    pub position: Option<PositionFilter>,
    /// Where the page before ended.
    pub after: Option<Uuid>,
    /// Most customers.
    pub limit: u32,
}

/// Where a journey of a funnel's newest revision is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionFilter {
    /// Funnel id.
    pub funnel: String,
    /// Stage id; any when absent, none included.
    pub stage: Option<String>,
    /// What it is doing; anything when absent.
    pub condition: Option<Condition>,
}

/// A page of conversations.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationPage {
    /// The conversations; there may be fewer than asked for before the end.
    pub conversations: Vec<ConversationView>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Uuid>,
}

/// A page of customers.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomerPage {
    /// The customers; there may be fewer than asked for before the end.
    pub customers: Vec<CustomerView>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Uuid>,
}

impl Engine {
    /// Lists conversations that are not erased, the newest first.
    ///
    /// Wrong fields are named: `filter`, `position.funnel`, `position.stage`.
    pub async fn conversations(
        &self,
        scope: Scope,
        list: ConversationList,
    ) -> EngineResult<ConversationPage> {
        self.read(scope, move |tx, now| conversations(tx, list.clone(), now)).await
    }

    /// Lists customers that are not erased, the newest first.
    ///
    /// Wrong fields are named: `filter`, `position.funnel`, `position.stage`.
    pub async fn customers(&self, scope: Scope, list: CustomerList) -> EngineResult<CustomerPage> {
        self.read(scope, move |tx, now| customers(tx, list.clone(), now)).await
    }
}

fn conversations(
    tx: &mut dyn Tx,
    list: ConversationList,
    now: Timestamp,
) -> BoxFuture<'_, EngineResult<ConversationPage>> {
    Box::pin(async move {
        let mut wrong = Vec::new();
        let filter = rule(&list.filter, SubjectKind::Conversation, &mut wrong);
        let position = position(tx, list.position, SubjectKind::Conversation, now, &mut wrong).await?;
        checked(wrong)?;
        let mut query = ConversationQuery {
            filter,
            owed_by: list.owed_by,
            resolved: list.resolved,
            customer: None,
            position,
            before: list.after,
            limit: list.limit,
        };
        if let Some(name) = &list.customer {
            query.customer = tx.key_of(NameKind::Customer, &normal(name)).await?;
            if query.customer.is_none() {
                return Ok(ConversationPage { conversations: Vec::new(), next: None });
            }
        }
        let found = tx.list_conversations(&query).await?;
        Ok(ConversationPage { conversations: with_customers(tx, found.rows).await?, next: found.next })
    })
}

fn customers(
    tx: &mut dyn Tx,
    list: CustomerList,
    now: Timestamp,
) -> BoxFuture<'_, EngineResult<CustomerPage>> {
    Box::pin(async move {
        let mut wrong = Vec::new();
        let filter = rule(&list.filter, SubjectKind::Customer, &mut wrong);
        let position = position(tx, list.position, SubjectKind::Customer, now, &mut wrong).await?;
        checked(wrong)?;
        let query = CustomerQuery { filter, position, before: list.after, limit: list.limit };
        let found = tx.list_customers(&query).await?;
        Ok(CustomerPage { customers: counted(tx, found.rows).await?, next: found.next })
    })
}

/// Conversations with the names of their customers, in the same order.
async fn with_customers(tx: &mut dyn Tx, rows: Vec<ConversationRow>) -> EngineResult<Vec<ConversationView>> {
    let owner = |row: &ConversationRow| row.owner.as_ref().map(|(owner, _)| *owner);
    let owners: BTreeSet<Uuid> = rows.iter().filter_map(owner).collect();
    let owners: Vec<Uuid> = owners.into_iter().collect();
    let names = tx.names(NameKind::Customer, &owners).await?;
    let view = |row: ConversationRow| {
        let customer = owner(&row).and_then(|owner| names.get(&owner).cloned());
        ConversationView { row, customer, positions: Vec::new() }
    };
    Ok(rows.into_iter().map(view).collect())
}

/// The rule of a list; it may look at attributes only.
fn rule(source: &str, kind: SubjectKind, wrong: &mut Vec<Violation>) -> Option<Predicate> {
    if source.trim().is_empty() {
        return None;
    }
    let mut refuse = |message: String| wrong.push(Violation { field: "filter".into(), message });
    match predicate::parse(source) {
        Ok(rule) if rule.reads().event => {
            refuse("a list has no event to look at: use `conversation` and `customer`".into());
            None
        }
        Ok(rule) if kind == SubjectKind::Customer && !rule.reads().conversation_keys.is_empty() => {
            refuse("a list of customers has no conversation to look at: use `customer`".into());
            None
        }
        Ok(rule) => Some(rule),
        Err(error) => {
            refuse(error.to_string());
            None
        }
    }
}

/// The position of a list as the newest revision of its funnel has it.
async fn position(
    tx: &mut dyn Tx,
    filter: Option<PositionFilter>,
    kind: SubjectKind,
    now: Timestamp,
    wrong: &mut Vec<Violation>,
) -> EngineResult<Option<PositionTest>> {
    let Some(filter) = filter else {
        return Ok(None);
    };
    let revision = view(tx, &filter.funnel, None).await?.revision;
    let mut refuse = |field: &str, message: String| wrong.push(Violation { field: field.into(), message });
    if revision.body.subject != kind {
        refuse("position.funnel", "follows subjects of another kind than the list has".into());
        return Ok(None);
    }
    let place = filter.stage.as_deref().map(|stage| (stage, revision.body.stage_index(stage)));
    if let Some((stage, None)) = place {
        refuse("position.stage", format!("the funnel has no stage {}", quoted(stage)));
    }
    let place = place.and_then(|(_, place)| place);
    Ok(Some(PositionTest { revision: revision.head.key, place, condition: filter.condition, now }))
}

fn checked(wrong: Vec<Violation>) -> EngineResult<()> {
    if wrong.is_empty() { Ok(()) } else { Err(EngineError::invalid(Invalid::Field, wrong)) }
}
