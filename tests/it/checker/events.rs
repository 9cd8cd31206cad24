//! What was sent against what is stored and counted.

use std::collections::{HashMap, HashSet};

use super::{History, Role, Sent, Stored, Violation};
use crate::desk::STALL;

/// Conversations as they are stored.
pub struct Conversations<'a>(HashMap<&'a str, Conversation<'a>>);

/// The stored events of a conversation by what they mean.
#[derive(Default)]
pub struct Conversation<'a> {
    ask: Option<&'a Stored>,
    answer: Option<&'a Stored>,
    /// The customer's return.
    pub back: Option<&'a Stored>,
}

impl Conversation<'_> {
    /// The silence after the answer, if there is one: its anchor and when it comes due.
    pub fn silence(&self) -> Option<(&str, i64)> {
        let answer = self.answer?;
        self.ask?;
        Some((&answer.id, answer.at + STALL))
    }

    /// Whether the silence had come due before all of its events were stored: history starts nothing.
    pub fn is_history(&self) -> bool {
        let received = self.ask.into_iter().chain(self.answer).map(|event| event.received_at).max();
        self.silence().is_some_and(|(_, due)| received.is_some_and(|received| due <= received))
    }
}

impl<'a> Conversations<'a> {
    /// Groups what is stored.
    pub fn of(history: &'a History) -> Self {
        let roles: HashMap<&str, Role> =
            history.sent.iter().map(|sent| (sent.id.as_str(), sent.role)).collect();
        let mut conversations: HashMap<&str, Conversation> = HashMap::new();
        for event in &history.stored {
            let conversation = conversations.entry(&event.conversation).or_default();
            match roles.get(event.id.as_str()) {
                Some(Role::Ask) => conversation.ask = Some(event),
                Some(Role::Answer) => conversation.answer = Some(event),
                Some(Role::Return) => conversation.back = Some(event),
                None => {}
            }
        }
        Self(conversations)
    }

    /// One of them.
    pub fn get(&self, conversation: &str) -> Option<&Conversation<'a>> {
        self.0.get(conversation)
    }

    /// Those with a silence that nobody ended, by name.
    pub fn silent(&self) -> impl Iterator<Item = (&'a str, &Conversation<'a>)> {
        let silent = self.0.iter().filter(|(_, it)| it.silence().is_some() && it.back.is_none());
        silent.map(|(name, it)| (*name, it))
    }
}

/// Nothing lost, doubled or changed; and the figures say who is silent.
pub fn check(history: &History) -> Vec<Violation> {
    let mut violations = stored(history);
    violations.extend(stalls(history));
    violations
}

fn stored(history: &History) -> Vec<Violation> {
    let sent: HashMap<&str, &Sent> = history.sent.iter().map(|sent| (sent.id.as_str(), sent)).collect();
    let mut seen = HashSet::new();
    let mut violations = Vec::new();
    for event in &history.stored {
        if !seen.insert(event.id.as_str()) {
            violations.push(Violation::StoredTwice { event: event.id.clone() });
        }
        if !sent.get(event.id.as_str()).is_some_and(|sent| is_same(sent, event)) {
            violations.push(Violation::Changed { event: event.id.clone() });
        }
    }
    let lost = history.sent.iter().filter(|sent| sent.acked_at.is_some() && !seen.contains(sent.id.as_str()));
    violations.extend(lost.map(|sent| Violation::Lost { event: sent.id.clone() }));
    violations
}

fn is_same(sent: &Sent, stored: &Stored) -> bool {
    (sent.conversation.as_str(), sent.role.event_type(), sent.at)
        == (stored.conversation.as_str(), stored.event_type.as_str(), stored.at)
}

fn stalls(history: &History) -> Vec<Violation> {
    let conversations = Conversations::of(history);
    let mut told = HashSet::new();
    let mut violations = Vec::new();
    for conversation in &history.stalled {
        let is_silent = conversations.silent().any(|(name, _)| name == conversation);
        if !told.insert(conversation.as_str()) || !is_silent {
            violations.push(Violation::StallWrong { conversation: conversation.clone() });
        }
    }
    let missing = conversations.silent().filter(|(name, _)| !told.contains(name));
    violations.extend(missing.map(|(name, _)| Violation::StallMissing { conversation: name.to_owned() }));
    violations
}
