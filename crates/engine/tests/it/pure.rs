//! The fold against the model, without a database: every instant of every history.

use std::collections::HashMap;

use proptest::prelude::*;
use rekindle_core::Timestamp;
use rekindle_core::event::{CUSTOMER_UPDATED, Event};
use rekindle_core::fold::{Attempt, Changes, Journey, Silence};
use rekindle_core::funnel::{CompiledFunnel, Funnel, SubjectKind};
use rekindle_core::metrics::positions::{Condition, Positions};
use rekindle_core::metrics::{Analysis, AttemptFact, Period, Shape, SilenceFact, StandingFact, Unit};
use rekindle_testkit::build::{RECEIVED, key_of, stored};
use rekindle_testkit::model::{ModelAttempt, Mood, Told, World, told};
use uuid::Uuid;

use crate::cases::{Case, cases};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_fold_and_the_definitions_agree_at_every_instant(case in cases(12)) {
        agree_at_every_instant(&case)?;
    }
}

fn agree_at_every_instant(case: &Case) -> Result<(), TestCaseError> {
    let world = World::new(&case.events, RECEIVED);
    let folded = Folded::all(&world, &case.funnel, &case.events);
    let ends = world
        .instants()
        .into_iter()
        .flat_map(|at| [at, at.plus(rekindle_core::time::SECOND / 2), at.plus(20_000_000)]);
    for by in ends {
        let told: Vec<(String, Told)> = told(&world, &case.funnel, by);
        for (name, told) in &told {
            let subject = folded.iter().find(|folded| folded.name == *name).expect("it was folded");
            let got = subject.at(&case.funnel, by);
            prop_assert_eq!(got.as_ref(), Some(&Answer::of(told)), "{} by {:?}", name, by);
        }
        for subject in folded.iter().filter(|folded| !told.iter().any(|(name, _)| *name == folded.name)) {
            prop_assert_eq!(subject.at(&case.funnel, by), None, "{} by {:?}", subject.name, by);
        }
    }
    Ok(())
}

/// What both are asked.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    first_at: Timestamp,
    attempts: Vec<ModelAttempt>,
    best: Option<(Timestamp, usize)>,
    place: Option<usize>,
    entered_at: Option<Timestamp>,
    mood: Option<Mood>,
    recovered: Vec<usize>,
}

impl Answer {
    fn of(told: &Told) -> Self {
        let valid = told.attempts.iter().filter(|attempt| attempt.voided_at.is_none());
        Self {
            first_at: told.first_at,
            attempts: valid.cloned().collect(),
            best: told.best().map(|attempt| (attempt.start_at, attempt.depth())),
            place: told.place,
            entered_at: told.entered_at,
            mood: told.mood,
            recovered: told.recovered.iter().copied().collect(),
        }
    }
}

/// A subject, folded once over its whole history.
struct Folded {
    name: String,
    journey: Journey,
    changes: Changes,
}

impl Folded {
    fn all(world: &World, funnel: &Funnel, events: &[rekindle_core::ingest::NewEvent]) -> Vec<Self> {
        let compiled = CompiledFunnel::new(funnel.clone()).expect("a valid funnel");
        let all = stored(events, RECEIVED);
        let names = world.subjects(funnel.subject).into_iter();
        names
            .map(|name| {
                let (mut journey, mut changes) = (Journey::default(), Changes::default());
                let customer = customer_of(world, funnel.subject, &name);
                for event in &all {
                    if belongs(world, funnel.subject, &name, event) {
                        journey.step(&compiled, customer, event, &mut changes);
                    } else if event.kind == CUSTOMER_UPDATED && event.customer == customer {
                        journey.learn(&compiled, customer, event);
                    }
                }
                Self { name, journey, changes }
            })
            .collect()
    }

    fn at(&self, funnel: &Funnel, by: Timestamp) -> Option<Answer> {
        let shape = Shape::of(funnel);
        let first_at = self.journey.first_at.filter(|first| *first <= by)?;
        let attempts: Vec<AttemptFact> = self.changes.attempts.values().map(attempt_fact).collect();
        let analysis = Analysis::new(
            shape.clone(),
            Unit::Subject,
            &Period::default(),
            by,
            attempts.clone(),
            &HashMap::new(),
        );
        let silences: Vec<SilenceFact> =
            self.changes.silences.iter().chain(&self.journey.watch.open).map(silence_fact).collect();
        let standing = StandingFact {
            subject: Uuid::nil(),
            customer: None,
            first_at,
            standing: self.journey.passages.standing(funnel.order, funnel.stages.len(), Timestamp::LATEST),
            passages: self
                .journey
                .last_at
                .is_some_and(|last| last > by)
                .then(|| self.journey.passages.clone()),
        };
        let positions = Positions::new(&shape, vec![standing], &silences, &Period::default(), by);
        let position = positions.all.first()?;
        let recovered = (0..funnel.stages.len()).filter(|place| positions.recovered_in(*place).count() > 0);
        Some(Answer {
            first_at,
            attempts: valid_attempts(attempts, by),
            best: analysis.best().next().map(|(_, attempt)| (attempt.start.at, attempt.depth())),
            place: position.standing.place,
            entered_at: position.standing.entered_at,
            mood: position.condition.map(mood),
            recovered: recovered.collect(),
        })
    }
}

/// Whether an event is in the stream that the engine folds: a conversation's own events, and
/// its owner's attributes.
/// The customer that a subject is, or belongs to.
fn customer_of(world: &World, kind: SubjectKind, name: &str) -> Option<Uuid> {
    match kind {
        SubjectKind::Customer => Some(key_of(name)),
        SubjectKind::Conversation => world.owner(name).map(key_of),
    }
}

/// Whether an event is in a subject's own stream.
fn belongs(world: &World, kind: SubjectKind, name: &str, event: &Event) -> bool {
    let owner = event.conversation.map_or(event.customer, |conversation| {
        let known = world.subjects(SubjectKind::Conversation);
        let conversation = known.iter().find(|name| key_of(name) == conversation)?;
        world.owner(conversation).map(key_of)
    });
    match kind {
        SubjectKind::Customer => owner == Some(key_of(name)),
        SubjectKind::Conversation => event.conversation == Some(key_of(name)),
    }
}

fn valid_attempts(attempts: Vec<AttemptFact>, by: Timestamp) -> Vec<ModelAttempt> {
    let started = attempts.into_iter().filter(|attempt| attempt.start.at <= by);
    let valid = started.filter(|attempt| attempt.voided_at.is_none_or(|voided| voided > by));
    valid
        .map(|mut attempt| {
            attempt.cut_after(by);
            ModelAttempt {
                start: attempt.start.id,
                start_at: attempt.start.at,
                entered: attempt.entered,
                voided_at: None,
                chained: attempt.chained,
                values: attempt.values,
            }
        })
        .collect()
}

fn attempt_fact(attempt: &Attempt) -> AttemptFact {
    AttemptFact {
        subject: Uuid::nil(),
        customer: None,
        start: attempt.start.clone(),
        entered: attempt.entered.iter().map(|entry| entry.as_ref().map(|entry| entry.0)).collect(),
        voided_at: attempt.voided_at,
        episode: attempt.episode,
        chained: attempt.chained,
        values: attempt.values.clone(),
    }
}

fn silence_fact(silence: &Silence) -> SilenceFact {
    SilenceFact {
        subject: Uuid::nil(),
        place: silence.key.place,
        since: silence.since(),
        stall_at: silence.stall_at(),
        abandon_at: silence.abandon_at(),
        until: silence.until,
        ended_by: silence.ended_by,
    }
}

fn mood(condition: Condition) -> Mood {
    match condition {
        Condition::Active => Mood::Active,
        Condition::Stalled => Mood::Stalled,
        Condition::Abandoned => Mood::Abandoned,
        Condition::Ended => Mood::Ended,
        Condition::Completed => Mood::Completed,
    }
}
