//! A test message, sent at once and outside every run.

use std::sync::Arc;

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_core::time::HOUR;
use rekindle_ports::deliver::SendOutcome;
use rekindle_ports::ledger::{AttemptRow, DeliveryRow, DeliveryState, Message};
use rekindle_ports::resources::{
    DestinationKind, DestinationRow, SuppressionKind, SuppressionRow, WorkspaceRow,
};
use serde_json::json;
use uuid::Uuid;

use super::existing;
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, Precondition};
use crate::loops::settle::ended;
use crate::suppressions::is_address;

/// What came of a test; a failure is an answer, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// The operator does not let this address be written to; nothing was sent.
    NotAllowed,
    /// The recipient is on the suppression list; nothing was sent.
    Suppressed(SuppressionRow),
    /// One message was tried.
    Attempted(AttemptRow),
}

impl Engine {
    /// Sends one message right now. `recipient` is the address to write to, for a mail server;
    /// a webhook gets a payload of type `test`. Nothing of it is kept.
    pub async fn test_destination(&self, scope: Scope, id: &str, recipient: &str) -> EngineResult<Trial> {
        let address = recipient.trim().to_owned();
        let (name, asked) = (id.to_owned(), address.clone());
        let (destination, workspace, suppressed) = self
            .read(scope, move |tx, _| {
                let (id, address) = (name.clone(), asked.to_lowercase());
                Box::pin(async move {
                    let destination = existing(tx, &id).await?;
                    if !is_address(&address) {
                        return Ok((destination, tx.workspace().await?, None));
                    }
                    let domain = address.rsplit('@').next().unwrap_or_default().to_owned();
                    let entries = [(SuppressionKind::Address, address), (SuppressionKind::Domain, domain)];
                    let suppressed = tx.suppressed(&entries).await?.into_iter().next();
                    Ok((destination, tx.workspace().await?, suppressed))
                })
            })
            .await?;
        if destination.disabled.is_some() {
            return Err(EngineError::Precondition {
                reason: Precondition::DestinationDisabled,
                message: "the destination is disabled".into(),
                metadata: Vec::new(),
            });
        }
        if matches!(destination.kind, DestinationKind::Smtp { .. }) {
            if address.is_empty() {
                return Err(EngineError::field("recipient", "is required for a mail server"));
            }
            if !is_address(&address.to_lowercase()) {
                return Err(EngineError::field("recipient", "not an address such as ann@example.com"));
            }
            if !self.inner.deliver.may_write_to(&address) {
                return Ok(Trial::NotAllowed);
            }
            if let Some(entry) = suppressed {
                return Ok(Trial::Suppressed(entry));
            }
        }
        let now = self.now().await;
        let run = self.inner.minter.mint();
        let link = self.inner.deliver.unsubscribe_url(scope.workspace, Uuid::nil());
        let message = write(&destination, &workspace, &address, run, link, now);
        self.attempt(destination, run, message, now).await
    }

    /// One attempt, in a task that the caller cannot cut short.
    async fn attempt(
        &self,
        destination: DestinationRow,
        id: Uuid,
        message: Result<Message, String>,
        now: Timestamp,
    ) -> EngineResult<Trial> {
        let inner = Arc::clone(&self.inner);
        self.detached(async move {
            let attempt = AttemptRow {
                delivery: delivery_id(id),
                number: 1,
                started_at: now,
                ended_at: None,
                outcome: None,
                phase: String::new(),
                code: None,
                response: String::new(),
            };
            let checked = message.and_then(|message| inner.deliver.check_message(&message).map(|()| message));
            let outcome = match checked {
                Ok(message) => {
                    let delivery = delivery(&destination, id, message, now);
                    inner.deliver.send(&delivery, &destination, now).await
                }
                Err(reason) => unwritten(reason),
            };
            Ok(Trial::Attempted(ended(&attempt, &outcome, inner.clock.now().await)))
        })
        .await
    }
}

/// The message, or why it cannot be written.
fn write(
    destination: &DestinationRow,
    workspace: &WorkspaceRow,
    recipient: &str,
    id: Uuid,
    unsubscribe_url: String,
    now: Timestamp,
) -> Result<Message, String> {
    let DestinationKind::Smtp { sender, .. } = &destination.kind else {
        let body = json!({
            "type": "test",
            "timestamp": now.to_rfc3339(),
            "data": { "destination": destination.id },
        });
        return Ok(Message::webhook(body.to_string()));
    };
    let from = sender.clone().or_else(|| workspace.body.sender.clone());
    let from = from.ok_or("neither the destination nor the workspace names a sender")?;
    let domain = from.address.rsplit('@').next().unwrap_or_default().to_owned();
    Ok(Message::Email {
        message_id: format!("{}@{domain}", delivery_id(id)),
        date: now.to_parts().0,
        from,
        reply_to: workspace.body.reply_to.clone(),
        to: recipient.to_owned(),
        subject: format!("A test of {}", destination.id),
        text: format!("This is a test of the destination {}.\n\nNothing else will follow.\n", destination.id),
        html: None,
        unsubscribe_url,
        unsubscribe_mailto: workspace.body.unsubscribe_mailto.clone(),
    })
}

fn delivery_id(id: Uuid) -> String {
    format!("test-{}", id.simple())
}

fn delivery(destination: &DestinationRow, id: Uuid, message: Message, now: Timestamp) -> DeliveryRow {
    DeliveryRow {
        id: delivery_id(id),
        run: Uuid::nil(),
        step: String::new(),
        destination: destination.id.clone(),
        customer: None,
        conversation: None,
        recipient: String::new(),
        message,
        park_unknown: true,
        internal: false,
        state: DeliveryState::Sending,
        reason: String::new(),
        overtaken: false,
        next_at: None,
        expires_at: now.plus(HOUR),
        attempts: 1,
        created_at: now,
        ended_at: None,
    }
}

fn unwritten(reason: String) -> SendOutcome {
    SendOutcome::Rejected {
        phase: "check".into(),
        code: None,
        response: reason,
        suppress: false,
        disable_destination: false,
    }
}
