//! Whether what is promised held: a pure function of what was sent, what is stored, what was
//! done, and what arrived.
//!
//! The promises are those of `crates/README.md`: nothing acknowledged is lost, one event has one
//! effect, transitions happen exactly once, a second send has a reason and the same bytes, and
//! every action ends in a named state.

use rekindle_proto::v1;

use crate::arrivals::Arrival;

mod actions;
mod events;
#[cfg(test)]
mod tests;

/// Everything that is known after a test's last restart.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What the client meant to say, with what was acknowledged.
    pub sent: Vec<Sent>,
    /// What the service has stored.
    pub stored: Vec<Stored>,
    /// Conversations that the funnel's figures count as stalled.
    pub stalled: Vec<String>,
    /// Runs, whatever became of them.
    pub runs: Vec<Run>,
    /// Ids of the steps that send something.
    pub steps: Vec<String>,
    /// Deliveries with their attempts.
    pub deliveries: Vec<Delivery>,
    /// What the receivers got.
    pub arrivals: Vec<Arrival>,
}

/// What an event means on the desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The customer asks.
    Ask,
    /// Our side answers.
    Answer,
    /// The customer comes back.
    Return,
}

impl Role {
    /// The word in an event's id.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Answer => "answer",
            Self::Return => "return",
        }
    }

    /// The type of the event.
    pub const fn event_type(self) -> &'static str {
        match self {
            Self::Ask | Self::Return => "customer_message",
            Self::Answer => "agent_message",
        }
    }
}

/// An event that a client sent. Instants are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub id: String,
    /// Its conversation.
    pub conversation: String,
    /// What it means.
    pub role: Role,
    /// When it happened.
    pub at: i64,
    /// When the client learnt that it is stored. `None`: nobody knows whether it is.
    pub acked_at: Option<i64>,
}

/// An event as the service has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// Its conversation.
    pub conversation: String,
    /// Its type.
    pub event_type: String,
    /// The instant that counts.
    pub at: i64,
    /// When it was first stored.
    pub received_at: i64,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// The conversation.
    pub conversation: String,
    /// The event from which the silence ran.
    pub anchor: String,
    /// Where it stands.
    pub state: v1::run::State,
    /// Why it is over.
    pub reason: v1::RunEndReason,
    /// When it was over.
    pub ended_at: Option<i64>,
}

/// A delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The id that its messages carry.
    pub id: String,
    /// Its run.
    pub run: String,
    /// Its step.
    pub step: String,
    /// Where it stands.
    pub state: v1::delivery::State,
    /// Every attempt, oldest first.
    pub attempts: Vec<Attempt>,
}

/// One attempt to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub started_at: i64,
    /// How it ended.
    pub outcome: v1::delivery_attempt::Outcome,
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// An event was acknowledged and is not there.
    Lost { event: String },
    /// An event is there more than once.
    StoredTwice { event: String },
    /// An event is there that nobody sent, or with another content.
    Changed { event: String },
    /// A conversation is silent, and the figures do not say so.
    StallMissing { conversation: String },
    /// The figures say that a conversation is stalled, more than once or without cause.
    StallWrong { conversation: String },
    /// A silence came due and nothing was started for it.
    RunMissing { conversation: String },
    /// More than one run was started for a silence.
    RunTwice { anchor: String },
    /// A run has no silence.
    RunWithoutSilence { run: String },
    /// A run is not where it has to be in the end.
    RunAstray { run: String, state: v1::run::State },
    /// A run went through and left out a step.
    DeliveryMissing { run: String, step: String },
    /// A run sent a step's message twice under two ids, or sent what nothing called for.
    DeliveryTwice { run: String, step: String },
    /// A delivery is in no final state, or was dropped although nobody came back.
    DeliveryAstray { id: String, state: v1::delivery::State },
    /// A delivery counts as delivered and its last attempt does not, or the other way round.
    Unfounded { id: String },
    /// A delivery counts as delivered and the receiver never got it.
    NeverArrived { id: String },
    /// A message has no delivery, or more arrived than attempts were begun.
    ArrivalWithoutAttempt { id: String },
    /// An attempt was made although the one before it was neither unknown nor to be repeated.
    SentAgain { id: String },
    /// Two messages of one id differ in their bytes.
    BytesChanged { id: String },
    /// A receiver found something wrong with a message, such as its signature.
    Faulty { id: String },
    /// An attempt began after the customer's return had been acknowledged, or the run had ended.
    SentAfterReturn { id: String },
}

/// Every promise that was not kept, in order; empty when all were.
pub fn check(history: &History) -> Vec<Violation> {
    let mut violations = events::check(history);
    violations.extend(actions::check(history));
    violations.sort();
    violations
}
