//! What a run remembers of its way.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::value::{Properties, Value};

/// What a run remembers between steps.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Steps it came by, by their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<String, Trace>,
    /// Rounds begun of repetitions it is inside of, by the ids of their steps.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rounds: BTreeMap<String, u32>,
    /// What it waits for beside the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<Awaits>,
    /// What answers of webhooks gave, by the names of the variables.
    #[serde(default, skip_serializing_if = "Properties::is_empty")]
    pub variables: Properties,
    /// How many runs stand behind it, each started by an event that the one before added.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub depth: u32,
    /// Whether it goes on when its customer comes back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outlasts_return: bool,
    /// Parts of 10,000 that were held out when it began; of runs that do not say so, the revision of
    /// the sequence does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_share: Option<u16>,
    /// Number of the funnel's revision in whose stage its subject was when it began, by which the
    /// stage is known under a later name; of runs that a silence started, the mark says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funnel_revision: Option<i32>,
    /// When it begins, where that is later than when it was started; nobody who lets it go on before
    /// then lets it begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins_at: Option<Timestamp>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(depth: &u32) -> bool {
    *depth == 0
}

/// What is known of a step.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Trace {
    /// How often it was begun.
    pub visits: u32,
    /// What came of it last: the state of its delivery, the way that was taken, `met` or
    /// `timed_out`; empty until that is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outcome: String,
}

/// What a run waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Awaits {
    /// That a delivery settles.
    Delivery {
        /// Id of the step that sends it.
        step: String,
        /// Which visit of the step.
        visit: u32,
    },
    /// That a rule holds.
    Rule {
        /// Id of the step.
        step: String,
        /// When the wait began.
        since: Timestamp,
        /// When time is up.
        until: Timestamp,
        /// Ids of events that came since it was last asked, as they were committed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        heard: Vec<String>,
    },
    /// That a moment comes.
    Moment {
        /// Id of the step that waits.
        step: String,
        /// When the wait began; the moment is told from here, by the clock and the calendar as they
        /// are when somebody looks.
        since: Timestamp,
        /// The moment, as it was told last.
        until: Timestamp,
    },
    /// That a message may go.
    Leave {
        /// Id of the step that sends it.
        step: String,
        /// When it first wanted to go.
        since: Timestamp,
    },
}

impl Awaits {
    /// Id of the step that the run is held in.
    pub fn step(&self) -> &str {
        match self {
            Self::Delivery { step, .. }
            | Self::Rule { step, .. }
            | Self::Moment { step, .. }
            | Self::Leave { step, .. } => step,
        }
    }

    /// Whether it is the time on the customer's clock that lets the run go on.
    pub fn goes_by_the_clock(&self) -> bool {
        matches!(self, Self::Moment { .. } | Self::Leave { .. })
    }
}

/// Events that a run which waits for a rule remembers; it is asked as soon as one comes.
const MOST_HEARD: usize = 100;

impl Progress {
    /// Takes note of events for the rule that it waits for; whether it waits for one.
    pub fn hear(&mut self, events: impl IntoIterator<Item = String>) -> bool {
        let Some(Awaits::Rule { heard, .. }) = &mut self.awaits else {
            return false;
        };
        heard.extend(events);
        let surplus = heard.len().saturating_sub(MOST_HEARD);
        heard.drain(..surplus);
        true
    }

    /// Counts a visit of a step; its number, from 1.
    pub fn visit(&mut self, step: &str) -> u32 {
        let trace = self.steps.entry(step.to_owned()).or_default();
        trace.visits += 1;
        trace.outcome.clear();
        trace.visits
    }

    /// Notes what came of a step.
    pub fn came_to(&mut self, step: &str, outcome: &str) {
        outcome.clone_into(&mut self.steps.entry(step.to_owned()).or_default().outcome);
    }

    /// Notes how the delivery ended that the run waited for.
    pub fn delivered(&mut self, outcome: &str) {
        if let Some(Awaits::Delivery { step, .. }) = self.awaits.take() {
            self.came_to(&step, outcome);
        }
    }

    /// What rules of steps see as `run`.
    pub fn facts(&self, arm: &str) -> Properties {
        let steps = self.steps.iter().map(|(id, trace)| {
            let known = [
                ("outcome", (!trace.outcome.is_empty()).then(|| Value::Text(trace.outcome.clone()))),
                ("visits", Some(Value::Number(trace.visits.into()))),
            ];
            let known = known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
            (id.clone(), Value::Map(known.collect()))
        });
        Properties::from([
            ("steps".to_owned(), Value::Map(steps.collect())),
            ("arm".to_owned(), Value::Text(arm.to_owned())),
            ("variables".to_owned(), Value::Map(self.variables.clone())),
        ])
    }
}
