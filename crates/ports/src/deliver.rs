//! Somewhere to send, and how messages are written.

use std::time::Duration;

use async_trait::async_trait;

use crate::ledger::{DeliveryRow, Message};
use crate::resources::DestinationRow;
use rekindle_core::Timestamp;

/// What a template becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateKind {
    /// A subject: one line.
    Subject,
    /// Plain text.
    Text,
    /// HTML: values are escaped.
    Html,
    /// JSON: values are quoted.
    Json,
    /// A mail address.
    Address,
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What, with the line where it is known.
    pub message: String,
}

/// How sending ended; the caller's next move is in the variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// Accepted.
    Delivered {
        /// Status code.
        code: i32,
        /// What the receiver said, cut.
        response: String,
        /// The whole of it, as far as that was read, from those that the run wants to know it of.
        answer: String,
    },
    /// Certainly not accepted; worth trying again.
    Retry {
        /// How far it came.
        phase: String,
        /// Status code, if there was one.
        code: Option<i32>,
        /// What the receiver said, or what went wrong.
        response: String,
        /// The receiver's wish.
        after: Option<Duration>,
    },
    /// Refused for good.
    Rejected {
        /// How far it came.
        phase: String,
        /// Status code, if there was one.
        code: Option<i32>,
        /// What the receiver said, or what is wrong.
        response: String,
        /// The mailbox does not exist: never write to it again.
        suppress: bool,
        /// The receiver is gone: never call it again.
        disable_destination: bool,
    },
    /// It may have arrived.
    Unknown {
        /// How far it came.
        phase: String,
        /// What is known.
        detail: String,
    },
}

/// Sends deliveries, and writes and checks what they say.
#[async_trait]
pub trait Deliver: Send + Sync + 'static {
    /// Sends a delivery to its destination. Never hangs: every step has its own limit.
    async fn send(&self, delivery: &DeliveryRow, destination: &DestinationRow, now: Timestamp)
    -> SendOutcome;

    /// Renders a template.
    fn render(
        &self,
        source: &str,
        kind: TemplateKind,
        context: &serde_json::Value,
    ) -> Result<String, TemplateError>;

    /// Checks a template without rendering it.
    fn check_template(&self, source: &str, kind: TemplateKind) -> Result<(), TemplateError>;

    /// Everything that is wrong with a destination: field and message.
    fn check_destination(&self, destination: &DestinationRow) -> Vec<(String, String)>;

    /// What is wrong with a message that is about to be kept, if anything.
    fn check_message(&self, message: &Message) -> Result<(), String>;

    /// Whether the operator lets this address be written to.
    fn may_write_to(&self, address: &str) -> bool;

    /// The one-click unsubscribe URL of a customer.
    fn unsubscribe_url(&self, workspace: i64, customer: uuid::Uuid) -> String;

    /// How long a send may take at the most.
    fn longest_send(&self) -> Duration;
}
