//! Random small funnels and histories, dense in everything that is hard: ties, late
//! events, owners named late, attributes, redeliveries.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use rekindle_core::funnel::{
    CompiledFunnel, Exclusion, Funnel, Match, OwedBy, Property, PropertyScope, Reentry, SilenceRule, Stage,
    StageOrder, SubjectKind, TargetArm, TargetExperiment, TimeBasis,
};
use rekindle_core::ingest::NewEvent;
use rekindle_core::time::SECOND;
use rekindle_core::value::Value;
use rekindle_testkit::build::{EventExt, START, event, on};

/// A funnel, what happened, and how it was sent.
#[derive(Clone)]
pub struct Case {
    /// The funnel.
    pub funnel: Funnel,
    /// Every event once.
    pub events: Vec<NewEvent>,
    /// Places in `events` in the order of sending; some stand twice.
    pub sending: Vec<usize>,
    /// Lengths of the batches; the rest is one more.
    pub batches: Vec<usize>,
}

impl Case {
    /// Whether chance has a say: it asks for the keys of customers and conversations.
    pub fn draws(&self) -> bool {
        self.funnel.stages.iter().any(|stage| stage.target_experiment.is_some())
    }

    /// The batches as sent.
    pub fn batches(&self) -> Vec<Vec<NewEvent>> {
        let mut sent = self.sending.iter().map(|place| self.events[*place].clone());
        let mut batches: Vec<Vec<NewEvent>> =
            self.batches.iter().map(|length| sent.by_ref().take(*length).collect()).collect();
        batches.push(sent.collect());
        batches.retain(|batch| !batch.is_empty());
        batches
    }
}

impl std::fmt::Debug for Case {
    /// The smallest that shows a difference is read by people: one line for the funnel's
    /// settings and for each event.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let funnel = serde_json::to_value(&self.funnel).unwrap_or_default();
        let said = |value: &serde_json::Value| !matches!(value, serde_json::Value::Null) && !is_empty(value);
        for (key, value) in funnel.as_object().into_iter().flatten().filter(|(_, value)| said(value)) {
            writeln!(f, "{key}: {value}")?;
        }
        for event in &self.events {
            let seconds = event.occurred_at.since(START) / SECOND;
            let NewEvent { id, conversation, customer, kind, sequence, .. } = event;
            let who = (conversation.as_deref(), customer.as_deref());
            let flags = (event.closing, event.automated, &event.properties);
            writeln!(f, "{id}: {kind} at {seconds}, {sequence}, of {who:?} {flags:?}")?;
        }
        writeln!(f, "sent {:?} in {:?}", self.sending, self.batches)
    }
}

fn is_empty(value: &serde_json::Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_str().is_some_and(str::is_empty)
}

/// Cases with up to so many events.
pub fn cases(most: usize) -> impl Strategy<Value = Case> {
    (funnels(), vec(happenings(), 1..=most), vec(any::<(u16, bool)>(), most), vec(1..5usize, 0..6)).prop_map(
        |(funnel, happenings, shuffle, batches)| {
            let events: Vec<NewEvent> =
                happenings.into_iter().enumerate().map(|(place, happening)| happening.event(place)).collect();
            let mut sending: Vec<(u16, usize)> = Vec::new();
            for (place, (key, twice)) in shuffle.into_iter().enumerate().take(events.len()) {
                sending.push((key, place));
                if twice {
                    sending.push((key.wrapping_mul(7919), place));
                }
            }
            sending.sort_unstable();
            Case { funnel, events, sending: sending.into_iter().map(|(_, place)| place).collect(), batches }
        },
    )
}

const STAGE_KINDS: &[&str] = &["a", "b", "c", "customer_message", "agent_message"];
const KINDS: &[&str] = &[
    "a",
    "b",
    "c",
    "customer_message",
    "agent_message",
    "a",
    "b",
    "customer_message",
    "agent_message",
    "bot_message",
    "note",
    "resolution",
    "reopen",
    "conversation_updated",
    "customer_updated",
];
const RULES: &[&str] =
    &["", "", "", "event.properties.p != 1.0", "conversation.x == \"1\"", "customer.y != \"1\""];

#[derive(Debug, Clone)]
struct Happening {
    kind: &'static str,
    seconds: i64,
    sequence: i64,
    conversation: Option<u8>,
    customer: Option<u8>,
    flags: (bool, bool),
    value: u8,
}

fn happenings() -> impl Strategy<Value = Happening> {
    let rare = || prop::bool::weighted(0.1);
    (
        select(KINDS),
        0..7i64,
        0..2i64,
        option::weighted(0.85, select(&[0u8, 0, 0, 1, 2])),
        option::weighted(0.4, select(&[0u8, 0, 1])),
        (rare(), rare()),
        0..4u8,
    )
        .prop_map(|(kind, seconds, sequence, conversation, customer, flags, value)| Happening {
            kind,
            seconds,
            sequence,
            conversation,
            customer,
            flags,
            value,
        })
}

impl Happening {
    fn event(self, place: usize) -> NewEvent {
        // Ids in no order of time, of both cases: only their bytes may decide.
        const IDS: &[&str] = &["m", "B", "x", "a", "Z", "é", "C", "k", "b", "Y", "d", "A", "_", "z", "-"];
        let id = format!("{}{place}", IDS[place % IDS.len()]);
        let mut event = event(&id, self.kind, self.seconds).sequence(self.sequence);
        event.conversation = self.conversation.map(|number| format!("conversation-{number}"));
        event.customer = self.customer.map(|number| format!("customer-{number}"));
        event.closing = self.flags.0;
        event.automated = self.flags.1.then_some(true);
        match self.kind {
            "conversation_updated" => {
                event.conversation.get_or_insert_with(|| "conversation-0".into());
                event.with("x", attribute(self.value))
            }
            "customer_updated" => {
                // Said in a conversation, of whoever's it is, or apart from any.
                if self.sequence == 0 {
                    event.conversation = None;
                }
                event.customer.get_or_insert_with(|| "customer-0".into());
                event.with("y", attribute(self.value))
            }
            _ => {
                if event.conversation.is_none() && event.customer.is_none() {
                    event.conversation = Some("conversation-1".into());
                }
                if self.value == 0 { event } else { event.with("p", f64::from(self.value)) }
            }
        }
    }
}

fn attribute(value: u8) -> Value {
    if value == 3 { Value::Null } else { Value::Text(value.to_string()) }
}

#[derive(Debug, Clone)]
struct RoughStage {
    kinds: Vec<&'static str>,
    rule: &'static str,
    optional: bool,
    requires: Option<usize>,
    window: Option<i64>,
    stall: Option<(i64, OwedBy)>,
    /// Seconds that are tried out in place of the stall rule's.
    targets: Option<[i64; 2]>,
    abandon: Option<(i64, OwedBy)>,
}

fn owed() -> impl Strategy<Value = OwedBy> {
    select(vec![OwedBy::Anyone, OwedBy::Agent, OwedBy::Customer])
}

fn stages() -> impl Strategy<Value = RoughStage> {
    (
        vec(select(STAGE_KINDS), 1..=2),
        select(RULES),
        prop::bool::weighted(0.25),
        option::weighted(0.25, 0..4usize),
        option::weighted(0.2, 0..4i64),
        option::weighted(0.6, (1..4i64, owed())),
        option::weighted(0.3, prop::array::uniform2(1..5i64)),
        option::weighted(0.5, (1..6i64, owed())),
    )
        .prop_map(|(kinds, rule, optional, requires, window, stall, targets, abandon)| RoughStage {
            kinds,
            rule,
            optional,
            requires,
            window,
            stall,
            targets,
            abandon,
        })
}

/// Valid funnels of two to four stages.
pub fn funnels() -> impl Strategy<Value = Funnel> {
    let order = select(vec![
        StageOrder::Ordered,
        StageOrder::Ordered,
        StageOrder::Ordered,
        StageOrder::Strict,
        StageOrder::Any,
    ]);
    let exclusion = (select(KINDS), 0..4usize, 0..4usize);
    (
        (order, any::<bool>(), vec(stages(), 2..=4)),
        option::weighted(0.6, 0..7i64),
        vec(exclusion, 0..=2),
        (select(RULES), option::weighted(0.1, 1..3i64)),
        (
            option::of(select(&["resolution", "note", "c"])),
            option::of(select(&["reopen", "b", "customer_message"])),
        ),
        select(vec![Reentry::Never, Reentry::OnReopen, Reentry::AfterEnd]),
    )
        .prop_map(
            |((order, customers, rough), window, exclusions, (rule, starts), (ended, reopened), reentry)| {
                let any_order = order == StageOrder::Any;
                let stages = if any_order { any_order_stages(rough) } else { ordered_stages(rough) };
                let exclusions = if any_order { Vec::new() } else { exclusions };
                let places = stages.len();
                let funnel = Funnel {
                    subject: if customers { SubjectKind::Customer } else { SubjectKind::Conversation },
                    order,
                    conversion_window: window.map(|seconds| seconds * SECOND),
                    exclusions: exclusions
                        .into_iter()
                        .filter_map(|rough| exclude(rough, &stages, places))
                        .collect(),
                    stages,
                    rule: rule.into(),
                    ended: ended.into_iter().map(|kind| on(&[kind])).collect(),
                    reopened: reopened.into_iter().map(|kind| on(&[kind])).collect(),
                    reentry,
                    starts_at: starts.map(rekindle_testkit::build::at),
                    breakdowns: [
                        (PropertyScope::Event, "p"),
                        (PropertyScope::Conversation, "x"),
                        (PropertyScope::Customer, "y"),
                    ]
                    .map(|(scope, key)| Property { scope, key: key.into() })
                    .into(),
                    ..Funnel::default()
                };
                CompiledFunnel::new(funnel).expect("generated funnels are valid").funnel
            },
        )
}

fn exclude((kind, from, to): (&str, usize, usize), stages: &[Stage], places: usize) -> Option<Exclusion> {
    let (from, to) = (from % places, to % places);
    (from < to).then(|| Exclusion {
        matching: on(&[kind]),
        from_stage: stages[from].id.clone(),
        to_stage: stages[to].id.clone(),
    })
}

fn ordered_stages(rough: Vec<RoughStage>) -> Vec<Stage> {
    let last = rough.len() - 1;
    let stage = |(place, mut rough): (usize, RoughStage)| {
        rough.targets = rough.targets.filter(|_| place < last);
        Stage {
            optional: rough.optional && place > 0,
            requires: rough.requires.filter(|other| *other < place).map(id).into_iter().collect(),
            window: rough.window.filter(|_| place > 0).map(|seconds| seconds * SECOND),
            ..common(place, &rough)
        }
    };
    rough.into_iter().enumerate().map(stage).collect()
}

/// Where stages come in any order, prerequisites and windows are given only to stages
/// that no event shares: which of several stages an event stands for has no say then.
fn any_order_stages(rough: Vec<RoughStage>) -> Vec<Stage> {
    let shared = rough.iter().all(|stage| stage.requires.is_none() && stage.window.is_none());
    let stage = |(place, mut rough): (usize, RoughStage)| {
        rough.targets = None;
        if !shared {
            rough.kinds = vec![STAGE_KINDS[place]];
        }
        Stage {
            requires: rough.requires.filter(|other| *other < place).map(id).into_iter().collect(),
            window: rough.window.filter(|_| place > 0).map(|seconds| seconds * SECOND),
            ..common(place, &rough)
        }
    };
    rough.into_iter().enumerate().map(stage).collect()
}

fn common(place: usize, rough: &RoughStage) -> Stage {
    let silence = |(after, owed_by)| SilenceRule { after: after * SECOND, basis: TimeBasis::Wall, owed_by };
    let stall: Option<SilenceRule> = rough.stall.map(silence);
    let targets = rough.targets.filter(|_| stall.is_some());
    let mut abandon: Option<SilenceRule> = rough.abandon.map(silence);
    if let (Some(stall), Some(abandon)) = (&stall, &mut abandon)
        && stall.owed_by == abandon.owed_by
    {
        let tried = targets.iter().flatten().map(|seconds| seconds * SECOND);
        abandon.after = abandon.after.max(tried.fold(stall.after, i64::max) + SECOND);
    }
    Stage {
        id: id(place),
        enter: vec![Match { rule: rough.rule.into(), ..on(&rough.kinds) }],
        stall,
        target_experiment: targets.map(experiment),
        abandon,
        ..Stage::default()
    }
}

/// Two targets, the second for three of four.
fn experiment(seconds: [i64; 2]) -> TargetExperiment {
    let arm = |id: &str, weight, seconds| TargetArm { id: id.into(), after: seconds * SECOND, weight };
    TargetExperiment { id: "try".into(), arms: vec![arm("one", 1, seconds[0]), arm("other", 3, seconds[1])] }
}

fn id(place: usize) -> String {
    format!("s{}", place + 1)
}
