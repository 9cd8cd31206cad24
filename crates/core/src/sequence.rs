//! Sequences: what to do, step by step, once a silence was marked.

use serde::{Deserialize, Serialize};

use crate::funnel::OwedBy;
use crate::mark::MarkKind;
use crate::time::HOUR;

pub mod validate;

/// Which marks start a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Funnel id.
    pub funnel: String,
    /// Stage id.
    pub stage: String,
    /// Stall or abandonment.
    pub on: MarkKind,
    /// Only silences in which this party owes the next word; `Anyone` takes all.
    #[serde(default)]
    pub owed_by: OwedBy,
}

/// What to do about an attempt whose outcome nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownPolicy {
    /// Send again with the same id and the same bytes (at least once).
    #[default]
    Resend,
    /// Leave it for an operator to decide (at most once).
    Park,
}

/// A mail to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendEmail {
    /// Destination id; must be an SMTP relay.
    pub destination: String,
    /// Template of the subject.
    pub subject: String,
    /// Template of the plain text.
    pub text: String,
    /// Template of the HTML; empty means plain text only.
    #[serde(default)]
    pub html: String,
    /// Template of the address; empty means the customer's `email` attribute.
    #[serde(default)]
    pub to: String,
    /// What to do about unknown outcomes.
    #[serde(default)]
    pub unknown: UnknownPolicy,
}

/// A webhook to call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallWebhook {
    /// Destination id; must be a webhook.
    pub destination: String,
    /// Template of a JSON value that becomes the payload's `data.custom`; empty means none.
    #[serde(default)]
    pub body: String,
    /// What to do about unknown outcomes.
    #[serde(default)]
    pub unknown: UnknownPolicy,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Lets time pass; microseconds.
    Wait(i64),
    /// Writes a mail.
    SendEmail(SendEmail),
    /// Calls a webhook.
    CallWebhook(CallWebhook),
}

impl Action {
    /// Id of the destination it sends to, if it sends.
    pub fn destination(&self) -> Option<&str> {
        match self {
            Self::Wait(_) => None,
            Self::SendEmail(email) => Some(&email.destination),
            Self::CallWebhook(webhook) => Some(&webhook.destination),
        }
    }

    /// The name under which its fields stand in a definition.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Wait(_) => "wait",
            Self::SendEmail(_) => "sendEmail",
            Self::CallWebhook(_) => "callWebhook",
        }
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Stable id, unique in the sequence.
    pub id: String,
    /// What it does.
    pub action: Action,
}

/// What a message is for: marketing is refused by suppression lists, so is everything else for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageClass {
    /// Asks for something.
    #[default]
    Marketing,
    /// Part of a service the customer asked for.
    Transactional,
}

/// What a sequence revision says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sequence {
    /// Name for people.
    #[serde(default)]
    pub display_name: String,
    /// Which marks start a run.
    pub trigger: Trigger,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// A mark noticed later than this after its instant starts no run; microseconds.
    #[serde(default = "an_hour")]
    pub max_delay: i64,
    /// What its messages are for.
    #[serde(default)]
    pub class: MessageClass,
}

fn an_hour() -> i64 {
    HOUR
}

/// Whether a sequence starts runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SequenceState {
    /// Written, never started.
    Draft,
    /// Starts runs and advances them.
    Active,
    /// Starts none; those it has wait.
    Paused,
    /// Over: starts none, and its runs were ended.
    Archived,
}
