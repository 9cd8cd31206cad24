//! The fold: from a subject's events to its journey, attempts and silences.
//!
//! Everything here is a function of the funnel revision and of the subject's
//! events in the order of [`OrderKey`], keys included where chance gives out
//! targets: any permutation, duplication and batching of the same events gives
//! the same rows, because whoever folds hands them over in order and starts again
//! where an event arrives late.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use self::silence::Course;
use crate::episode::{EpisodeClock, EpisodeStep};
use crate::event::{CONVERSATION_UPDATED, CUSTOMER_UPDATED, Event, OrderKey};
use crate::funnel::compile::facts;
use crate::funnel::{CompiledFunnel, Property, PropertyScope};
use crate::time::Timestamp;
use crate::turn::Turn;
use crate::value::{Properties, Value};

pub mod any;
pub mod attempt;
pub mod ordered;
pub mod passage;
pub mod silence;

pub use attempt::{Attempt, Attempts, Entry, StartKey};
pub use passage::{Ending, Move, Passage, Passages};
pub use silence::{EndedBy, Silence, SilenceKey, SilenceWatch};

/// What a fold remembers between events: the checkpoint of a journey.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Journey {
    /// The newest event folded.
    #[serde(rename = "to")]
    pub folded_to: Option<OrderKey>,
    /// Newest receipt among the events folded.
    #[serde(rename = "rt")]
    pub received_through: Timestamp,
    /// Instant of the first event that exists for the funnel.
    #[serde(rename = "f")]
    pub first_at: Option<Timestamp>,
    /// Instant of the newest such event.
    #[serde(rename = "l")]
    pub last_at: Option<Timestamp>,
    /// Passages through the stages. Figures read them alone, so that they are kept beside the rest.
    #[serde(skip)]
    pub passages: Passages,
    /// Attempts that a future event could still change.
    #[serde(rename = "a")]
    pub attempts: Attempts,
    /// Whose turn it is.
    #[serde(rename = "t")]
    pub turn: Turn,
    /// The episode in progress.
    #[serde(rename = "e")]
    pub episode: EpisodeClock,
    /// When each episode after the first began.
    #[serde(rename = "es", default, skip_serializing_if = "Vec::is_empty")]
    pub episode_starts: Vec<Timestamp>,
    /// The silence in progress.
    #[serde(rename = "s")]
    pub watch: SilenceWatch,
    /// Attributes that the funnel reads, as of the newest event.
    #[serde(rename = "at", default)]
    attributes: Attributes,
}

/// Attributes as of the newest event folded, cut down to the keys that the funnel reads.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Attributes {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", rename = "c")]
    conversations: BTreeMap<Uuid, Properties>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", rename = "u")]
    customer: Properties,
}

/// What folding changed, beside the journey itself.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Changes {
    /// Attempts that are new or differ from before, by start.
    pub attempts: BTreeMap<StartKey, Attempt>,
    /// Silences that became due and ended.
    pub silences: Vec<Silence>,
}

impl Journey {
    /// An empty journey in a revision published at `since`: what was due by then is history.
    pub fn beginning(since: Timestamp) -> Self {
        Self { received_through: since, ..Self::default() }
    }

    /// Takes in the next event of the stream of a subject that belongs to a customer.
    ///
    /// Events must come in the order of [`Event::order`], those of [`Self::learn`] among them; the
    /// caller starts again from an empty journey when one arrives that belongs before the newest
    /// folded.
    pub fn step(
        &mut self,
        funnel: &CompiledFunnel,
        customer: Option<Uuid>,
        event: &Event,
        changes: &mut Changes,
    ) {
        self.learn(funnel, customer, event);
        let empty = Properties::new();
        let conversation =
            event.conversation.and_then(|key| self.attributes.conversations.get(&key)).unwrap_or(&empty);
        let facts = facts(event, conversation, &self.attributes.customer);
        if !funnel.sees(event, &facts) {
            return;
        }
        let meaning = funnel.meaning(event, &facts);
        let values =
            || breakdown_values(&funnel.funnel.breakdowns, event, conversation, &self.attributes.customer);
        self.first_at.get_or_insert(event.effective_at);
        self.last_at = Some(event.effective_at);
        let episode = self.episode.step(&funnel.funnel.episodes, event);
        let reopened = matches!(episode, EpisodeStep::Reopened { .. });
        if reopened {
            self.episode_starts.push(event.effective_at);
        }
        self.attempts.step(funnel, event, meaning, self.episode.ordinal, values, &mut changes.attempts);
        self.passages.step(funnel, event, meaning, reopened);
        self.turn.step(event);
        let course = Course {
            passages: &self.passages,
            turn: &self.turn,
            // A stream without either is nobody's; the engine folds none.
            assigned: customer.or(event.conversation).unwrap_or_default(),
            received_through: self.received_through,
        };
        self.watch.step(funnel, event, course, &mut changes.silences);
    }

    /// Takes in an event of another stream that sets attributes of the customer: it runs along for
    /// them alone.
    pub fn learn(&mut self, funnel: &CompiledFunnel, customer: Option<Uuid>, event: &Event) {
        self.folded_to = Some(event.order());
        self.received_through = self.received_through.max(event.received_at);
        self.attributes.take_in(funnel, customer, event);
    }
}

impl Attributes {
    /// An event sets attributes of the customer that it names, whosever stream it is in.
    fn take_in(&mut self, funnel: &CompiledFunnel, customer: Option<Uuid>, event: &Event) {
        if event.kind == CUSTOMER_UPDATED && event.customer == customer {
            merge(&mut self.customer, &event.properties, |key| funnel.customer_keys.contains(key));
        } else if event.kind == CONVERSATION_UPDATED
            && let Some(conversation) = event.conversation
            && !funnel.conversation_keys.is_empty()
        {
            let kept = self.conversations.entry(conversation).or_default();
            merge(kept, &event.properties, |key| funnel.conversation_keys.contains(key));
        }
    }
}

/// Merges new attributes into old ones; `null` removes.
pub fn merge(into: &mut Properties, new: &Properties, keep: impl Fn(&str) -> bool) {
    for (key, value) in new.iter().filter(|(key, _)| keep(key)) {
        if *value == Value::Null {
            into.remove(key);
        } else {
            into.insert(key.clone(), value.clone());
        }
    }
}

/// Values of the declared breakdowns at an event; missing is the empty text.
fn breakdown_values(
    breakdowns: &[Property],
    event: &Event,
    conversation: &Properties,
    customer: &Properties,
) -> Vec<String> {
    breakdowns
        .iter()
        .map(|property| {
            let found = match property.scope {
                PropertyScope::Event => event.properties.get(&property.key),
                PropertyScope::Conversation => conversation.get(&property.key),
                PropertyScope::Customer => customer.get(&property.key),
            };
            found.map(Value::as_text_key).unwrap_or_default()
        })
        .collect()
}

/// Folds the whole stream of a subject that belongs to a customer, in order, from nothing.
pub fn fold_all<'a>(
    funnel: &CompiledFunnel,
    customer: Option<Uuid>,
    events: impl IntoIterator<Item = &'a Event>,
) -> (Journey, Changes) {
    let mut journey = Journey::default();
    let mut changes = Changes::default();
    for event in events {
        journey.step(funnel, customer, event, &mut changes);
    }
    (journey, changes)
}
