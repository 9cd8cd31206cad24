//! What a sequence would have done to the silences of the past: nothing is written, nothing sent.

use std::sync::Arc;
use std::time::Instant;

use rekindle_core::Timestamp;
use rekindle_core::funnel::OwedBy;
use rekindle_core::mark::MarkKind;
use rekindle_core::metrics::Period;
use rekindle_core::predicate::{self, Predicate};
use rekindle_core::scope::Scope;
use rekindle_core::sequence::arm::Holdouts;
use rekindle_core::sequence::simulate::{Rules, Simulation, Simulator};
use rekindle_core::sequence::{ReentryPer, Sequence};
use rekindle_core::violation::Violation;
use rekindle_ports::Tx;
use rekindle_ports::rows::FillState;

use self::known::{Hearing, Known, Wanted};
use self::silences::{Pages, Watched};
use super::{PreviewedMessage, definition, drafted, existing};
use crate::engine::{Engine, Inner};
use crate::error::{EngineError, EngineResult, Invalid};
use crate::{budget, funnels};

mod known;
mod samples;
mod silences;

/// Silences whose subjects are read at once: with their events, where steps ask for them, they are what
/// memory holds.
const PAGE: usize = 500;

/// A question about a sequence that was not there.
#[derive(Debug, Clone)]
pub struct SimulationQuestion {
    /// Which sequence.
    pub simulated: Simulated,
    /// Silences that came due in it.
    pub period: Period,
    /// Most messages to write.
    pub samples: usize,
}

/// Which sequence to run.
#[derive(Debug, Clone)]
pub enum Simulated {
    /// The newest revision of one that is stored, whatever its state.
    Stored(String),
    /// One that is not; the id decides who is held out, as it would if it were stored.
    Draft {
        /// What it would be called; may be empty.
        id: String,
        /// What it says.
        body: Box<Sequence>,
    },
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulationAnswer {
    /// Where history ended.
    pub as_of: Timestamp,
    /// Whether all stored history has been folded into the funnel's newest revision.
    pub complete: bool,
    /// The revision of the funnel.
    pub funnel_revision: i32,
    /// Counts.
    pub simulation: Simulation,
    /// The newest first messages of runs, newest first.
    pub messages: Vec<SimulatedMessage>,
}

/// A message that would have gone, written with what is known of its subject now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedMessage {
    /// The client's id of the conversation, where the silence is one of a conversation.
    pub conversation: Option<String>,
    /// The client's id of the customer, if known.
    pub customer: Option<String>,
    /// When it would have gone.
    pub sent_at: Timestamp,
    /// The message.
    pub message: PreviewedMessage,
}

impl Engine {
    /// Runs a sequence over stored history.
    ///
    /// A definition is checked as when it is created; one that starts on warnings is refused,
    /// because warnings that came to nothing are not kept.
    pub async fn simulate_sequence(
        &self,
        scope: Scope,
        question: SimulationQuestion,
    ) -> EngineResult<SimulationAnswer> {
        let (inner, due) = (Arc::clone(&self.inner), budget::due());
        self.read(scope, move |tx, now| {
            let (inner, question) = (Arc::clone(&inner), question.clone());
            Box::pin(async move { answer(tx, &inner, question, due, now).await })
        })
        .await
    }
}

async fn answer(
    tx: &mut dyn Tx,
    inner: &Inner,
    question: SimulationQuestion,
    due: Option<Instant>,
    now: Timestamp,
) -> EngineResult<SimulationAnswer> {
    check_period(&question.period)?;
    let sequence = match question.simulated {
        Simulated::Stored(id) => existing(tx, &id).await?,
        Simulated::Draft { id, body } => drafted(id, *body, now),
    };
    definition::check(tx, &*inner.deliver, &sequence.body, Vec::new()).await?;
    let program = inner.programs.of(&sequence.body);
    let program = program.ok_or_else(|| wrong("steps", "this version cannot walk through them"))?;
    let trigger = &sequence.body.trigger;
    let view = funnels::view(tx, &trigger.funnel, None).await?;
    let stages = &view.revision.body.stages;
    let Some(kind) = trigger.on.silence() else {
        return Err(wrong("trigger", "cannot be simulated: only silences are looked up in history"));
    };
    if kind == MarkKind::Warned {
        return Err(wrong("trigger.on", "cannot be simulated: warnings that came to nothing are not kept"));
    }
    if asks_for_attempts(&sequence.body) {
        return Err(wrong("reentry.per", "cannot be simulated: when attempts began is not looked up"));
    }
    let place = stages.iter().position(|stage| stage.id == trigger.stage);
    let rule = place.and_then(|place| stages[place].rule(kind));
    let (Some(place), Some(rule)) = (place, rule) else {
        return Err(wrong("trigger.stage", "the funnel has no such stage with such a rule"));
    };
    let funnel = inner.revisions.compiled(tx, view.revision.head.key).await?;
    let watched = Watched {
        revision: view.revision.head.key,
        funnel: &funnel,
        place,
        kind,
        is_ours: rule.owed_by == OwedBy::Agent,
        period: question.period,
        as_of: now,
    };
    let workspace = tx.workspace().await?;
    // It was checked above, so that it can be read.
    let entry = Some(sequence.body.entry.as_str()).filter(|rule| !rule.is_empty());
    let entry = entry.and_then(|rule| predicate::parse(rule).ok());
    let at_entry = entry.as_ref().map(Predicate::reads).unwrap_or_default();
    let wanted = Wanted {
        is_ours: watched.is_ours,
        subject: funnel.funnel.subject,
        conversations: program.reads_conversations() || !at_entry.conversation_keys.is_empty(),
        events: match (program.reads_events(), at_entry.event) {
            (true, _) => Hearing::Everything,
            (false, true) => Hearing::Anchors,
            (false, false) => Hearing::Nothing,
        },
        zone: &workspace.body.zone,
    };
    let rules = Rules {
        sequence: &sequence.body,
        program: &program,
        entry: entry.as_ref(),
        limits: &workspace.body.contact_limits,
        business: funnel.calendar(),
        holdouts: Holdouts::of(&sequence.body, workspace.body.holdout),
        key: &inner.experiment_key,
        experiment: &sequence.id,
        as_of: now,
    };
    let mut simulator = Simulator::new(rules, question.samples);
    run_through(tx, &mut simulator, &watched, &wanted, due).await?;
    let (simulation, newest) = simulator.finish();
    Ok(SimulationAnswer {
        as_of: now,
        complete: is_complete(tx, view.revision.head.key).await?,
        funnel_revision: view.revision.head.revision,
        simulation,
        messages: samples::write(tx, &*inner.deliver, &sequence, &newest, now).await?,
    })
}

/// Takes all silences in, as many at once as memory is to hold.
async fn run_through(
    tx: &mut dyn Tx,
    simulator: &mut Simulator<'_>,
    watched: &Watched<'_>,
    wanted: &Wanted<'_>,
    due: Option<Instant>,
) -> EngineResult<()> {
    let (mut pages, mut found) = (Pages::of(watched), Vec::new());
    loop {
        budget::check(due)?;
        let page = pages.turn(tx, due).await?;
        let is_over = page.is_none();
        found.extend(page.unwrap_or_default());
        if is_over || found.len() >= PAGE {
            for some in found.chunks(PAGE) {
                budget::check(due)?;
                let known = Known::of(tx, some, wanted).await?;
                for it in some {
                    simulator.take(&known.candidate(it));
                }
            }
            found.clear();
        }
        if is_over {
            return Ok(());
        }
    }
}

fn asks_for_attempts(sequence: &Sequence) -> bool {
    sequence.reentry.is_some_and(|rule| rule.per == ReentryPer::Attempt)
}

/// Whether the fill of a revision is through.
async fn is_complete(tx: &mut dyn Tx, revision: i64) -> EngineResult<bool> {
    Ok(tx.fill(revision).await?.is_some_and(|fill| fill.state == FillState::Done))
}

fn check_period(period: &Period) -> EngineResult<()> {
    if let (Some(from), Some(until)) = (period.from, period.until)
        && from >= until
    {
        return Err(EngineError::field("period.endTime", "must be later than startTime"));
    }
    Ok(())
}

/// A definition that cannot be simulated.
fn wrong(field: &str, message: &str) -> EngineError {
    let violation = Violation { field: field.into(), message: message.into() };
    EngineError::invalid(Invalid::Sequence, vec![violation])
}
