//! What the response-time targets of a stage did.

use std::collections::HashMap;

use rekindle_core::Timestamp;
use rekindle_core::funnel::{Funnel, TargetExperiment};
use rekindle_core::metrics::targets::{TargetFigures, Trial};
use rekindle_core::metrics::{Analysis, Period, Shape, Unit};
use rekindle_core::scope::Scope;
use rekindle_core::violation::{Violation, quoted};
use rekindle_ports::Tx;
use rekindle_ports::facts::FactQuery;

use super::{START_TIME, check_period, filled};
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, Invalid};
use crate::funnels::{FunnelView, view};

/// What the beginning of a period is called that gives none.
const PUBLICATION: &str = "the publication of the revision, where there is no startTime";

/// A question about an experiment on a stage's target.
#[derive(Debug, Clone)]
pub struct TargetQuestion {
    /// Funnel id.
    pub funnel: String,
    /// Revision; the newest when absent.
    pub revision: Option<i32>,
    /// Stage id.
    pub stage: String,
    /// Attempts that begin in it count; from the revision's publication on when it has no start.
    pub period: Period,
    /// Instant of the question in event time; now when absent.
    pub as_of: Option<Timestamp>,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct TargetAnswer {
    /// The funnel and the revision that was asked.
    pub view: FunnelView,
    /// Stage id.
    pub stage: String,
    /// What is tried out there.
    pub experiment: TargetExperiment,
    /// Attempts that began in it counted.
    pub period: Period,
    /// Instant of the question.
    pub as_of: Timestamp,
    /// Whether all stored history is in the figures.
    pub complete: bool,
    /// When the cohort is mature, if ever.
    pub mature_at: Option<Timestamp>,
    /// Counts and comparisons.
    pub figures: TargetFigures,
}

impl Engine {
    /// Compares customers with different targets in a stage.
    pub async fn query_target_experiment(
        &self,
        scope: Scope,
        question: TargetQuestion,
    ) -> EngineResult<TargetAnswer> {
        self.read(scope, move |tx, now| {
            let question = question.clone();
            Box::pin(async move { answer(tx, question, now).await })
        })
        .await
    }
}

async fn answer(tx: &mut dyn Tx, question: TargetQuestion, now: Timestamp) -> EngineResult<TargetAnswer> {
    let TargetQuestion { funnel, revision, stage, period, as_of } = question;
    let view = view(tx, &funnel, revision).await?;
    // Before that nobody had a target: what happened then is the same in all arms.
    let (from, start) = match period.from {
        Some(from) => (from, START_TIME),
        None => (view.revision.head.published_at, PUBLICATION),
    };
    let period = Period { from: Some(from), ..period };
    let as_of = as_of.unwrap_or(now);
    let mut wrong = Vec::new();
    check_period(&period, start, &mut wrong);
    let funnel = &view.revision.body;
    let Some(trial) = trial(funnel, &stage, &mut wrong).filter(|_| wrong.is_empty()) else {
        return Err(EngineError::invalid(Invalid::Field, wrong));
    };
    let query = FactQuery {
        revision: view.revision.head.key,
        from: period.from,
        until: period.until,
        as_of,
        filter: None,
        groups: Vec::new(),
    };
    let mut attempts = tx.attempt_facts(&query).await?;
    attempts.retain_mut(|attempt| trial.takes(attempt));
    let silences = tx.silence_facts(&query).await?;
    let (_, complete) = filled(tx, &view).await?;
    let shape = Shape::of(funnel);
    let mature_at = shape.mature_at(&period);
    let analysis = Analysis::new(shape, Unit::Customer, &period, as_of, attempts, &HashMap::new());
    let figures = TargetFigures::of(trial, &analysis, &silences, as_of);
    let experiment = trial.experiment.clone();
    Ok(TargetAnswer { view, stage, experiment, period, as_of, complete, mature_at, figures })
}

/// The stage's experiment; notes a stage that is not there or has none.
fn trial<'a>(funnel: &'a Funnel, stage: &str, wrong: &mut Vec<Violation>) -> Option<Trial<'a>> {
    let place = funnel.stage_index(stage);
    let trial = place.and_then(|place| Trial::at(funnel, place));
    if trial.is_none() {
        let message = match place {
            None => format!("the funnel has no stage {}", quoted(stage)),
            Some(_) => "tries out no targets in this revision".to_owned(),
        };
        wrong.push(Violation { field: "stage".into(), message });
    }
    trial
}
