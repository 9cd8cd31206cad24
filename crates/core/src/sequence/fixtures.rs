//! Steps and sequences for tests.

use std::collections::BTreeMap;

use super::{Action, CallWebhook, SendEmail, Sequence, Step, Trigger, UnknownPolicy, Wait};
use crate::funnel::OwedBy;
use crate::mark::MarkKind;
use crate::time::Timestamp;

/// An instant, from RFC 3339.
pub(super) fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a valid instant")
}

pub(super) fn step(id: &str, action: Action) -> Step {
    Step { id: id.into(), action }
}

/// A wait on the wall clock.
pub(super) fn wait(id: &str, span: i64) -> Step {
    step(id, Action::Wait(Wait::wall(span)))
}

/// A mail to the customer.
pub(super) fn email() -> SendEmail {
    SendEmail {
        destination: "relay".into(),
        subject: "Hello".into(),
        text: "Hello".into(),
        html: String::new(),
        to: String::new(),
        unknown: UnknownPolicy::Resend,
    }
}

pub(super) fn mail(id: &str) -> Step {
    step(id, Action::SendEmail(email()))
}

/// A call whose answer tells nothing.
pub(super) fn webhook() -> CallWebhook {
    CallWebhook {
        destination: "hook".into(),
        body: String::new(),
        unknown: UnknownPolicy::Resend,
        variables: BTreeMap::new(),
    }
}

pub(super) fn call(id: &str) -> Step {
    step(id, Action::CallWebhook(webhook()))
}

/// A sequence for whoever stalled, whosever turn it was.
pub(super) fn sequence(steps: Vec<Step>) -> Sequence {
    let trigger = Trigger {
        funnel: "support".into(),
        stage: "asked".into(),
        on: MarkKind::Stalled.into(),
        owed_by: OwedBy::Anyone,
    };
    Sequence::new(trigger, steps)
}
