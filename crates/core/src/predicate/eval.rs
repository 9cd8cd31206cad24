//! What a rule means for given facts.
//!
//! A tree has at most 256 nodes and 32 levels, and each node costs at most the
//! length of the property it looks at, so that an evaluation is bounded without
//! being counted. Only `string()` of a number and `lowerAscii()` of a text with
//! capitals allocate.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::MAX_HAYSTACK;
use super::tree::{Comparison, Field, Literal, Operand, Root, TextTest, Tree};
use crate::value::{Properties, Value, number_text};

/// What a rule sees.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The event, where there is one; without it every field of it is missing.
    pub event: Option<EventFacts<'a>>,
    /// Attributes of the conversation.
    pub conversation: &'a Properties,
    /// Attributes of the customer.
    pub customer: &'a Properties,
    /// What a run knows of itself; without it every field of it is missing.
    pub run: Option<&'a Properties>,
}

/// What a rule sees of an event.
#[derive(Debug, Clone, Copy)]
pub struct EventFacts<'a> {
    /// `event.type`
    pub kind: &'a str,
    /// `event.text`
    pub text: Option<&'a str>,
    /// `event.author`: `customer`, `agent`, `bot` or `system`.
    pub author: &'a str,
    /// `event.public`
    pub public: bool,
    /// `event.automated`
    pub automated: bool,
    /// `event.closing`
    pub closing: bool,
    /// `event.properties`
    pub properties: &'a Properties,
}

/// The value of an operand for the length of one evaluation.
enum View<'a> {
    Missing,
    Bool(bool),
    Number(f64),
    Text(Cow<'a, str>),
    List(&'a [Value]),
    Map(&'a BTreeMap<String, Value>),
}

impl Tree {
    /// Whether the condition holds.
    pub fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Const(flag) => *flag,
            Self::All(parts) => parts.iter().all(|part| part.holds(facts)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(facts)),
            Self::Not(inner) => !inner.holds(facts),
            Self::Present(operand) => !matches!(operand.view(facts), View::Missing),
            Self::Compare { left, comparison, right } => {
                comparison.holds(&left.view(facts), &right.view(facts))
            }
            Self::OneOf { needle, list } => {
                let needle = needle.view(facts);
                list.iter().any(|literal| needle.equals(&View::of_literal(literal)))
            }
            Self::ElementOf { needle, list } => match list.view(facts) {
                View::List(elements) => {
                    let needle = needle.view(facts);
                    elements.iter().any(|element| needle.equals(&View::of(element)))
                }
                _ => false,
            },
            Self::Text { test, subject, part } => match (subject.view(facts), part.view(facts)) {
                (View::Text(subject), View::Text(part)) => test.holds(&subject, &part),
                _ => false,
            },
            Self::Matches { subject, pattern } => match subject.view(facts) {
                View::Text(text) => text.len() <= MAX_HAYSTACK && pattern.is_match(&text),
                _ => false,
            },
        }
    }
}

impl Comparison {
    fn holds(self, left: &View<'_>, right: &View<'_>) -> bool {
        match self {
            Self::Equal => left.equals(right),
            Self::NotEqual => !left.equals(right),
            Self::Less => left.order(right).is_some_and(Ordering::is_lt),
            Self::AtMost => left.order(right).is_some_and(Ordering::is_le),
            Self::Greater => left.order(right).is_some_and(Ordering::is_gt),
            Self::AtLeast => left.order(right).is_some_and(Ordering::is_ge),
        }
    }
}

impl TextTest {
    fn holds(self, subject: &str, part: &str) -> bool {
        match self {
            Self::StartsWith => subject.starts_with(part),
            Self::EndsWith => subject.ends_with(part),
            Self::Contains => subject.contains(part),
        }
    }
}

impl Operand {
    fn view<'a>(&'a self, facts: &Facts<'a>) -> View<'a> {
        match self {
            Self::Literal(literal) => View::of_literal(literal),
            Self::Field(field) => field.view(facts),
            Self::Lower(inner) => inner.view(facts).lower(),
            Self::Text(inner) => inner.view(facts).text(),
            Self::Number(inner) => inner.view(facts).number(),
            Self::Size(inner) => inner.view(facts).size(),
        }
    }
}

impl Field {
    fn view<'a>(&self, facts: &Facts<'a>) -> View<'a> {
        match self.root {
            Root::Conversation => self.follow(facts.conversation),
            Root::Customer => self.follow(facts.customer),
            Root::Run => facts.run.map_or(View::Missing, |run| self.follow(run)),
            _ => facts.event.map_or(View::Missing, |event| self.view_of_event(event)),
        }
    }

    fn view_of_event<'a>(&self, event: EventFacts<'a>) -> View<'a> {
        match self.root {
            Root::EventType => View::borrowed(event.kind),
            Root::EventText => event.text.map_or(View::Missing, View::borrowed),
            Root::EventAuthor => View::borrowed(event.author),
            Root::EventPublic => View::Bool(event.public),
            Root::EventAutomated => View::Bool(event.automated),
            Root::EventClosing => View::Bool(event.closing),
            Root::EventProperties => self.follow(event.properties),
            Root::Conversation | Root::Customer | Root::Run => View::Missing,
        }
    }

    fn follow<'a>(&self, properties: &'a Properties) -> View<'a> {
        let mut keys = self.path.iter();
        let first = keys.next().and_then(|key| properties.get(key));
        let found = keys.fold(first, |value, key| match value {
            Some(Value::Map(entries)) => entries.get(key),
            _ => None,
        });
        found.map_or(View::Missing, View::of)
    }
}

impl<'a> View<'a> {
    fn borrowed(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Missing,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => Self::Number(*number),
            Value::Text(text) => Self::borrowed(text),
            Value::List(elements) => Self::List(elements),
            Value::Map(entries) => Self::Map(entries),
        }
    }

    fn of_literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Bool(flag) => Self::Bool(*flag),
            Literal::Number(number) => Self::Number(*number),
            Literal::Text(text) => Self::borrowed(text),
        }
    }

    /// The order of two numbers or two texts.
    fn order(&self, other: &View<'_>) -> Option<Ordering> {
        match (self, other) {
            (Self::Number(left), View::Number(right)) => left.partial_cmp(right),
            (Self::Text(left), View::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
            _ => None,
        }
    }

    fn equals(&self, other: &View<'_>) -> bool {
        match (self, other) {
            (Self::Bool(left), View::Bool(right)) => left == right,
            _ => self.order(other) == Some(Ordering::Equal),
        }
    }

    fn lower(self) -> Self {
        match self {
            Self::Text(text) if text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Self::Text(Cow::Owned(text.to_ascii_lowercase()))
            }
            Self::Text(text) => Self::Text(text),
            _ => Self::Missing,
        }
    }

    fn text(self) -> Self {
        match self {
            Self::Text(text) => Self::Text(text),
            Self::Bool(flag) => Self::borrowed(if flag { "true" } else { "false" }),
            Self::Number(number) => Self::Text(Cow::Owned(number_text(number))),
            _ => Self::Missing,
        }
    }

    fn number(self) -> Self {
        match self {
            Self::Number(number) => Self::Number(number),
            Self::Text(text) => parse_decimal(&text).map_or(Self::Missing, Self::Number),
            _ => Self::Missing,
        }
    }

    fn size(self) -> Self {
        let size = match self {
            Self::Text(text) => text.chars().count(),
            Self::List(elements) => elements.len(),
            Self::Map(entries) => entries.len(),
            _ => return Self::Missing,
        };
        Self::Number(size as f64)
    }
}

/// The number a text spells in decimal digits, with sign, point and exponent; finite only.
///
/// No spaces, no `NaN` or `inf`, nothing that overflows a double.
pub fn parse_decimal(text: &str) -> Option<f64> {
    let decimal = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E');
    if !text.bytes().all(decimal) {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}
