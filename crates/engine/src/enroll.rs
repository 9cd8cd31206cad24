//! Who is taken into a sequence: for each occasion and each sequence that it concerns a run, or a run
//! that never began and says why.

use std::collections::{BTreeMap, HashMap, HashSet};

use rekindle_core::Timestamp;
use rekindle_core::event::Event;
use rekindle_core::funnel::OwedBy;
use rekindle_core::funnel::compile::facts;
use rekindle_core::predicate::Facts;
use rekindle_core::sequence::arm::{Arm, Chance, Holdouts};
use rekindle_core::sequence::{Cause, Origin, Progress, ReentryPer, ReentryRule};
use rekindle_ports::Tx;
use rekindle_ports::ledger::{EndReason, RunEvent, RunRow, RunState};
use rekindle_ports::resources::SequenceRow;
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use crate::engine::Inner;
use crate::error::EngineResult;
use crate::loops::locks::Locked;
use crate::runs::ending::words;

pub(crate) mod events;
pub(crate) mod rules;
pub(crate) mod silences;
pub(crate) mod stages;

/// A sequence that something concerns which came about for a subject.
#[derive(Debug, Clone)]
pub(crate) struct Candidate<'a> {
    pub sequence: &'a SequenceRow,
    pub origin: Origin,
    /// The subject, if it is a conversation.
    pub conversation: Option<Uuid>,
    /// The customer, if known.
    pub customer: Option<Uuid>,
    /// From when on a return counts.
    pub since: Timestamp,
    /// The instant that the occasion names.
    pub due_at: Timestamp,
    /// Whose silence the rule measures, where there is one.
    pub owed_by: OwedBy,
    /// When its first step is taken.
    pub begins_at: Timestamp,
    /// What came about, for people.
    pub reason: String,
    /// When the attempt at the funnel began that it belongs to, if that is known.
    pub attempt: Option<Timestamp>,
    /// How many runs stand behind it, each started by an event of the one before.
    pub depth: u32,
    /// Number of the funnel's revision in whose stage the subject is, where that has to be in one; of
    /// a silence, its mark says so.
    pub funnel_revision: Option<i32>,
    /// Why its run does not begin.
    pub skipped: Option<EndReason>,
}

/// Starts the runs of those that entry filters and rules of re-entry let in, and records the others.
/// The caller holds the locks of the subjects.
pub(crate) async fn enroll(
    tx: &mut dyn Tx,
    inner: &Inner,
    locked: &Locked,
    mut candidates: Vec<Candidate<'_>>,
    now: Timestamp,
) -> EngineResult<()> {
    filter(tx, inner, locked, &mut candidates).await?;
    cool_down(tx, &mut candidates, now).await?;
    // Whom a schedule does not want it meets again each time: that is no news.
    let is_news = |it: &Candidate<'_>| {
        it.origin.cause != Cause::Schedule
            || !matches!(it.skipped, Some(EndReason::Filtered | EndReason::CoolDown))
    };
    candidates.retain(is_news);
    start(tx, inner, &candidates, now).await?;
    Ok(())
}

/// Starts runs, or records why they did not begin; yields those that are new. A sequence has one run
/// for each origin.
pub(crate) async fn start(
    tx: &mut dyn Tx,
    inner: &Inner,
    candidates: &[Candidate<'_>],
    now: Timestamp,
) -> EngineResult<Vec<Uuid>> {
    let held_out = if candidates.is_empty() { 0 } else { tx.workspace().await?.body.holdout };
    let runs: Vec<RunRow> =
        candidates.iter().map(|candidate| run_of(inner, candidate, held_out, now)).collect();
    let new = tx.insert_runs(&runs).await?;
    let known: HashSet<Uuid> = new.iter().copied().collect();
    let lines: Vec<RunEvent> = runs
        .iter()
        .zip(candidates)
        .filter(|(run, _)| known.contains(&run.id))
        .map(|(run, candidate)| first_line(run, candidate, now))
        .collect();
    tx.log_run(&lines).await?;
    Ok(new)
}

/// Leaves out those that the entry filters do not let in.
async fn filter(
    tx: &mut dyn Tx,
    inner: &Inner,
    locked: &Locked,
    candidates: &mut [Candidate<'_>],
) -> EngineResult<()> {
    let mut rules = HashMap::new();
    for candidate in candidates.iter().filter(|candidate| !candidate.sequence.body.entry.is_empty()) {
        let source = candidate.sequence.body.entry.as_str();
        rules.entry(source).or_insert_with(|| inner.rules.of(source));
    }
    if rules.is_empty() {
        return Ok(());
    }
    let anchors: Vec<String> = candidates.iter().map(|candidate| candidate.origin.anchor.clone()).collect();
    let events = tx.events_by_id(&anchors).await?;
    let events: HashMap<&str, &Event> = events.iter().map(|event| (event.id.as_str(), event)).collect();
    for candidate in candidates.iter_mut().filter(|candidate| candidate.skipped.is_none()) {
        let Some(rule) = rules.get(candidate.sequence.body.entry.as_str()) else {
            continue;
        };
        let conversation = locked.conversation(candidate.conversation);
        let conversation = conversation.map(|row| row.attributes.current()).unwrap_or_default();
        let customer = locked.customer(candidate.customer);
        let customer = customer.map(|row| row.attributes.current()).unwrap_or_default();
        let seen = match events.get(candidate.origin.anchor.as_str()) {
            Some(event) => facts(event, &conversation, &customer),
            None => Facts { event: None, conversation: &conversation, customer: &customer, run: None },
        };
        if !rule.as_ref().is_some_and(|rule| rule.eval(&seen)) {
            candidate.skipped = Some(EndReason::Filtered);
        }
    }
    Ok(())
}

/// Leaves out those whose subject had a run of the sequence too recently.
async fn cool_down(tx: &mut dyn Tx, candidates: &mut [Candidate<'_>], now: Timestamp) -> EngineResult<()> {
    let mut wanted: BTreeMap<(String, Whose), Vec<Uuid>> = BTreeMap::new();
    for candidate in candidates.iter().filter(|candidate| candidate.skipped.is_none()) {
        if let Some((_, whose, key)) = candidate.guarded() {
            wanted.entry((candidate.sequence.id.clone(), whose)).or_default().push(key);
        }
    }
    let mut last: HashMap<(String, Uuid), Timestamp> = HashMap::new();
    for ((sequence, whose), keys) in wanted {
        let known = tx.last_runs(&sequence, whose.kind(), &keys).await?;
        last.extend(known.into_iter().map(|(key, at)| ((sequence.clone(), key), at)));
    }
    for candidate in candidates.iter_mut().filter(|candidate| candidate.skipped.is_none()) {
        let Some((rule, _, key)) = candidate.guarded() else {
            continue;
        };
        let place = (candidate.sequence.id.clone(), key);
        let is_too_soon = last.get(&place).is_some_and(|at| candidate.follows_too_soon(rule, *at, now));
        if is_too_soon {
            candidate.skipped = Some(EndReason::CoolDown);
        } else {
            // Of two in one batch the second finds the first.
            last.insert(place, now);
        }
    }
    Ok(())
}

/// Whose runs are asked for; [`NameKind`] with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Conversation,
    Customer,
}

impl Whose {
    fn kind(self) -> NameKind {
        match self {
            Self::Conversation => NameKind::Conversation,
            Self::Customer => NameKind::Customer,
        }
    }
}

impl Candidate<'_> {
    /// Whether a run that began at `last` stands in the way of another.
    fn follows_too_soon(&self, rule: ReentryRule, last: Timestamp, now: Timestamp) -> bool {
        let within = |span: i64| now.since(last) < span;
        match (rule.per, self.attempt) {
            (ReentryPer::Attempt, Some(began)) => last >= began || rule.cool_down.is_some_and(within),
            _ => rule.cool_down.is_none_or(within),
        }
    }

    /// The rule of re-entry, and whose runs it counts.
    fn guarded(&self) -> Option<(ReentryRule, Whose, Uuid)> {
        let rule = self.sequence.body.reentry?;
        let of_customer = || Some((Whose::Customer, self.customer?));
        let (whose, key) = match (rule.per, self.conversation) {
            (ReentryPer::Conversation | ReentryPer::Attempt, Some(conversation)) => {
                (Whose::Conversation, conversation)
            }
            // Whose customer is not known is only known by the conversation.
            (ReentryPer::Customer, Some(conversation)) => {
                of_customer().unwrap_or((Whose::Conversation, conversation))
            }
            (_, None) => of_customer()?,
        };
        Some((rule, whose, key))
    }
}

/// The run of a candidate in a workspace that holds so many of 10,000 out.
fn run_of(inner: &Inner, candidate: &Candidate<'_>, held_out: u16, now: Timestamp) -> RunRow {
    let Candidate { sequence, origin, conversation, customer, since, due_at, owed_by, .. } = candidate;
    let chance = Chance {
        key: &inner.experiment_key,
        experiment: &sequence.id,
        subject: customer.unwrap_or(origin.subject),
    };
    let holdouts = Holdouts::of(&sequence.body, held_out);
    // Kept with the run: a later revision that it goes on in may hold out others.
    let held_share = Some(holdouts.share());
    let starts = candidate.skipped.is_none();
    RunRow {
        id: inner.minter.mint(),
        sequence: sequence.id.clone(),
        sequence_revision: sequence.revision,
        trigger: origin.clone(),
        conversation: *conversation,
        customer: *customer,
        since: *since,
        due_at: *due_at,
        noticed_at: now,
        state: if starts { RunState::Running } else { RunState::Skipped },
        end_reason: candidate.skipped,
        owed_by: *owed_by,
        arm: chance.arm_of(holdouts),
        step: 0,
        progress: Progress {
            outlasts_return: sequence.body.outlasts_return,
            held_share,
            depth: candidate.depth,
            funnel_revision: candidate.funnel_revision,
            begins_at: Some(candidate.begins_at).filter(|at| *at > now),
            ..Progress::default()
        },
        next_at: starts.then_some(candidate.begins_at),
        paused_at: None,
        created_at: now,
        ended_at: (!starts).then_some(now),
    }
}

/// The first line of a run's ledger.
fn first_line(run: &RunRow, candidate: &Candidate<'_>, now: Timestamp) -> RunEvent {
    let reason = &candidate.reason;
    let (kind, detail) = match (candidate.skipped, run.arm) {
        (Some(EndReason::Filtered), _) => {
            ("skipped", format!("{}: {}", words(EndReason::Filtered), candidate.sequence.body.entry))
        }
        (Some(why), _) => ("skipped", words(why).to_owned()),
        (None, Arm::Treated) => ("started", reason.clone()),
        (None, Arm::HeldOut) => {
            ("started", format!("{reason}; held out: every step is taken, and nothing is sent"))
        }
    };
    RunEvent { run: run.id, at: now, kind: kind.into(), step: String::new(), detail }
}
