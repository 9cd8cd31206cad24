//! A funnel revision made ready to fold with: rules parsed, ids resolved to places.

use std::collections::BTreeSet;

use super::validate::validate;
use super::{Funnel, Match, PropertyScope, SilenceRule, StageOrder, TimeBasis};
use crate::calendar::Calendar;
use crate::event::Event;
use crate::predicate::{self, EventFacts, Facts, Predicate};
use crate::time::Timestamp;
use crate::value::Properties;
use crate::violation::{Violation, Violations};

/// A set of stages or exclusions by place; definitions hold at most 50 of each.
pub type Mask = u64;

/// A valid funnel with its rules parsed.
#[derive(Debug, Clone)]
pub struct CompiledFunnel {
    /// The definition.
    pub funnel: Funnel,
    stages: Vec<CompiledStage>,
    exclusions: Vec<CompiledExclusion>,
    rule: Option<Predicate>,
    ended: Vec<CompiledMatch>,
    reopened: Vec<CompiledMatch>,
    calendar: Option<Calendar>,
    /// Conversation attributes that rules or breakdowns read.
    pub conversation_keys: BTreeSet<String>,
    /// Customer attributes that rules or breakdowns read.
    pub customer_keys: BTreeSet<String>,
}

/// A stage with its rules parsed.
#[derive(Debug, Clone)]
struct CompiledStage {
    enter: Vec<CompiledMatch>,
    requires: Mask,
    next_required: usize,
}

/// An exclusion with its places.
#[derive(Debug, Clone)]
pub struct CompiledExclusion {
    matching: CompiledMatch,
    /// Place of the stage after which it counts.
    pub from: usize,
    /// Place of the stage from which on it no longer counts.
    pub to: usize,
}

#[derive(Debug, Clone)]
struct CompiledMatch {
    kinds: BTreeSet<String>,
    rule: Option<Predicate>,
}

/// What one event means to a funnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Meaning {
    /// Stages whose matches it satisfies, whatever came before.
    pub stages: Mask,
    /// Exclusions it triggers.
    pub exclusions: Mask,
    /// It closes the subject.
    pub ends: bool,
    /// It opens the subject again.
    pub reopens: bool,
}

impl CompiledFunnel {
    /// Checks and prepares a definition.
    ///
    /// # Errors
    /// Everything that is wrong with it, by field.
    pub fn new(funnel: Funnel) -> Result<Self, Vec<Violation>> {
        let mut violations = Violations::new();
        validate(&funnel, &mut violations);
        let calendar = funnel.calendar.as_ref().and_then(|spec| Calendar::compile(spec, &mut violations));
        violations.into_result(())?;
        let stages = (0..funnel.stages.len()).map(|at| compile_stage(&funnel, at)).collect();
        let exclusions = funnel
            .exclusions
            .iter()
            .filter_map(|exclusion| {
                Some(CompiledExclusion {
                    matching: compile_match(&exclusion.matching),
                    from: funnel.stage_index(&exclusion.from_stage)?,
                    to: funnel.stage_index(&exclusion.to_stage)?,
                })
            })
            .collect();
        let mut compiled = Self {
            rule: parsed(&funnel.rule),
            ended: funnel.ended.iter().map(compile_match).collect(),
            reopened: funnel.reopened.iter().map(compile_match).collect(),
            stages,
            exclusions,
            calendar,
            conversation_keys: BTreeSet::new(),
            customer_keys: BTreeSet::new(),
            funnel,
        };
        compiled.note_attributes_read();
        Ok(compiled)
    }

    fn note_attributes_read(&mut self) {
        let stages = self.stages.iter().flat_map(|stage| &stage.enter);
        let exclusions = self.exclusions.iter().map(|exclusion| &exclusion.matching);
        let rules = stages
            .chain(exclusions)
            .chain(&self.ended)
            .chain(&self.reopened)
            .filter_map(|matching| matching.rule.as_ref())
            .chain(&self.rule);
        for rule in rules {
            let reads = rule.reads();
            self.conversation_keys.extend(reads.conversation_keys);
            self.customer_keys.extend(reads.customer_keys);
        }
        for property in &self.funnel.breakdowns {
            match property.scope {
                PropertyScope::Event => {}
                PropertyScope::Conversation => {
                    self.conversation_keys.insert(property.key.clone());
                }
                PropertyScope::Customer => {
                    self.customer_keys.insert(property.key.clone());
                }
            }
        }
    }

    /// Number of stages.
    pub fn len(&self) -> usize {
        self.stages.len()
    }

    /// Never true: a funnel has at least two stages.
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Its calendar, where it has one.
    pub fn calendar(&self) -> Option<&Calendar> {
        self.calendar.as_ref()
    }

    /// The order of stages.
    pub fn order(&self) -> StageOrder {
        self.funnel.order
    }

    /// The exclusions, in the order of their bits in [`Meaning::exclusions`].
    pub fn exclusions(&self) -> &[CompiledExclusion] {
        &self.exclusions
    }

    /// Whether the event exists for this funnel.
    pub fn sees(&self, event: &Event, facts: &Facts<'_>) -> bool {
        !event.kind.starts_with(crate::event::RESERVED_PREFIX)
            && self.funnel.starts_at.is_none_or(|start| event.effective_at >= start)
            && self.rule.as_ref().is_none_or(|rule| rule.eval(facts))
    }

    /// What the event means, whatever came before it.
    pub fn meaning(&self, event: &Event, facts: &Facts<'_>) -> Meaning {
        let any = |matches: &[CompiledMatch]| matches.iter().any(|m| m.matches(event, facts));
        let mut meaning =
            Meaning { ends: any(&self.ended), reopens: any(&self.reopened), ..Meaning::default() };
        for (place, stage) in self.stages.iter().enumerate() {
            meaning.stages |= Mask::from(any(&stage.enter)) << place;
        }
        for (place, exclusion) in self.exclusions.iter().enumerate() {
            meaning.exclusions |= Mask::from(exclusion.matching.matches(event, facts)) << place;
        }
        meaning
    }

    /// Places that may be entered next from `last`: the optional ones up to the
    /// next required one, and that one, as far as `entered` holds what they require.
    pub fn candidates(&self, last: usize, entered: Mask) -> Mask {
        let Some(stage) = self.stages.get(last) else {
            return 0;
        };
        (last + 1..=stage.next_required)
            .filter(|&place| self.is_open(place, entered))
            .fold(0, |mask, place| mask | 1 << place)
    }

    /// Whether everything that the stage at `place` requires is among `entered`.
    pub fn is_open(&self, place: usize, entered: Mask) -> bool {
        self.stages.get(place).is_some_and(|stage| stage.requires & !entered == 0)
    }

    /// The instant at which a rule's clock runs out.
    pub fn due(&self, rule: &SilenceRule, since: Timestamp) -> Option<Timestamp> {
        match rule.basis {
            TimeBasis::Wall => Some(since.plus(rule.after)),
            TimeBasis::Business => self.calendar.as_ref()?.add(since, rule.after),
        }
    }
}

impl CompiledMatch {
    fn matches(&self, event: &Event, facts: &Facts<'_>) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&event.kind))
            && self.rule.as_ref().is_none_or(|rule| rule.eval(facts))
    }
}

/// The facts that rules see of an event.
pub fn facts<'a>(event: &'a Event, conversation: &'a Properties, customer: &'a Properties) -> Facts<'a> {
    Facts {
        event: Some(EventFacts {
            kind: &event.kind,
            text: event.text.as_deref(),
            author: event.author.as_str(),
            public: event.public,
            automated: event.automated,
            closing: event.closing,
            properties: &event.properties,
        }),
        conversation,
        customer,
        run: None,
    }
}

fn compile_stage(funnel: &Funnel, at: usize) -> CompiledStage {
    let stage = &funnel.stages[at];
    let requires = stage
        .requires
        .iter()
        .filter_map(|id| funnel.stage_index(id))
        .fold(0, |mask, place| mask | 1 << place);
    CompiledStage {
        enter: stage.enter.iter().map(compile_match).collect(),
        requires,
        next_required: funnel.required_after(at),
    }
}

fn compile_match(matching: &Match) -> CompiledMatch {
    CompiledMatch { kinds: matching.event_types.clone(), rule: parsed(&matching.rule) }
}

/// Parses a rule that validation has accepted; the empty one is no rule.
fn parsed(rule: &str) -> Option<Predicate> {
    if rule.trim().is_empty() {
        return None;
    }
    predicate::parse(rule).ok()
}
