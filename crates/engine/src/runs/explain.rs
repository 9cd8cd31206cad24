//! Why something was sent, or was not: the ledger told in sentences, in order, each with what
//! decided it.

use std::collections::HashMap;

use rekindle_core::Timestamp;
use rekindle_core::event::Event;
use rekindle_core::mark::{Mark, MarkFate, MarkKey, MarkKind};
use rekindle_core::scope::Scope;
use rekindle_core::sequence::arm::Arm;
use rekindle_ports::Tx;
use rekindle_ports::ledger::{AttemptRow, DeliveryRow, LedgerFilter, RunEvent, RunRow};
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use super::existing;
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, ResourceKind};
use crate::subjects::normal;

mod sentences;

/// Most runs whose stories are told: the newest.
const MOST_RUNS: u32 = 200;

/// What is to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Everything that was noticed and done about a conversation, by the client's id.
    Conversation(String),
    /// A run.
    Run(Uuid),
    /// The run of a delivery.
    Delivery(String),
}

/// A sentence of the story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// When.
    pub at: Timestamp,
    /// The run it is about, if it is about one.
    pub run: Option<Uuid>,
    /// Id of the sequence; empty where it is about none.
    pub sequence: String,
    /// Id of the step; empty where it is about none.
    pub step: String,
    /// Id of the delivery; empty where it is about none.
    pub delivery: String,
    /// What happened or did not happen, and why.
    pub text: String,
    /// What decided it: names and values.
    pub inputs: Vec<(&'static str, String)>,
}

/// Everything that a story is told from.
struct Story {
    marks: Vec<Mark>,
    runs: Vec<RunRow>,
    lines: HashMap<Uuid, Vec<RunEvent>>,
    deliveries: HashMap<String, DeliveryRow>,
    attempts: HashMap<String, Vec<AttemptRow>>,
    /// Events by which customers came back, by the run that they ended.
    returns: HashMap<Uuid, Event>,
}

impl Engine {
    /// Tells what was noticed and done, and for what was not done why not; oldest first.
    pub async fn explain(&self, scope: Scope, subject: Subject) -> EngineResult<Vec<Statement>> {
        self.read(scope, move |tx, _| {
            let subject = subject.clone();
            Box::pin(async move { Ok(Story::of(tx, subject).await?.tell()) })
        })
        .await
    }
}

impl Story {
    async fn of(tx: &mut dyn Tx, subject: Subject) -> EngineResult<Self> {
        let (runs, about) = match subject {
            Subject::Conversation(name) => {
                let key = tx.key_of(NameKind::Conversation, &normal(&name)).await?;
                let key = key.ok_or_else(|| EngineError::not_found(ResourceKind::Conversation, name))?;
                let filter = LedgerFilter { conversation: Some(key), ..LedgerFilter::default() };
                (tx.runs(&filter, MOST_RUNS).await?, Some(key))
            }
            Subject::Run(id) => (vec![existing(tx, id).await?], None),
            Subject::Delivery(id) => {
                let delivery = tx.delivery(&id).await?;
                let delivery = delivery.ok_or_else(|| EngineError::not_found(ResourceKind::Delivery, id))?;
                // A trial belongs to no run.
                (tx.run(delivery.run).await?.into_iter().collect(), None)
            }
        };
        let subjects: Vec<Uuid> = match about {
            Some(key) => vec![key],
            None => runs.iter().map(|run| run.trigger.subject).collect(),
        };
        let mut marks = tx.marks_of(&subjects).await?;
        if about.is_none() {
            let of_runs: Vec<MarkKey> = runs.iter().filter_map(|run| run.trigger.mark()).collect();
            marks.retain(|mark| of_runs.contains(&mark.key));
        }
        let mut story = Self {
            marks,
            lines: HashMap::new(),
            deliveries: HashMap::new(),
            attempts: HashMap::new(),
            returns: returns(tx, &runs).await?,
            runs,
        };
        for run in &story.runs {
            story.lines.insert(run.id, tx.run_log(run.id).await?);
            let of_run = LedgerFilter { run: Some(run.id), ..LedgerFilter::default() };
            for delivery in tx.deliveries(&of_run, MOST_RUNS).await? {
                story.deliveries.insert(delivery.id.clone(), delivery);
            }
        }
        let ids: Vec<String> = story.deliveries.keys().cloned().collect();
        story.attempts = tx.attempts_of(&ids).await?;
        Ok(story)
    }

    fn tell(&self) -> Vec<Statement> {
        let mut told: Vec<Statement> = self.marks.iter().map(of_mark).collect();
        for run in &self.runs {
            told.extend(self.of_run(run));
        }
        // Stable: of one instant the mark comes first, then the run's own order.
        told.sort_by_key(|statement| statement.at);
        told
    }

    /// The lines of a run, with attempts where they belong: at one instant before the line that says
    /// how their message ended.
    fn of_run(&self, run: &RunRow) -> Vec<Statement> {
        let lines = self.lines.get(&run.id).map_or(&[][..], Vec::as_slice);
        let mut placed: Vec<(usize, Statement)> = Vec::new();
        for (place, line) in lines.iter().enumerate() {
            placed.extend(self.of_line(run, line).map(|told| (2 * place + 1, told)));
        }
        for delivery in self.deliveries.values().filter(|delivery| delivery.run == run.id) {
            let settles = |line: &RunEvent| {
                line.kind == "delivery_settled" && line.detail.split(':').next() == Some(&delivery.id)
            };
            let place = lines.iter().position(settles).unwrap_or(lines.len());
            placed.extend(self.of_attempts(run, delivery).map(|told| (2 * place, told)));
        }
        placed.sort_by_key(|(place, told)| (told.at, *place));
        placed.into_iter().map(|(_, told)| told).collect()
    }

    fn of_line(&self, run: &RunRow, line: &RunEvent) -> Option<Statement> {
        let delivery = line.detail.split(':').next().and_then(|id| self.deliveries.get(id));
        let text = sentences::of_line(run, line, delivery)?;
        let mut inputs = Vec::new();
        match line.kind.as_str() {
            "started" | "skipped" => {
                inputs.push(("sequence", self.sequence_of(run)));
                inputs.push(("arm", run.arm.as_str().to_owned()));
                if run.trigger.silence().is_none() {
                    inputs.push(("started by", run.trigger.anchor.clone()));
                }
            }
            "ended" => {
                let event = self.returns.get(&run.id);
                inputs.extend(event.map(|event| ("event", format!("{} ({})", event.id, event.kind))));
            }
            _ => {}
        }
        Some(Statement {
            at: line.at,
            run: Some(run.id),
            sequence: run.sequence.clone(),
            step: line.step.clone(),
            delivery: delivery.map(|delivery| delivery.id.clone()).unwrap_or_default(),
            text,
            inputs,
        })
    }

    /// The sequence in which a run began; without the revision where it went on in another one.
    fn sequence_of(&self, run: &RunRow) -> String {
        let mut lines = self.lines.get(&run.id).into_iter().flatten();
        if lines.any(|line| line.kind == "migrated") {
            return run.sequence.clone();
        }
        format!("{} revision {}", run.sequence, run.sequence_revision)
    }

    fn of_attempts<'a>(
        &'a self,
        run: &'a RunRow,
        delivery: &'a DeliveryRow,
    ) -> impl Iterator<Item = Statement> + 'a {
        let attempts = self.attempts.get(&delivery.id).into_iter().flatten();
        attempts.map(|attempt| Statement {
            at: attempt.started_at,
            run: Some(run.id),
            sequence: run.sequence.clone(),
            step: delivery.step.clone(),
            delivery: delivery.id.clone(),
            text: sentences::of_attempt(delivery, attempt),
            inputs: vec![("destination", delivery.destination.clone())],
        })
    }
}

/// What noticing a silence came to.
fn of_mark(mark: &Mark) -> Statement {
    let word = match mark.key.kind {
        MarkKind::Warned => "about to stall",
        MarkKind::Stalled => "stalled",
        MarkKind::Abandoned => "abandoned",
    };
    let stage = &mark.key.stage;
    let fate = match mark.fate {
        MarkFate::Live => "",
        MarkFate::History => "; that was past already when the event behind it came in, so nothing begins",
        MarkFate::TakenOver => "; it goes on with the run of the silence before",
        MarkFate::Voided => "; a late event took it back later",
    };
    let mut inputs = vec![
        ("rule", mark.reason.clone()),
        ("funnel", format!("{} revision {}", mark.key.funnel, mark.revision)),
        ("due", mark.due_at.to_rfc3339()),
        ("silent since", mark.anchor.at.to_rfc3339()),
        ("last event", mark.key.anchor.clone()),
    ];
    inputs.extend(mark.voided_at.map(|at| ("taken back", at.to_rfc3339())));
    Statement {
        at: mark.noticed_at,
        run: None,
        sequence: String::new(),
        step: String::new(),
        delivery: String::new(),
        text: format!("Noticed as {word} in stage {stage:?}{fate}."),
        inputs,
    }
}

/// The events by which the customers of runs came back, where that ended them.
async fn returns(tx: &mut dyn Tx, runs: &[RunRow]) -> EngineResult<HashMap<Uuid, Event>> {
    let returned: Vec<&RunRow> = runs
        .iter()
        .filter(|run| run.end_reason == Some(rekindle_ports::ledger::EndReason::CustomerReturned))
        .collect();
    let conversations: Vec<Uuid> = returned.iter().filter_map(|run| run.conversation).collect();
    let mut found = HashMap::new();
    if conversations.is_empty() {
        return Ok(found);
    }
    let events = tx.conversation_events(&conversations).await?;
    for run in returned {
        let ended = |(conversation, event): &&(Uuid, Event)| {
            Some(*conversation) == run.conversation
                && Some(event.received_at) == run.ended_at
                && event.is_return()
        };
        if let Some((_, event)) = events.iter().find(ended) {
            found.insert(run.id, event.clone());
        }
    }
    Ok(found)
}

/// Whether nothing of a run leaves the house.
fn is_held_out(run: &RunRow) -> bool {
    run.arm == Arm::HeldOut
}
