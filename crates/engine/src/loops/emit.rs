//! Messages that stay in the house: events that runs add to the stream of their subject.

use std::sync::Arc;

use rekindle_core::Timestamp;
use rekindle_core::ingest::NewEvent;
use rekindle_core::sequence::validate::emitted;
use rekindle_core::value::Properties;
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::ledger::{DeliveryRow, Message};

use super::begin::Started;
use super::poison::{causes, is_its_fault};
use crate::engine::Inner;
use crate::error::EngineResult;
use crate::ingest::Fate;
use crate::ingest::apply::apply;

/// The status of an event that was stored; there is no protocol behind it.
const STORED: i32 = 200;

/// Stores the event of a delivery, as if it had come in. One that is there already, because an attempt
/// before got that far, is there once.
pub(super) async fn emit(inner: &Arc<Inner>, started: &Started, now: Timestamp) -> SendOutcome {
    let Some(event) = event_of(&started.delivery) else {
        return refused("the message holds no event");
    };
    match store(inner, started, event).await {
        Ok(Some(Fate::Accepted | Fate::Duplicate)) => {
            let response = format!("stored at {}", now.to_rfc3339());
            SendOutcome::Delivered { code: STORED, response, answer: String::new() }
        }
        Ok(fate) => refused(&format!("the event is not taken: {fate:?}")),
        Err(error) if is_its_fault(&error) => refused(&causes(&error)),
        Err(error) => {
            SendOutcome::Retry { phase: "store".into(), code: None, response: causes(&error), after: None }
        }
    }
}

async fn store(inner: &Arc<Inner>, started: &Started, event: NewEvent) -> EngineResult<Option<Fate>> {
    let scope = started.claim.key.scope;
    let stored = inner
        .write(scope, &|tx, now| {
            let (inner, event) = (Arc::clone(inner), event.clone());
            Box::pin(async move { apply(tx, &inner, &[event], now).await })
        })
        .await?;
    Ok(stored.fates.into_iter().next())
}

fn event_of(delivery: &DeliveryRow) -> Option<NewEvent> {
    let Message::Event { id, kind, at, conversation, customer, properties } = &delivery.message else {
        return None;
    };
    let properties: Properties = serde_json::from_str(properties).ok()?;
    Some(NewEvent {
        id: id.clone(),
        conversation: conversation.clone(),
        customer: customer.clone(),
        occurred_at: Timestamp(*at),
        ..emitted(kind, properties)
    })
}

fn refused(why: &str) -> SendOutcome {
    SendOutcome::Rejected {
        phase: "store".into(),
        code: None,
        response: why.to_owned(),
        suppress: false,
        disable_destination: false,
    }
}
