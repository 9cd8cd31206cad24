//! Episodes: a conversation that is resolved and opened again.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::funnel::EpisodeRules;
use crate::time::Timestamp;

/// What an event does to the episode in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EpisodeStep {
    /// It goes on.
    Continues,
    /// It is resolved.
    Resolved,
    /// A new one begins; whether it is still the same issue.
    Reopened {
        /// The reopening came within the funnel's or workspace's window.
        same_issue: bool,
    },
}

/// Counts episodes along a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EpisodeClock {
    /// The episode in progress, counted from 0.
    #[serde(rename = "n")]
    pub ordinal: u32,
    /// When it was resolved, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "r")]
    pub resolved_at: Option<Timestamp>,
}

impl EpisodeClock {
    /// Takes in the next event of the stream.
    ///
    /// A `reopen` always reopens what is resolved; a customer's message does,
    /// unless it only says goodbye within the grace period.
    pub fn step(&mut self, rules: &EpisodeRules, event: &Event) -> EpisodeStep {
        if event.kind == "resolution" {
            self.resolved_at = Some(event.effective_at);
            return EpisodeStep::Resolved;
        }
        let Some(resolved_at) = self.resolved_at else {
            return EpisodeStep::Continues;
        };
        let silence = event.effective_at.since(resolved_at);
        let pleasantry = event.closing && silence <= rules.pleasantry_grace;
        let speaks_again = event.kind == "customer_message" && event.is_return() && !pleasantry;
        if event.kind != "reopen" && !speaks_again {
            return EpisodeStep::Continues;
        }
        self.ordinal += 1;
        self.resolved_at = None;
        EpisodeStep::Reopened { same_issue: silence <= rules.same_issue_within }
    }
}
