//! Sequences: what to do, step by step, once a silence was marked or something else came about.

use serde::{Deserialize, Serialize};

use crate::funnel::OwedBy;
use crate::time::HOUR;

pub mod action;
pub mod answer;
pub mod arm;
pub mod contact;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod game;
pub mod migrate;
pub mod occasion;
pub mod program;
pub mod progress;
pub mod quiet;
pub mod simulate;
pub mod validate;
pub mod walk;

pub use action::{
    Action, Branch, CallWebhook, Case, EmitEvent, Escalate, Repeat, SendEmail, Split, UnknownPolicy, Variant,
    Wait, WaitFor, WaitUntil,
};
pub use contact::{ContactLimit, LimitPolicy};
pub use occasion::{Cause, Occasion, OnEvent, OnSchedule, Origin, Overlap};
pub use program::Program;
pub use progress::Progress;
pub use quiet::{QuietHours, QuietPolicy};

/// What starts a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Funnel id: runs are about its subjects, in the hours of its calendar.
    pub funnel: String,
    /// Stage id. A silence is one in it; on other occasions it is where the subject has to be, and
    /// empty means anywhere.
    pub stage: String,
    /// What has to come about.
    pub on: Occasion,
    /// Only silences in which this party owes the next word; `Anyone` takes all.
    #[serde(default)]
    pub owed_by: OwedBy,
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
    /// What starts a run.
    pub trigger: Trigger,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// A mark noticed later than this after its instant starts no run; microseconds.
    #[serde(default = "an_hour")]
    pub max_delay: i64,
    /// What its messages are for.
    #[serde(default)]
    pub class: MessageClass,
    /// When not to write.
    #[serde(default)]
    pub quiet: Option<QuietHours>,
    /// Customers of ten thousand who are held out: written to in the ledger alone.
    #[serde(default)]
    pub holdout: u16,
    /// A rule that lets a silence in; empty means all.
    #[serde(default)]
    pub entry: String,
    /// How often a subject may have a run; with every silence when nothing is said.
    #[serde(default)]
    pub reentry: Option<ReentryRule>,
    /// What becomes of a mail that would be one too many for its customer.
    #[serde(default)]
    pub when_limited: LimitPolicy,
    /// Of two mails to one customer at once, that of the higher number goes first.
    #[serde(default)]
    pub priority: i32,
    /// Whether a run goes on when its customer comes back; never one that a silence started.
    #[serde(default)]
    pub outlasts_return: bool,
}

/// Whose runs count against a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReentryPer {
    /// Those of the conversation; of the customer, where the funnel follows customers.
    #[default]
    Conversation,
    /// Those of the conversation's attempt (or the customer's) at the funnel: one run for each.
    Attempt,
    /// Those of the customer, whatever the conversation.
    Customer,
}

/// How often a subject may have a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReentryRule {
    /// Whose runs count.
    #[serde(default)]
    pub per: ReentryPer,
    /// Least time between the beginnings of two runs, in microseconds; one run for ever when
    /// nothing is said.
    #[serde(default)]
    pub cool_down: Option<i64>,
}

impl Sequence {
    /// A sequence without a name, with the defaults of everything that may be left out.
    pub fn new(trigger: Trigger, steps: Vec<Step>) -> Self {
        Self {
            display_name: String::new(),
            trigger,
            steps,
            max_delay: HOUR,
            class: MessageClass::Marketing,
            quiet: None,
            holdout: 0,
            entry: String::new(),
            reentry: None,
            when_limited: LimitPolicy::Defer,
            priority: 0,
            outlasts_return: false,
        }
    }

    /// Every step, those inside others too, each with its path, such as
    /// `steps[1].branch.cases[0].steps[2]`.
    pub fn each_step(&self) -> Vec<(String, &Step)> {
        let mut found = Vec::new();
        note_steps("steps", &self.steps, &mut found);
        found
    }
}

fn note_steps<'a>(path: &str, steps: &'a [Step], found: &mut Vec<(String, &'a Step)>) {
    for (place, step) in steps.iter().enumerate() {
        let here = format!("{path}[{place}]");
        found.push((here.clone(), step));
        for (block, inner) in step.action.blocks() {
            note_steps(&format!("{here}.{}.{block}", step.action.field()), inner, found);
        }
    }
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
