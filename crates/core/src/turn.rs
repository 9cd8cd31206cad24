//! Whose turn it is: who owes the next word, and since when.

use serde::{Deserialize, Serialize};

use crate::event::{Author, Event, OrderKey};
use crate::funnel::OwedBy;

/// The turn after some prefix of a stream.
///
/// The party that did not write the last public, non-automatic message owes the
/// reply. Bots, notes and our own messages do not flip it; a resolution or a
/// closing message clears it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Turn {
    /// Oldest customer message without an answer; set exactly while our side owes.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "u")]
    pub oldest_unanswered: Option<OrderKey>,
    /// Latest public human agent message; set exactly while the customer owes.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "a")]
    pub latest_agent: Option<OrderKey>,
    /// Latest event after which somebody may still say something; cleared like the rest.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "e")]
    pub latest_event: Option<OrderKey>,
}

impl Turn {
    /// Takes in the next event of the stream.
    pub fn step(&mut self, event: &Event) {
        if event.carries_attributes() {
            return;
        }
        if event.closing || event.kind == "resolution" {
            *self = Self::default();
            return;
        }
        self.latest_event = Some(event.order());
        if !event.is_public_message() {
            return;
        }
        match event.author {
            Author::Customer => {
                self.latest_agent = None;
                if self.oldest_unanswered.is_none() {
                    self.oldest_unanswered = Some(event.order());
                }
            }
            Author::Agent => {
                self.oldest_unanswered = None;
                self.latest_agent = Some(event.order());
            }
            Author::Bot | Author::System => {}
        }
    }

    /// Who owes the next word; [`OwedBy::Anyone`] when nobody in particular does.
    pub fn owed_by(&self) -> OwedBy {
        if self.oldest_unanswered.is_some() {
            OwedBy::Agent
        } else if self.latest_agent.is_some() {
            OwedBy::Customer
        } else {
            OwedBy::Anyone
        }
    }

    /// The event from which a rule's clock runs, if it runs.
    pub fn anchor(&self, owed_by: OwedBy) -> Option<&OrderKey> {
        match owed_by {
            OwedBy::Anyone => self.latest_event.as_ref(),
            OwedBy::Agent => self.oldest_unanswered.as_ref(),
            OwedBy::Customer => self.latest_agent.as_ref(),
        }
    }
}
