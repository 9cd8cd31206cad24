//! Attributes set from outside: a change is an event, so that it has an instant and is history too.

use rekindle_core::Timestamp;
use rekindle_core::event::{CONVERSATION_UPDATED, CUSTOMER_UPDATED};
use rekindle_core::ingest::{MOST_NAME, NewEvent, RejectionReason, name};
use rekindle_core::scope::Scope;
use rekindle_core::value::Properties;
use rekindle_core::violation::{Violation, Violations};
use rekindle_ports::Tx;
use rekindle_ports::rows::{NameKind, StoredEvent};
use xxhash_rust::xxh3::xxh3_128;

use super::{ConversationView, CustomerView, normal};
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, Invalid, Precondition, ResourceKind};

/// Attributes to set.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AttributeChange {
    /// Keys to set; null takes a key away, other keys stay as they are.
    pub attributes: Properties,
    /// Since when they hold; now when absent.
    pub at: Option<Timestamp>,
    /// Makes the call safe to repeat.
    pub request_id: Option<String>,
    /// Of a conversation: the client's id of the customer it belongs to.
    pub customer: Option<String>,
}

/// A subject after a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Updated<V> {
    /// The subject.
    pub view: V,
    /// Subjects that the fill job will fold again.
    pub refold_pending: u64,
}

impl Engine {
    /// Sets attributes of a conversation, which need not exist yet.
    ///
    /// A repeated `request_id` changes nothing; with other content it is answered by
    /// [`EngineError::RequestIdReused`].
    pub async fn update_conversation_attributes(
        &self,
        scope: Scope,
        id: &str,
        change: AttributeChange,
    ) -> EngineResult<Updated<ConversationView>> {
        let event =
            NewEvent { conversation: Some(normal(id)), ..self.event(CONVERSATION_UPDATED, &change).await };
        let refold_pending = self.store_change(scope, ResourceKind::Conversation, event, &change).await?;
        Ok(Updated { view: self.conversation(scope, id).await?, refold_pending })
    }

    /// Sets attributes of a customer, who need not exist yet.
    ///
    /// A repeated `request_id` changes nothing; with other content it is answered by
    /// [`EngineError::RequestIdReused`].
    pub async fn update_customer_attributes(
        &self,
        scope: Scope,
        id: &str,
        change: AttributeChange,
    ) -> EngineResult<Updated<CustomerView>> {
        let event = NewEvent { customer: Some(normal(id)), ..self.event(CUSTOMER_UPDATED, &change).await };
        let refold_pending = self.store_change(scope, ResourceKind::Customer, event, &change).await?;
        Ok(Updated { view: self.customer(scope, id).await?, refold_pending })
    }

    /// The event of a change, without its subject.
    async fn event(&self, kind: &str, change: &AttributeChange) -> NewEvent {
        let request = change.request_id.clone().unwrap_or_else(|| self.minter().mint().to_string());
        let occurred_at = match change.at {
            Some(at) => at,
            None => self.now().await,
        };
        NewEvent {
            id: event_id(kind, &request),
            conversation: None,
            customer: change.customer.clone(),
            kind: kind.into(),
            occurred_at,
            sequence: 0,
            author: None,
            public: Some(false),
            automated: None,
            closing: false,
            text: None,
            properties: change.attributes.clone(),
        }
    }

    /// Stores the event of a change; how many subjects the fill job will fold again.
    async fn store_change(
        &self,
        scope: Scope,
        kind: ResourceKind,
        event: NewEvent,
        change: &AttributeChange,
    ) -> EngineResult<u64> {
        let event = event.normalized();
        check(kind, &event, change)?;
        let mut report = self.ingest(scope, vec![event.clone()]).await?;
        match report.rejections.pop().map(|rejection| rejection.reason) {
            None => Ok(report.refold_pending),
            Some(RejectionReason::IdReused) => {
                // Without an instant of its own, a repeated call has another "now".
                if change.at.is_none() && self.is_stored(scope, event).await? {
                    return Ok(0);
                }
                Err(EngineError::RequestIdReused { id: change.request_id.clone().unwrap_or_default() })
            }
            Some(RejectionReason::SubjectErased) => Err(EngineError::Precondition {
                reason: Precondition::SubjectErased,
                message: "the subject was erased".into(),
                metadata: Vec::new(),
            }),
            // Everything that ingest checks was checked before.
            Some(RejectionReason::Invalid) => Err(EngineError::field("attributes", "are not valid")),
        }
    }

    /// Whether the event is stored already, whatever its instant.
    async fn is_stored(&self, scope: Scope, event: NewEvent) -> EngineResult<bool> {
        self.read(scope, move |tx, _| {
            let event = event.clone();
            Box::pin(async move {
                match tx.stored_event(&event.id).await? {
                    Some(stored) => says_the_same(tx, &stored, &event).await,
                    None => Ok(false),
                }
            })
        })
        .await
    }
}

/// The id of the event of a request: the same for the same request.
fn event_id(kind: &str, request: &str) -> String {
    let id = format!("attr-{kind}-{request}");
    if id.len() <= MOST_NAME { id } else { format!("attr-{kind}-{:032x}", xxh3_128(request.as_bytes())) }
}

/// Names every wrong field as the request has it.
fn check(kind: ResourceKind, event: &NewEvent, change: &AttributeChange) -> EngineResult<()> {
    let mut v = Violations::new();
    if let Some(request) = &change.request_id {
        name(request, "requestId", &mut v);
    }
    let says_something = !event.properties.is_empty() || change.customer.is_some();
    v.require(says_something, "attributes", "set at least one key");
    let mut wrong = v.into_vec();
    let found = event.check().into_iter().filter(|violation| violation.field != "id");
    wrong.extend(found.map(|violation| Violation { field: field_of(kind, &violation.field), ..violation }));
    if wrong.is_empty() { Ok(()) } else { Err(EngineError::invalid(Invalid::Field, wrong)) }
}

fn field_of(kind: ResourceKind, field: &str) -> String {
    match (kind, field) {
        (ResourceKind::Conversation, "conversation") | (ResourceKind::Customer, "customer") => "name".into(),
        (_, "occurTime") => "effectiveTime".into(),
        // The event as a whole is too large: its attributes are.
        (_, "") => "attributes".into(),
        (_, field) => match field.strip_prefix("properties") {
            Some(below) => format!("attributes{below}"),
            None => field.into(),
        },
    }
}

/// Whether a stored event says what a new one says, at whatever instant.
async fn says_the_same(tx: &mut dyn Tx, stored: &StoredEvent, event: &NewEvent) -> EngineResult<bool> {
    let conversation = match &event.conversation {
        Some(name) => tx.key_of(NameKind::Conversation, name).await?,
        None => None,
    };
    Ok(stored.event.kind == event.kind
        && stored.event.conversation == conversation
        && stored.customer_name == event.customer
        && stored.event.properties == event.properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_long_request_fits_and_tells_it_from_others() {
        let long = |last: &str| event_id(CUSTOMER_UPDATED, &format!("{}{last}", "x".repeat(127)));
        assert_eq!(event_id(CUSTOMER_UPDATED, "r1"), "attr-customer_updated-r1");
        assert!(long("1").len() <= MOST_NAME);
        assert_ne!(long("1"), long("2"));
    }
}
