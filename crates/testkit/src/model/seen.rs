//! What a funnel makes of each event of a subject, attributes as of that event.

use rekindle_core::Timestamp;
use rekindle_core::event::Author;
use rekindle_core::funnel::{Funnel, Match, PropertyScope};
use rekindle_core::predicate::{self, EventFacts, Facts, Predicate};
use rekindle_core::value::{Properties, Value};
use uuid::Uuid;

use super::follows_customers;
use super::world::{Fact, World};
use crate::build::key_of;

/// An event that exists for the funnel.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    /// The event.
    pub fact: &'a Fact,
    /// Places of the stages it matches.
    pub stages: Vec<usize>,
    /// Exclusions it matches.
    pub excludes: Vec<usize>,
    /// Whether it matches `ended`.
    pub ends: bool,
    /// Whether it matches `reopened`.
    pub reopens: bool,
    /// Values of the declared breakdowns at it.
    pub values: Vec<String>,
}

impl Seen<'_> {
    /// Its instant.
    pub fn at(&self) -> Timestamp {
        self.fact.at
    }
}

/// Reads a world through a funnel.
pub struct Reader<'a> {
    world: &'a World,
    /// The funnel.
    pub funnel: &'a Funnel,
    exists: Rule,
    stages: Vec<Vec<Rule>>,
    excludes: Vec<Rule>,
    ended: Vec<Rule>,
    reopened: Vec<Rule>,
}

impl<'a> Reader<'a> {
    /// A reader; the funnel must be valid.
    pub fn new(world: &'a World, funnel: &'a Funnel) -> Self {
        let rules = |matches: &[Match]| matches.iter().map(Rule::of).collect();
        Self {
            world,
            exists: Rule::of(&Match { rule: funnel.rule.clone(), ..Match::default() }),
            stages: funnel.stages.iter().map(|stage| rules(&stage.enter)).collect(),
            excludes: funnel.exclusions.iter().map(|exclusion| Rule::of(&exclusion.matching)).collect(),
            ended: rules(&funnel.ended),
            reopened: rules(&funnel.reopened),
            funnel,
        }
    }

    /// The events of a subject that exist for the funnel by an instant, in order.
    pub fn seen(&self, subject: &str, by: Timestamp) -> Vec<Seen<'a>> {
        let stream = self.world.stream(self.funnel.subject, subject, by);
        let customer = if follows_customers(self.funnel) { Some(subject) } else { self.world.owner(subject) };
        stream.into_iter().filter_map(|fact| self.see(fact, customer)).collect()
    }

    /// Key of the customer that a subject is or belongs to, or its own where nobody is known.
    pub fn assigned(&self, subject: &str) -> Uuid {
        let owner = if follows_customers(self.funnel) { None } else { self.world.owner(subject) };
        key_of(owner.unwrap_or(subject))
    }

    fn see(&self, fact: &'a Fact, customer: Option<&str>) -> Option<Seen<'a>> {
        let conversation = self.attributes(fact, |other| {
            other.event.kind == "conversation_updated" && other.event.conversation == fact.event.conversation
        });
        let customer = self.attributes(fact, |other| {
            other.event.kind == "customer_updated"
                && customer.is_some()
                && other.event.customer.as_deref() == customer
        });
        let started = self.funnel.starts_at.is_none_or(|start| fact.at >= start);
        let passes = |rule: &Rule| rule.passes(fact, &conversation, &customer);
        if !started || !passes(&self.exists) {
            return None;
        }
        let any = |rules: &[Rule]| rules.iter().any(passes);
        let values = self.funnel.breakdowns.iter().map(|property| {
            let from = match property.scope {
                PropertyScope::Event => &fact.event.properties,
                PropertyScope::Conversation => &conversation,
                PropertyScope::Customer => &customer,
            };
            from.get(&property.key).map(Value::as_text_key).unwrap_or_default()
        });
        Some(Seen {
            fact,
            stages: (0..self.stages.len()).filter(|place| any(&self.stages[*place])).collect(),
            excludes: (0..self.excludes.len()).filter(|which| passes(&self.excludes[*which])).collect(),
            ends: any(&self.ended),
            reopens: any(&self.reopened),
            values: values.collect(),
        })
    }

    /// Attributes after an event: those of the events that carry them, up to it.
    fn attributes(&self, upto: &Fact, carries: impl Fn(&Fact) -> bool) -> Properties {
        let mut attributes = Properties::new();
        for fact in self.world.facts.iter().filter(|fact| fact.order() <= upto.order() && carries(fact)) {
            attributes.extend(fact.event.properties.clone());
        }
        attributes.retain(|_, value| *value != Value::Null);
        attributes
    }
}

/// A match, its rule parsed.
struct Rule {
    matching: Match,
    predicate: Option<Predicate>,
}

impl Rule {
    fn of(matching: &Match) -> Self {
        let rule = Some(matching.rule.trim()).filter(|rule| !rule.is_empty());
        let predicate = rule.map(|rule| predicate::parse(rule).expect("the funnel is valid"));
        Self { matching: matching.clone(), predicate }
    }

    fn passes(&self, fact: &Fact, conversation: &Properties, customer: &Properties) -> bool {
        let kinds = &self.matching.event_types;
        let facts = Facts {
            event: Some(EventFacts {
                kind: &fact.event.kind,
                text: fact.event.text.as_deref(),
                author: word(fact.author),
                public: fact.public,
                automated: fact.automated,
                closing: fact.event.closing,
                properties: &fact.event.properties,
            }),
            conversation,
            customer,
            run: None,
        };
        (kinds.is_empty() || kinds.contains(&fact.event.kind))
            && self.predicate.as_ref().is_none_or(|predicate| predicate.eval(&facts))
    }
}

fn word(author: Author) -> &'static str {
    match author {
        Author::Customer => "customer",
        Author::Agent => "agent",
        Author::Bot => "bot",
        Author::System => "system",
    }
}
