//! What the steps of a sequence do.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Step;
use crate::funnel::TimeBasis;

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

/// Lets time pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredWait")]
pub struct Wait {
    /// How long, in microseconds.
    pub span: i64,
    /// In which time; business time is that of the funnel's calendar.
    #[serde(default)]
    pub basis: TimeBasis,
}

/// A wait as it is stored: bodies of old say the span alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredWait {
    Span(i64),
    Whole {
        span: i64,
        #[serde(default)]
        basis: TimeBasis,
    },
}

impl From<StoredWait> for Wait {
    fn from(stored: StoredWait) -> Self {
        match stored {
            StoredWait::Span(span) => Self::wall(span),
            StoredWait::Whole { span, basis } => Self { span, basis },
        }
    }
}

impl Wait {
    /// So many microseconds, every one of which counts.
    pub const fn wall(span: i64) -> Self {
        Self { span, basis: TimeBasis::Wall }
    }
}

/// Waits for a moment of the week, on the clock of the customer's zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitUntil {
    /// Until it is within these hours (OpenStreetMap syntax): not at all when it is now.
    Hours(String),
    /// Until the clock next shows this time on one of these days.
    Time {
        /// Minutes since midnight.
        minute: u16,
        /// Days of the week, Monday is 1; empty means every day.
        days: BTreeSet<u8>,
    },
}

/// Waits until a rule holds, or until time is up: two ways out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitFor {
    /// A rule; it is asked of every event of the subject that comes while it waits, and where it
    /// names no event, at once.
    pub rule: String,
    /// How long to wait, in microseconds.
    pub within: i64,
    /// Steps when it came to hold.
    #[serde(default)]
    pub then: Vec<Step>,
    /// Steps when time was up.
    #[serde(default)]
    pub otherwise: Vec<Step>,
}

/// One way of a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// When to take it.
    pub when: String,
    /// Its steps.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// Takes the first way whose rule holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Branch {
    /// Ways, in the order in which they are asked.
    pub cases: Vec<Case>,
    /// Steps when no rule holds.
    #[serde(default)]
    pub otherwise: Vec<Step>,
}

/// One way of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variant {
    /// Stable id, unique in the split.
    pub id: String,
    /// Its share is this over the sum of all.
    pub weight: u32,
    /// Its steps.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// Sends customers different ways by chance, each always the same way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// The ways.
    pub variants: Vec<Variant>,
}

/// Walks through steps again and again, a bounded number of times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// At most this often.
    pub times: u32,
    /// A rule that is asked before every round, and ends it when it holds; empty means none.
    #[serde(default)]
    pub until: String,
    /// What is repeated.
    pub steps: Vec<Step>,
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
    /// Variables of the run that the answer gives: names, and JSON Pointers (RFC 6901) into its body.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
}

/// Adds an event to the stream of the run's subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmitEvent {
    /// Type of the event; a custom one.
    pub kind: String,
    /// Template of a JSON object that becomes its properties; empty means none.
    #[serde(default)]
    pub properties: String,
}

/// Tells our own side: a mail or a webhook that is no message to the customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalate {
    /// Destination id; an SMTP relay or a webhook.
    pub destination: String,
    /// Template of the address of a mail.
    #[serde(default)]
    pub to: String,
    /// Template of the subject of a mail.
    #[serde(default)]
    pub subject: String,
    /// Template of the plain text of a mail.
    #[serde(default)]
    pub text: String,
    /// Template of a JSON value that becomes a webhook payload's `data.custom`; empty means none.
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
    /// Lets time pass.
    Wait(Wait),
    /// Waits for a moment of the week.
    WaitUntil(WaitUntil),
    /// Waits for a rule to hold.
    WaitFor(WaitFor),
    /// Takes a way by rules.
    Branch(Branch),
    /// Takes a way by chance.
    Split(Split),
    /// Repeats steps.
    Repeat(Repeat),
    /// Writes a mail.
    SendEmail(SendEmail),
    /// Calls a webhook.
    CallWebhook(CallWebhook),
    /// Tells our own side.
    Escalate(Escalate),
    /// Adds an event.
    EmitEvent(EmitEvent),
    /// Ends the run here.
    End,
}

impl Action {
    /// Whether something comes of it beside the run itself.
    pub fn has_effect(&self) -> bool {
        matches!(self, Self::SendEmail(_) | Self::CallWebhook(_) | Self::Escalate(_) | Self::EmitEvent(_))
    }

    /// Id of the destination it sends to, if it sends.
    pub fn destination(&self) -> Option<&str> {
        match self {
            Self::SendEmail(email) => Some(&email.destination),
            Self::CallWebhook(webhook) => Some(&webhook.destination),
            Self::Escalate(escalate) => Some(&escalate.destination),
            _ => None,
        }
    }

    /// What to do about messages of it whose outcome nobody knows.
    pub fn unknown(&self) -> UnknownPolicy {
        match self {
            Self::SendEmail(email) => email.unknown,
            Self::CallWebhook(webhook) => webhook.unknown,
            Self::Escalate(escalate) => escalate.unknown,
            _ => UnknownPolicy::Resend,
        }
    }

    /// The name under which its fields stand in a definition.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Wait(_) => "wait",
            Self::WaitUntil(_) => "waitUntil",
            Self::WaitFor(_) => "waitFor",
            Self::Branch(_) => "branch",
            Self::Split(_) => "split",
            Self::Repeat(_) => "repeat",
            Self::SendEmail(_) => "sendEmail",
            Self::CallWebhook(_) => "callWebhook",
            Self::Escalate(_) => "escalate",
            Self::EmitEvent(_) => "emitEvent",
            Self::End => "end",
        }
    }

    /// The lists of steps inside it, each with the path of its field below [`Action::field`].
    pub fn blocks(&self) -> Vec<(String, &[Step])> {
        match self {
            Self::WaitFor(wait) => {
                vec![("then".into(), &wait.then[..]), ("otherwise".into(), &wait.otherwise)]
            }
            Self::Branch(branch) => {
                let cases = branch.cases.iter().enumerate();
                let cases = cases.map(|(place, case)| (format!("cases[{place}].steps"), &case.steps[..]));
                cases.chain([("otherwise".to_owned(), &branch.otherwise[..])]).collect()
            }
            Self::Split(split) => {
                let variants = split.variants.iter().enumerate();
                variants.map(|(place, way)| (format!("variants[{place}].steps"), &way.steps[..])).collect()
            }
            Self::Repeat(repeat) => vec![("steps".into(), &repeat.steps[..])],
            Self::Wait(_)
            | Self::WaitUntil(_)
            | Self::SendEmail(_)
            | Self::CallWebhook(_)
            | Self::Escalate(_)
            | Self::EmitEvent(_)
            | Self::End => Vec::new(),
        }
    }
}
