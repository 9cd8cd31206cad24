//! Who is taken into a sequence: for each mark and each sequence that it concerns a run, or a run
//! that never began and says why.

use std::collections::{BTreeMap, HashMap, HashSet};

use rekindle_core::Timestamp;
use rekindle_core::event::Event;
use rekindle_core::fold::Silence;
use rekindle_core::funnel::OwedBy;
use rekindle_core::funnel::compile::facts;
use rekindle_core::mark::{Mark, MarkFate};
use rekindle_core::predicate::{self, Facts};
use rekindle_core::sequence::arm::{Arm, Chance};
use rekindle_core::sequence::{Progress, ReentryPer, ReentryRule, SequenceState};
use rekindle_ports::Tx;
use rekindle_ports::ledger::{EndReason, RunEvent, RunRow, RunState};
use rekindle_ports::resources::SequenceRow;
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use super::locks::Locked;
use crate::engine::Inner;
use crate::error::EngineResult;
use crate::runs::ending::words;

/// A silence that was marked.
pub(super) struct Noticed {
    pub mark: Mark,
    pub silence: Silence,
    /// Whose silence the rule measures.
    pub owed_by: OwedBy,
}

/// A sequence that a mark concerns.
struct Candidate<'a> {
    sequence: &'a SequenceRow,
    mark: &'a Mark,
    silence: &'a Silence,
    owed_by: OwedBy,
    /// Why its run does not begin.
    skipped: Option<EndReason>,
}

/// Starts the runs that are bound to marks, and records those that were not to be. The caller
/// holds the locks of the subjects.
pub(super) async fn enroll(
    tx: &mut dyn Tx,
    inner: &Inner,
    locked: &Locked,
    marks: &[Noticed],
    now: Timestamp,
) -> EngineResult<()> {
    let mut bound: BTreeMap<&str, Vec<SequenceRow>> = BTreeMap::new();
    for Noticed { mark, .. } in marks {
        let funnel = mark.key.funnel.as_str();
        if !bound.contains_key(funnel) {
            bound.insert(funnel, tx.sequences_of(funnel).await?);
        }
    }
    let mut candidates = Vec::new();
    for Noticed { mark, silence, owed_by } in marks {
        let sequences = bound.get(mark.key.funnel.as_str()).into_iter().flatten();
        for sequence in sequences.filter(|sequence| concerns(sequence, mark)) {
            let (owed_by, skipped) = (*owed_by, too_late(sequence, mark, now));
            candidates.push(Candidate { sequence, mark, silence, owed_by, skipped });
        }
    }
    filter(tx, locked, &mut candidates).await?;
    cool_down(tx, &mut candidates, now).await?;
    let runs: Vec<RunRow> = candidates.iter().map(|candidate| run_of(inner, candidate, now)).collect();
    let new: HashSet<Uuid> = tx.insert_runs(&runs).await?.into_iter().collect();
    let lines: Vec<RunEvent> = runs
        .iter()
        .zip(&candidates)
        .filter(|(run, _)| new.contains(&run.id))
        .map(|(run, candidate)| first_line(run, candidate, now))
        .collect();
    Ok(tx.log_run(&lines).await?)
}

/// Whether a mark is of the kind that a sequence is there for.
fn concerns(sequence: &SequenceRow, mark: &Mark) -> bool {
    let trigger = &sequence.body.trigger;
    let is_open = match sequence.state {
        SequenceState::Active => true,
        // Of history nothing would have begun anyway.
        SequenceState::Paused => mark.fate != MarkFate::History,
        SequenceState::Draft | SequenceState::Archived => false,
    };
    is_open
        && trigger.stage == mark.key.stage
        && trigger.on == mark.key.kind
        && (trigger.owed_by == OwedBy::Anyone || trigger.owed_by == mark.owed_by)
}

/// Why a run does not begin whose time has passed, or not yet come.
fn too_late(sequence: &SequenceRow, mark: &Mark, now: Timestamp) -> Option<EndReason> {
    if mark.fate == MarkFate::History {
        return Some(EndReason::History);
    }
    if sequence.state == SequenceState::Paused {
        return Some(EndReason::Paused);
    }
    if sequence.started_at.is_some_and(|at| mark.due_at < at) {
        return Some(EndReason::NotStarted);
    }
    (now.since(mark.due_at) > sequence.body.max_delay).then_some(EndReason::Stale)
}

/// Leaves out those that the entry filters do not let in.
async fn filter(tx: &mut dyn Tx, locked: &Locked, candidates: &mut [Candidate<'_>]) -> EngineResult<()> {
    let mut rules = HashMap::new();
    for candidate in candidates.iter().filter(|candidate| !candidate.sequence.body.entry.is_empty()) {
        let source = candidate.sequence.body.entry.as_str();
        rules.entry(source).or_insert_with(|| predicate::parse(source).ok());
    }
    if rules.is_empty() {
        return Ok(());
    }
    let anchors: Vec<String> = candidates.iter().map(|candidate| candidate.mark.anchor.id.clone()).collect();
    let events = tx.events_by_id(&anchors).await?;
    let events: HashMap<&str, &Event> = events.iter().map(|event| (event.id.as_str(), event)).collect();
    for candidate in candidates.iter_mut().filter(|candidate| candidate.skipped.is_none()) {
        let Some(rule) = rules.get(candidate.sequence.body.entry.as_str()) else {
            continue;
        };
        let mark = candidate.mark;
        let conversation = locked.conversation(mark.conversation);
        let conversation = conversation.map(|row| row.attributes.current()).unwrap_or_default();
        let customer = locked.customer(mark.customer);
        let customer = customer.map(|row| row.attributes.current()).unwrap_or_default();
        let seen = match events.get(mark.anchor.id.as_str()) {
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
        let is_too_soon =
            last.get(&place).is_some_and(|at| rule.cool_down.is_none_or(|span| now.since(*at) < span));
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
    /// The rule of re-entry, and whose runs it counts.
    fn guarded(&self) -> Option<(ReentryRule, Whose, Uuid)> {
        let rule = self.sequence.body.reentry?;
        let of_customer = || Some((Whose::Customer, self.mark.customer?));
        let (whose, key) = match (rule.per, self.mark.conversation) {
            (ReentryPer::Conversation, Some(conversation)) => (Whose::Conversation, conversation),
            // Whose customer is not known is only known by the conversation.
            (ReentryPer::Customer, Some(conversation)) => {
                of_customer().unwrap_or((Whose::Conversation, conversation))
            }
            (_, None) => of_customer()?,
        };
        Some((rule, whose, key))
    }
}

fn run_of(inner: &Inner, candidate: &Candidate<'_>, now: Timestamp) -> RunRow {
    let Candidate { sequence, mark, silence, owed_by, skipped } = candidate;
    let chance = Chance {
        key: &inner.experiment_key,
        experiment: &sequence.id,
        subject: mark.customer.unwrap_or(mark.key.subject),
    };
    let starts = skipped.is_none();
    RunRow {
        id: inner.minter.mint(),
        sequence: sequence.id.clone(),
        sequence_revision: sequence.revision,
        trigger: mark.key.clone(),
        conversation: mark.conversation,
        customer: mark.customer,
        since: silence.since(),
        due_at: mark.due_at,
        noticed_at: now,
        state: if starts { RunState::Running } else { RunState::Skipped },
        end_reason: *skipped,
        owed_by: *owed_by,
        arm: chance.arm(sequence.body.holdout),
        step: 0,
        progress: Progress::default(),
        next_at: starts.then_some(now),
        created_at: now,
        ended_at: (!starts).then_some(now),
    }
}

/// The first line of a run's ledger.
fn first_line(run: &RunRow, candidate: &Candidate<'_>, now: Timestamp) -> RunEvent {
    let reason = &candidate.mark.reason;
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
