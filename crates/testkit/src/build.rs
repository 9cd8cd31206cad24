//! Events and funnels that read well in tests. Times are seconds after [`START`].

use rekindle_core::Timestamp;
use rekindle_core::event::{Author, Event, effective_instant};
use rekindle_core::funnel::{
    Exclusion, Funnel, Match, OwedBy, Reentry, SilenceRule, Stage, StageOrder, SubjectKind, TargetArm,
    TargetExperiment, TimeBasis,
};
use rekindle_core::ingest::NewEvent;
use rekindle_core::time::{DAY, SECOND};
use rekindle_core::value::{Properties, Value};
use uuid::Uuid;

/// Second 0: Monday 2026-01-05, midnight UTC.
pub const START: Timestamp = Timestamp(1_767_571_200 * SECOND);

/// When events are received unless a test moves its clock: long after they happened.
pub const RECEIVED: Timestamp = START.plus(100 * DAY);

/// An instant by its seconds after [`START`].
pub const fn at(seconds: i64) -> Timestamp {
    START.plus(seconds * SECOND)
}

/// An event of conversation `c1`.
pub fn event(id: &str, kind: &str, seconds: i64) -> NewEvent {
    NewEvent {
        id: id.into(),
        conversation: Some("c1".into()),
        customer: None,
        kind: kind.into(),
        occurred_at: at(seconds),
        sequence: 0,
        author: None,
        public: None,
        automated: None,
        closing: false,
        text: None,
        properties: Properties::new(),
    }
}

/// Events of conversation `c1` as pairs of type and second; ids and sequences by place.
pub fn events(pairs: &[(&str, i64)]) -> Vec<NewEvent> {
    let numbered = pairs.iter().enumerate();
    numbered
        .map(|(place, (kind, seconds))| event(&format!("e{place}"), kind, *seconds).sequence(place as i64))
        .collect()
}

/// What an event may have beside its id, type and instant.
pub trait EventExt: Sized {
    /// Another conversation than `c1`.
    #[must_use]
    fn of(self, conversation: &str) -> Self;
    /// No conversation, only a customer.
    #[must_use]
    fn only(self, customer: &str) -> Self;
    /// Names a customer.
    #[expect(clippy::wrong_self_convention, reason = "an event from a customer: so it is read")]
    #[must_use]
    fn from_customer(self, customer: &str) -> Self;
    /// The tie-breaker.
    #[must_use]
    fn sequence(self, sequence: i64) -> Self;
    /// Another author than the type implies.
    #[must_use]
    fn by(self, author: Author) -> Self;
    /// Written by a machine.
    #[must_use]
    fn automated(self) -> Self;
    /// Closes the exchange.
    #[must_use]
    fn closing(self) -> Self;
    /// A property.
    #[must_use]
    fn with(self, key: &str, value: impl Into<Value>) -> Self;
}

impl EventExt for NewEvent {
    fn of(mut self, conversation: &str) -> Self {
        self.conversation = Some(conversation.into());
        self
    }

    fn only(mut self, customer: &str) -> Self {
        self.conversation = None;
        self.customer = Some(customer.into());
        self
    }

    fn from_customer(mut self, customer: &str) -> Self {
        self.customer = Some(customer.into());
        self
    }

    fn sequence(mut self, sequence: i64) -> Self {
        self.sequence = sequence;
        self
    }

    fn by(mut self, author: Author) -> Self {
        self.author = Some(author);
        self
    }

    fn automated(mut self) -> Self {
        self.automated = Some(true);
        self
    }

    fn closing(mut self) -> Self {
        self.closing = true;
        self
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.properties.insert(key.into(), value.into());
        self
    }
}

/// The key that pure tests give a name, and others may ([`crate::TestEngine::name`]).
pub fn key_of(name: &str) -> Uuid {
    let hash = |seed: u64| {
        name.bytes().fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    };
    Uuid::from_u64_pair(hash(0xcbf2_9ce4_8422_2325), hash(0x9e37_79b9_7f4a_7c15))
}

/// Events as they are stored when all are received at `received`, in stream order.
pub fn stored(events: &[NewEvent], received: Timestamp) -> Vec<Event> {
    let mut stored: Vec<Event> = events.iter().map(|event| stored_one(event, received)).collect();
    stored.sort_by_key(Event::order);
    stored
}

fn stored_one(event: &NewEvent, received: Timestamp) -> Event {
    Event {
        id: event.id.clone(),
        kind: event.kind.clone(),
        conversation: event.conversation.as_deref().map(key_of),
        customer: event.customer.as_deref().map(key_of),
        occurred_at: event.occurred_at,
        effective_at: effective_instant(event.occurred_at, received).0,
        received_at: received,
        sequence: event.sequence,
        author: event.author.unwrap_or_else(|| Author::implied_by(&event.kind)),
        public: event.public.unwrap_or(event.kind != "note"),
        automated: event.automated.unwrap_or(event.kind == "bot_message"),
        closing: event.closing,
        text: event.text.clone(),
        properties: event.properties.clone(),
    }
}

/// A match of event types.
pub fn on(kinds: &[&str]) -> Match {
    Match { event_types: kinds.iter().map(ToString::to_string).collect(), rule: String::new() }
}

/// An ordered funnel of conversations: stage `s1` is entered by the first type, and so on.
pub fn funnel(kinds: &[&str]) -> Funnel {
    let stages = kinds.iter().enumerate().map(|(place, kind)| Stage {
        id: format!("s{}", place + 1),
        enter: vec![on(&[kind])],
        ..Stage::default()
    });
    Funnel { stages: stages.collect(), ..Funnel::default() }
}

/// What a funnel may have beside its stages; places count from 0, spans are seconds.
pub trait FunnelExt: Sized {
    /// Each stage must be the very next event.
    #[must_use]
    fn strict(self) -> Self;
    /// Stages in any order.
    #[must_use]
    fn any_order(self) -> Self;
    /// Follows customers.
    #[must_use]
    fn of_customers(self) -> Self;
    /// Conversion window.
    #[must_use]
    fn window(self, seconds: i64) -> Self;
    /// Window of one stage.
    #[must_use]
    fn stage_window(self, place: usize, seconds: i64) -> Self;
    /// Makes a stage optional.
    #[must_use]
    fn optional(self, place: usize) -> Self;
    /// Makes a stage need another.
    #[must_use]
    fn requires(self, place: usize, other: usize) -> Self;
    /// Voids attempts by a type between two stages.
    #[must_use]
    fn exclude(self, kind: &str, from: usize, to: usize) -> Self;
    /// Stall rule of a stage.
    #[must_use]
    fn stall(self, place: usize, seconds: i64, owed_by: OwedBy) -> Self;
    /// Targets that a stage tries out in place of its stall rule's, in equal shares: `arm-0` and so on.
    #[must_use]
    fn targets(self, place: usize, experiment: &str, seconds: &[i64]) -> Self;
    /// Abandonment rule of a stage.
    #[must_use]
    fn abandon(self, place: usize, seconds: i64, owed_by: OwedBy) -> Self;
    /// Types that close a subject.
    #[must_use]
    fn ended(self, kind: &str) -> Self;
    /// Types that open it again.
    #[must_use]
    fn reopened(self, kind: &str) -> Self;
    /// Re-entry policy.
    #[must_use]
    fn reentry(self, reentry: Reentry) -> Self;
    /// Which events exist.
    #[must_use]
    fn only_where(self, rule: &str) -> Self;
    /// An additional rule of a stage.
    #[must_use]
    fn stage_rule(self, place: usize, rule: &str) -> Self;
}

impl FunnelExt for Funnel {
    fn strict(self) -> Self {
        Self { order: StageOrder::Strict, ..self }
    }

    fn any_order(self) -> Self {
        Self { order: StageOrder::Any, ..self }
    }

    fn of_customers(self) -> Self {
        Self { subject: SubjectKind::Customer, ..self }
    }

    fn window(self, seconds: i64) -> Self {
        Self { conversion_window: Some(seconds * SECOND), ..self }
    }

    fn stage_window(mut self, place: usize, seconds: i64) -> Self {
        self.stages[place].window = Some(seconds * SECOND);
        self
    }

    fn optional(mut self, place: usize) -> Self {
        self.stages[place].optional = true;
        self
    }

    fn requires(mut self, place: usize, other: usize) -> Self {
        let other = self.stages[other].id.clone();
        self.stages[place].requires.push(other);
        self
    }

    fn exclude(mut self, kind: &str, from: usize, to: usize) -> Self {
        let (from_stage, to_stage) = (self.stages[from].id.clone(), self.stages[to].id.clone());
        self.exclusions.push(Exclusion { matching: on(&[kind]), from_stage, to_stage });
        self
    }

    fn stall(mut self, place: usize, seconds: i64, owed_by: OwedBy) -> Self {
        self.stages[place].stall = Some(rule(seconds, owed_by));
        self
    }

    fn targets(mut self, place: usize, experiment: &str, seconds: &[i64]) -> Self {
        let arm = |(arm, seconds): (usize, &i64)| TargetArm {
            id: format!("arm-{arm}"),
            after: seconds * SECOND,
            weight: 1,
        };
        let arms = seconds.iter().enumerate().map(arm).collect();
        self.stages[place].target_experiment = Some(TargetExperiment { id: experiment.into(), arms });
        self
    }

    fn abandon(mut self, place: usize, seconds: i64, owed_by: OwedBy) -> Self {
        self.stages[place].abandon = Some(rule(seconds, owed_by));
        self
    }

    fn ended(mut self, kind: &str) -> Self {
        self.ended.push(on(&[kind]));
        self
    }

    fn reopened(mut self, kind: &str) -> Self {
        self.reopened.push(on(&[kind]));
        self
    }

    fn reentry(self, reentry: Reentry) -> Self {
        Self { reentry, ..self }
    }

    fn only_where(self, rule: &str) -> Self {
        Self { rule: rule.into(), ..self }
    }

    fn stage_rule(mut self, place: usize, rule: &str) -> Self {
        for matching in &mut self.stages[place].enter {
            matching.rule = rule.into();
        }
        self
    }
}

fn rule(seconds: i64, owed_by: OwedBy) -> SilenceRule {
    SilenceRule { after: seconds * SECOND, basis: TimeBasis::Wall, owed_by }
}
