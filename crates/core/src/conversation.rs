//! What is known of a conversation whatever the funnels say: turn, episodes, answers.

use serde::{Deserialize, Serialize};

use crate::episode::{EpisodeClock, EpisodeStep};
use crate::event::{Author, CSAT_ANSWER, Event, OrderKey};
use crate::funnel::{EpisodeRules, OwedBy};
use crate::time::Timestamp;
use crate::turn::Turn;
use crate::value::Value;

/// One stretch from a first word, or a reopening, to a resolution.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Episode {
    /// First event.
    pub started_at: Timestamp,
    /// First public customer message that asks for an answer: where the response clock starts.
    pub asked_at: Option<Timestamp>,
    /// First public human agent message after that.
    pub first_response_at: Option<Timestamp>,
    /// First resolution.
    pub first_resolved_at: Option<Timestamp>,
    /// Latest resolution.
    pub last_resolved_at: Option<Timestamp>,
    /// `full` or `partial`, of the latest resolution.
    pub disposition: String,
    /// Whether the customer confirmed the latest resolution.
    pub confirmed: bool,
    /// First escalation.
    pub escalated_at: Option<Timestamp>,
    /// Hand-offs from one agent, team or channel to another.
    pub transfers: u32,
    /// Public customer messages.
    pub customer_messages: u32,
    /// Public human agent messages.
    pub agent_messages: u32,
    /// Bot messages.
    pub bot_messages: u32,
    /// Latest CSAT score.
    pub csat: Option<f64>,
    /// Latest CES score, 1 to 7.
    pub ces: Option<f64>,
    /// Whether it continued the issue of the episode before.
    pub same_issue: bool,
}

/// Checkpoint of a conversation's own fold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Conversation {
    /// The newest event folded.
    pub folded_to: Option<OrderKey>,
    /// Whose turn it is.
    pub turn: Turn,
    /// Counts episodes.
    pub clock: EpisodeClock,
    /// The episodes, oldest first.
    pub episodes: Vec<Episode>,
}

impl Conversation {
    /// Takes in the next event of the conversation, in the order of [`Event::order`].
    pub fn step(&mut self, rules: &EpisodeRules, event: &Event) {
        self.folded_to = Some(event.order());
        if event.carries_attributes() || event.kind.starts_with(crate::event::RESERVED_PREFIX) {
            return;
        }
        let step = self.clock.step(rules, event);
        if self.episodes.is_empty() {
            self.begin(event, false);
        } else if let EpisodeStep::Reopened { same_issue } = step {
            self.begin(event, same_issue);
        }
        self.turn.step(event);
        if let Some(episode) = self.episodes.last_mut() {
            episode.note(event);
        }
    }

    /// Whether the latest episode is resolved.
    pub fn is_resolved(&self) -> bool {
        self.clock.resolved_at.is_some()
    }

    /// Who owes the next word.
    pub fn owed_by(&self) -> OwedBy {
        self.turn.owed_by()
    }

    fn begin(&mut self, event: &Event, same_issue: bool) {
        self.episodes.push(Episode { started_at: event.effective_at, same_issue, ..Episode::default() });
    }
}

impl Episode {
    fn note(&mut self, event: &Event) {
        let at = event.effective_at;
        match event.kind.as_str() {
            "customer_message" | "agent_message" if event.is_public_message() => self.note_message(event),
            "bot_message" => self.bot_messages += 1,
            "escalation" => {
                self.escalated_at.get_or_insert(at);
            }
            "transfer" => self.transfers += 1,
            "resolution" => self.note_resolution(event),
            CSAT_ANSWER => self.csat = event.score().or(self.csat),
            "ces_answer" => self.ces = event.score().or(self.ces),
            _ => {}
        }
    }

    fn note_message(&mut self, event: &Event) {
        match event.author {
            Author::Customer => {
                self.customer_messages += 1;
                if !event.closing {
                    self.asked_at.get_or_insert(event.effective_at);
                }
            }
            Author::Agent => {
                self.agent_messages += 1;
                if self.asked_at.is_some() {
                    self.first_response_at.get_or_insert(event.effective_at);
                }
            }
            Author::Bot | Author::System => {}
        }
    }

    fn note_resolution(&mut self, event: &Event) {
        self.first_resolved_at.get_or_insert(event.effective_at);
        self.last_resolved_at = Some(event.effective_at);
        self.disposition = match event.properties.get("disposition") {
            Some(Value::Text(text)) => text.clone(),
            _ => "full".into(),
        };
        self.confirmed = event.properties.get("confirmed") == Some(&Value::Bool(true));
    }
}
