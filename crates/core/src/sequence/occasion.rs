//! What starts runs: silences, events, schedules, and people.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::mark::{MarkKey, MarkKind};

/// What has to come about for a run to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// An event.
    Event(OnEvent),
    /// A time, again and again.
    Schedule(OnSchedule),
    /// Only somebody who starts it by hand.
    Hand,
    /// A silence in the stage has become this.
    #[serde(untagged)]
    Silence(MarkKind),
}

impl Occasion {
    /// What a silence has to become, if it is one that is waited for.
    pub const fn silence(&self) -> Option<MarkKind> {
        match self {
            Self::Silence(kind) => Some(*kind),
            Self::Event(_) | Self::Schedule(_) | Self::Hand => None,
        }
    }
}

impl From<MarkKind> for Occasion {
    fn from(kind: MarkKind) -> Self {
        Self::Silence(kind)
    }
}

/// Starts with every event that a rule takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnEvent {
    /// The rule; it names the event.
    pub when: String,
}

/// Starts at times, for every subject that the entry filter lets in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnSchedule {
    /// A cron expression of five fields; see [`crate::schedule::Schedule`].
    pub cron: String,
    /// IANA zone of its clock; empty means that of the workspace.
    #[serde(default)]
    pub zone: String,
    /// What becomes of a subject whose run of a time before is under way.
    #[serde(default)]
    pub overlap: Overlap,
    /// Runs begin at an instant within this after the time, each subject at its own; microseconds.
    #[serde(default)]
    pub jitter: i64,
}

/// What becomes of a subject whose run of a time before is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It gets no other.
    #[default]
    Skip,
    /// It gets another beside it.
    Allow,
}

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// A silence that became this.
    Silence(MarkKind),
    /// An event.
    Event,
    /// A time of a schedule.
    Schedule,
    /// Somebody.
    Hand,
}

impl Cause {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Silence(kind) => kind.as_str(),
            Self::Event => "event",
            Self::Schedule => "schedule",
            Self::Hand => "hand",
        }
    }
}

/// What started a run and for whom: a sequence has one run for each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Funnel id.
    pub funnel: String,
    /// Key of the subject.
    pub subject: Uuid,
    /// Stage id; empty where the run is bound to none.
    pub stage: String,
    /// What started it.
    pub cause: Cause,
    /// Id of the event from which the clock ran or that started it, or `schedule:` and the time, or
    /// `hand:` and an id.
    pub anchor: String,
}

impl Origin {
    /// The mark, if it was one.
    pub fn mark(&self) -> Option<MarkKey> {
        match self.cause {
            Cause::Silence(kind) => Some(MarkKey {
                funnel: self.funnel.clone(),
                subject: self.subject,
                stage: self.stage.clone(),
                kind,
                anchor: self.anchor.clone(),
            }),
            Cause::Event | Cause::Schedule | Cause::Hand => None,
        }
    }

    /// The kind of the silence, if it was one.
    pub const fn silence(&self) -> Option<MarkKind> {
        match self.cause {
            Cause::Silence(kind) => Some(kind),
            Cause::Event | Cause::Schedule | Cause::Hand => None,
        }
    }
}

impl From<MarkKey> for Origin {
    fn from(key: MarkKey) -> Self {
        let MarkKey { funnel, subject, stage, kind, anchor } = key;
        Self { funnel, subject, stage, cause: Cause::Silence(kind), anchor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_before_there_were_other_occasions_is_read() {
        let read = |text: &str| serde_json::from_str::<Occasion>(text).expect("readable");
        assert_eq!(read("\"stalled\""), Occasion::Silence(MarkKind::Stalled));
        for occasion in [
            Occasion::Silence(MarkKind::Warned),
            Occasion::Hand,
            Occasion::Event(OnEvent { when: "event.type == \"signup\"".into() }),
            Occasion::Schedule(OnSchedule {
                cron: "0 9 * * mon".into(),
                zone: "Europe/Berlin".into(),
                overlap: Overlap::Allow,
                jitter: 5,
            }),
        ] {
            let written = serde_json::to_string(&occasion).expect("writable");
            assert_eq!(read(&written), occasion, "{written}");
        }
    }
}
