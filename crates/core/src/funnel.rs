//! Funnel definitions: what a revision says, as stored.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::calendar::CalendarSpec;
use crate::mark::MarkKind;
use crate::time::{DAY, Timestamp};

pub mod compile;
pub mod target;
pub mod templates;
pub mod validate;

pub use compile::CompiledFunnel;
pub use target::{TargetArm, TargetExperiment};

/// Whose stream of events a journey follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// One conversation.
    #[default]
    Conversation,
    /// One customer, over all their conversations and touchpoints.
    Customer,
}

/// How the stages of an attempt follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageOrder {
    /// In order; events that match nothing are skipped over.
    #[default]
    Ordered,
    /// In order, each the very next event.
    Strict,
    /// In any order: the level is the number of different stages matched by different events.
    Any,
}

/// When a subject may pass through the funnel again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reentry {
    /// One passage, whatever happens.
    #[default]
    Never,
    /// A new passage with every new episode.
    OnReopen,
    /// A new passage at the first stage-1 event after completion or `ended`.
    AfterEnd,
}

/// Which events enter a stage, void an attempt, or end a subject.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Match {
    /// Event types, any of which matches; empty means every type.
    #[serde(default)]
    pub event_types: BTreeSet<String>,
    /// A rule over `event`, `conversation` and `customer`; empty means always.
    #[serde(default)]
    pub rule: String,
}

/// What reaching a stage means to the business.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Something was bought.
    Purchase,
    /// An issue was resolved.
    Resolution,
    /// An engagement was completed.
    Engagement,
    /// Anything else worth counting.
    Other,
}

/// In which time a silence is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeBasis {
    /// Every hour counts.
    #[default]
    Wall,
    /// Only the hours of the funnel's calendar count.
    Business,
}

/// Whose silence a rule measures, or who owes the next word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwedBy {
    /// Either party; the clock starts at the subject's latest event. As a fact: nobody in particular.
    #[default]
    Anyone,
    /// Our side; the clock starts at the oldest unanswered customer message.
    Agent,
    /// The customer; the clock starts at the latest public human agent message.
    Customer,
}

/// After how long a silence in a stage means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilenceRule {
    /// Length in microseconds, above 0.
    pub after: i64,
    /// Wall or business time.
    #[serde(default)]
    pub basis: TimeBasis,
    /// Whose silence.
    #[serde(default)]
    pub owed_by: OwedBy,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stage {
    /// Stable id, unique in the funnel; sequences and maps refer to it.
    pub id: String,
    /// Name for people.
    #[serde(default)]
    pub display_name: String,
    /// What the stage is.
    #[serde(default)]
    pub description: String,
    /// Entered when any of these matches.
    pub enter: Vec<Match>,
    /// Whether the way may lead past it.
    #[serde(default)]
    pub optional: bool,
    /// Ids of stages that must have been entered before.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Longest time since the previous entered stage, inclusive, in microseconds.
    #[serde(default)]
    pub window: Option<i64>,
    /// What reaching it means.
    #[serde(default)]
    pub goal: Option<Goal>,
    /// When a silence here is a stall.
    #[serde(default)]
    pub stall: Option<SilenceRule>,
    /// When a silence here is about to become a stall: thousandths of the stall rule's length.
    #[serde(default)]
    pub warn_at: Option<u16>,
    /// Lengths of the stall rule that are tried out.
    #[serde(default)]
    pub target_experiment: Option<TargetExperiment>,
    /// When a silence here is an abandonment.
    #[serde(default)]
    pub abandon: Option<SilenceRule>,
    /// Journey map: where people meet us in this stage.
    #[serde(default)]
    pub touchpoints: Vec<String>,
    /// Journey map: what the stage needs.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Journey map: anything else.
    #[serde(default)]
    pub notes: String,
}

impl Stage {
    /// The rule that makes marks of a kind. Where targets are tried out its length is nobody's:
    /// [`Stage::rule_of`] tells what holds for whom.
    pub fn rule(&self, kind: MarkKind) -> Option<SilenceRule> {
        self.rule_with(kind, self.stall)
    }

    /// The rule that makes marks of a kind of a customer, or of a conversation where nobody knows
    /// whose it is.
    pub fn rule_of(&self, kind: MarkKind, assigned: Uuid) -> Option<SilenceRule> {
        self.rule_with(kind, self.stall_of(assigned))
    }

    fn rule_with(&self, kind: MarkKind, stall: Option<SilenceRule>) -> Option<SilenceRule> {
        match kind {
            MarkKind::Warned => Some(cut_short(stall?, self.warn_at?)),
            MarkKind::Stalled => stall,
            MarkKind::Abandoned => self.abandon,
        }
    }
}

/// The rule of a warning: thousandths of the stall rule.
fn cut_short(stall: SilenceRule, parts: u16) -> SilenceRule {
    // Five years and a thousand stay far from overflow.
    SilenceRule { after: stall.after * i64::from(parts) / 1_000, ..stall }
}

/// Events that void an attempt between two stages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// Which events.
    pub matching: Match,
    /// Stage id after which they count.
    pub from_stage: String,
    /// Stage id from which on they no longer count.
    pub to_stage: String,
}

/// Where a property lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PropertyScope {
    /// On the event that entered stage 1.
    Event,
    /// Among the conversation's attributes.
    Conversation,
    /// Among the customer's attributes.
    Customer,
}

/// A property to break figures down by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Property {
    /// Where it lives.
    pub scope: PropertyScope,
    /// Its key.
    pub key: String,
}

/// When a closed conversation is open again, and whether it is still the same issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpisodeRules {
    /// A reopening at most this long after the resolution is the same issue; microseconds.
    pub same_issue_within: i64,
    /// A closing message this soon after the resolution reopens nothing; microseconds.
    pub pleasantry_grace: i64,
}

impl Default for EpisodeRules {
    fn default() -> Self {
        Self { same_issue_within: 7 * DAY, pleasantry_grace: DAY }
    }
}

/// What a funnel revision says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Funnel {
    /// Name for people.
    #[serde(default)]
    pub display_name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Whose stream it follows.
    #[serde(default)]
    pub subject: SubjectKind,
    /// How stages follow each other.
    #[serde(default)]
    pub order: StageOrder,
    /// The stages, 2 to 50.
    pub stages: Vec<Stage>,
    /// Longest time from the first stage to any other, inclusive, in microseconds.
    #[serde(default)]
    pub conversion_window: Option<i64>,
    /// Events that void attempts.
    #[serde(default)]
    pub exclusions: Vec<Exclusion>,
    /// Which events exist for this funnel, as a rule; empty means all.
    #[serde(default)]
    pub rule: String,
    /// Events that close a subject for detection.
    #[serde(default)]
    pub ended: Vec<Match>,
    /// Events that open it again.
    #[serde(default)]
    pub reopened: Vec<Match>,
    /// Whether a subject may pass again.
    #[serde(default)]
    pub reentry: Reentry,
    /// When an episode begins and whether it is the same issue.
    #[serde(default)]
    pub episodes: EpisodeRules,
    /// Properties kept with every attempt as they were at its start.
    #[serde(default)]
    pub breakdowns: Vec<Property>,
    /// Name of the calendar that business time uses.
    #[serde(default)]
    pub calendar_name: String,
    /// That calendar as it was when the revision was published: later edits change nothing.
    #[serde(default)]
    pub calendar: Option<CalendarSpec>,
    /// Events before this instant do not exist for the funnel.
    #[serde(default)]
    pub starts_at: Option<Timestamp>,
    /// Journey map: what the journey is for.
    #[serde(default)]
    pub goals: Vec<String>,
    /// Journey map: who walks it.
    #[serde(default)]
    pub personas: Vec<String>,
    /// Journey map: what it needs.
    #[serde(default)]
    pub resources: Vec<String>,
    /// Journey map: anything else.
    #[serde(default)]
    pub notes: String,
}

impl Funnel {
    /// The place of the stage with this id, counted from 0.
    pub fn stage_index(&self, id: &str) -> Option<usize> {
        self.stages.iter().position(|stage| stage.id == id)
    }

    /// The place that everybody comes to who goes on from `place`: the next stage that is not
    /// optional, or the last one.
    pub fn required_after(&self, place: usize) -> usize {
        let last = self.stages.len() - 1;
        (place + 1..=last).find(|&at| !self.stages[at].optional).unwrap_or(last)
    }
}
