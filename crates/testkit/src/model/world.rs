//! D0, D1 and who owns what: every event once, in order.

use std::collections::BTreeSet;

use rekindle_core::Timestamp;
use rekindle_core::event::Author;
use rekindle_core::funnel::SubjectKind;
use rekindle_core::ingest::NewEvent;
use rekindle_core::time::MINUTE;

/// One event, with what was decided when it was stored.
#[derive(Debug, Clone)]
pub struct Fact {
    /// The event as sent.
    pub event: NewEvent,
    /// The instant that counts.
    pub at: Timestamp,
    /// Who caused it.
    pub author: Author,
    /// Whether the customer sees it.
    pub public: bool,
    /// Whether a machine wrote it.
    pub automated: bool,
}

/// Everything that happened, in the order of instant, sequence and bytes of the id.
#[derive(Debug, Clone)]
pub struct World {
    /// The events.
    pub facts: Vec<Fact>,
}

impl World {
    /// What happened according to events received at one instant; an id counts once.
    pub fn new(events: &[NewEvent], received: Timestamp) -> Self {
        let mut ids = BTreeSet::new();
        let first = events.iter().filter(|event| ids.insert(event.id.clone()));
        let mut facts: Vec<Fact> = first.map(|event| Fact::new(event, received)).collect();
        facts.sort_by(|a, b| a.order().cmp(&b.order()));
        Self { facts }
    }

    /// Names of everything that may be a subject.
    pub fn subjects(&self, kind: SubjectKind) -> BTreeSet<String> {
        let names = self.facts.iter().filter_map(|fact| match kind {
            SubjectKind::Conversation => fact.event.conversation.clone(),
            SubjectKind::Customer => fact.event.customer.clone(),
        });
        names.collect()
    }

    /// The customer named by the conversation's first event that names one.
    pub fn owner(&self, conversation: &str) -> Option<&str> {
        let own = self.facts.iter().filter(|fact| fact.event.conversation.as_deref() == Some(conversation));
        own.into_iter().find_map(|fact| fact.event.customer.as_deref())
    }

    /// The customer that an event belongs to.
    pub fn customer_of<'a>(&'a self, fact: &'a Fact) -> Option<&'a str> {
        match &fact.event.conversation {
            Some(conversation) => self.owner(conversation),
            None => fact.event.customer.as_deref(),
        }
    }

    /// The events of a subject by an instant, in order.
    pub fn stream(&self, kind: SubjectKind, subject: &str, by: Timestamp) -> Vec<&Fact> {
        let belongs = |fact: &&Fact| match kind {
            SubjectKind::Conversation => fact.event.conversation.as_deref() == Some(subject),
            SubjectKind::Customer => self.customer_of(fact) == Some(subject),
        };
        self.facts.iter().filter(|fact| fact.at <= by).filter(belongs).collect()
    }

    /// Instants at which something happened, in order.
    pub fn instants(&self) -> BTreeSet<Timestamp> {
        self.facts.iter().map(|fact| fact.at).collect()
    }
}

impl Fact {
    fn new(event: &NewEvent, received: Timestamp) -> Self {
        let too_far_ahead = event.occurred_at.0 - received.0 > 5 * MINUTE;
        Self {
            event: event.clone(),
            at: if too_far_ahead { received } else { event.occurred_at },
            author: event.author.unwrap_or_else(|| implied(&event.kind)),
            public: event.public.unwrap_or(event.kind != "note"),
            automated: event.automated.unwrap_or(event.kind == "bot_message"),
        }
    }

    /// Its place among all events.
    pub fn order(&self) -> (Timestamp, i64, &[u8]) {
        (self.at, self.event.sequence, self.event.id.as_bytes())
    }

    /// Whether it carries attributes.
    pub fn carries_attributes(&self) -> bool {
        ["conversation_updated", "customer_updated"].contains(&self.event.kind.as_str())
    }

    /// Whether it takes back every claim to an answer.
    pub fn clears(&self) -> bool {
        !self.carries_attributes() && (self.event.closing || self.event.kind == "resolution")
    }

    /// Whether it is a public message that a human wrote for this side.
    pub fn is_word_of(&self, author: Author) -> bool {
        let message = ["customer_message", "agent_message"].contains(&self.event.kind.as_str());
        message && self.public && !self.automated && !self.clears() && self.author == author
    }

    /// Whether the customer came back with it.
    pub fn is_return(&self) -> bool {
        self.author == Author::Customer && !self.automated
    }
}

fn implied(kind: &str) -> Author {
    match kind {
        "agent_message" | "note" | "transfer" | "escalation" | "resolution" => Author::Agent,
        "bot_message" => Author::Bot,
        "assignment" | "reopen" | "conversation_updated" | "customer_updated" | "customer_merged" => {
            Author::System
        }
        _ => Author::Customer,
    }
}
