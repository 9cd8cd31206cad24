//! Questions about funnels.

use std::collections::HashMap;

use rekindle_core::Timestamp;
use rekindle_core::funnel::{PropertyScope, SubjectKind};
use rekindle_core::metrics::groups::groups;
use rekindle_core::metrics::positions::Positions;
use rekindle_core::metrics::{
    Analysis, BreakdownSpec, Figures, Group, Period, Shape, TrendPoint, TrendSpec, Unit,
};
use rekindle_core::predicate::{self, Predicate};
use rekindle_core::scope::Scope;
use rekindle_core::violation::Violation;
use rekindle_ports::Tx;
use rekindle_ports::facts::{FactQuery, Reading};
use rekindle_ports::rows::{FillRow, FillState};

use crate::engine::Engine;
use crate::error::{EngineError, EngineResult, Invalid};
use crate::funnels::{FunnelView, view};

mod recovery;
mod subjects;
mod targets;

pub use recovery::{RecoveryAnswer, RecoveryQuestion};
pub use subjects::{SubjectCursor, SubjectLine, SubjectsAnswer, SubjectsQuestion};
pub use targets::{TargetAnswer, TargetQuestion};

/// A question about a funnel.
#[derive(Debug, Clone)]
pub struct FunnelQuestion {
    /// Funnel id.
    pub funnel: String,
    /// Revision; the newest when absent.
    pub revision: Option<i32>,
    /// What is counted once; the funnel's subject when absent.
    pub unit: Option<Unit>,
    /// Entries that count.
    pub period: Period,
    /// Instant of the question in event time; now when absent.
    pub as_of: Option<Timestamp>,
    /// A rule over the entry event and current attributes; empty means all.
    pub filter: String,
    /// Properties to break down by.
    pub breakdowns: Vec<BreakdownSpec>,
    /// How to cut a trend, if one is wanted.
    pub trend: Option<TrendSpec>,
    /// An earlier period to compare with.
    pub compare: Option<Compare>,
}

/// What to compare with.
#[derive(Debug, Clone, Copy)]
pub enum Compare {
    /// A period.
    Period(Period),
    /// The period of the same length just before.
    Previous,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct FunnelAnswer {
    /// The funnel and the revision that was asked.
    pub view: FunnelView,
    /// What was counted once.
    pub unit: Unit,
    /// Entries that counted.
    pub period: Period,
    /// Instant of the question.
    pub as_of: Timestamp,
    /// Whether all stored history is in the figures.
    pub complete: bool,
    /// Progress of the fill.
    pub fill: Option<FillRow>,
    /// When the cohort is mature, if ever.
    pub mature_at: Option<Timestamp>,
    /// The figures.
    pub figures: Figures,
    /// Groups of each breakdown, in the order asked.
    pub breakdowns: Vec<Vec<Group>>,
    /// Trend by best attempt.
    pub trend_best: Vec<TrendPoint>,
    /// Trend by every attempt.
    pub trend_attempts: Vec<TrendPoint>,
    /// The earlier period: which, when mature, and its figures.
    pub comparison: Option<(Period, Option<Timestamp>, Figures)>,
}

/// Most breakdowns of a question.
const MOST_BREAKDOWNS: usize = 5;
/// Most named groups of a breakdown.
const MOST_GROUPS: usize = 1_000;
/// What a period's beginning is called where the question gives it.
const START_TIME: &str = "startTime";

impl Engine {
    /// Answers a question about a funnel from one snapshot.
    pub async fn query_funnel(&self, scope: Scope, question: FunnelQuestion) -> EngineResult<FunnelAnswer> {
        self.read(scope, move |tx, now| {
            let question = question.clone();
            Box::pin(async move { answer(tx, question, now).await })
        })
        .await
    }

    /// Lists the subjects behind a number.
    pub async fn funnel_subjects(
        &self,
        scope: Scope,
        question: SubjectsQuestion,
    ) -> EngineResult<SubjectsAnswer> {
        self.read(scope, move |tx, now| {
            let question = question.clone();
            Box::pin(async move { subjects::list(tx, question, now).await })
        })
        .await
    }
}

/// A question that was checked, with the funnel it is about.
struct Asked {
    view: FunnelView,
    shape: Shape,
    unit: Unit,
    as_of: Timestamp,
    filter: Option<Predicate>,
    readings: Vec<Reading>,
    fill: Option<FillRow>,
    complete: bool,
}

/// Attempts and positions of one period.
struct Facts {
    analysis: Analysis,
    positions: Positions,
}

async fn answer(tx: &mut dyn Tx, question: FunnelQuestion, now: Timestamp) -> EngineResult<FunnelAnswer> {
    let asked = Asked::check(tx, &question, now).await?;
    let Facts { analysis, positions } = asked.facts(tx, question.period).await?;
    let breakdowns = question
        .breakdowns
        .iter()
        .enumerate()
        .map(|(place, spec)| groups(&analysis, &positions, place, spec.top))
        .collect();
    let comparison = match question.compare {
        None => None,
        Some(Compare::Period(period)) => Some(period),
        Some(Compare::Previous) => question.period.previous(),
    };
    let comparison = match comparison {
        None => None,
        Some(period) => {
            let earlier = asked.facts(tx, period).await?;
            Some((period, asked.shape.mature_at(&period), earlier.analysis.figures(&earlier.positions)))
        }
    };
    let trend = question.trend.as_ref();
    Ok(FunnelAnswer {
        unit: asked.unit,
        period: question.period,
        as_of: asked.as_of,
        complete: asked.complete,
        mature_at: asked.shape.mature_at(&question.period),
        figures: analysis.figures(&positions),
        breakdowns,
        trend_best: trend.map(|spec| analysis.trend_best(spec)).unwrap_or_default(),
        trend_attempts: trend.map(|spec| analysis.trend_attempts(spec)).unwrap_or_default(),
        comparison,
        fill: asked.fill,
        view: asked.view,
    })
}

impl Asked {
    async fn check(tx: &mut dyn Tx, question: &FunnelQuestion, now: Timestamp) -> EngineResult<Self> {
        let view = view(tx, &question.funnel, question.revision).await?;
        let funnel = &view.revision.body;
        let mut wrong = Vec::new();
        let filter = match question.filter.trim() {
            "" => None,
            rule => predicate::parse(rule)
                .map_err(|error| wrong.push(Violation { field: "filter".into(), message: error.to_string() }))
                .ok(),
        };
        check_period(&question.period, START_TIME, &mut wrong);
        if question.breakdowns.len() > MOST_BREAKDOWNS {
            let message = format!("more than {MOST_BREAKDOWNS} breakdowns");
            wrong.push(Violation { field: "breakdowns".into(), message });
        }
        let readings = question
            .breakdowns
            .iter()
            .enumerate()
            .map(|(place, spec)| reading(&view, spec, &format!("breakdowns[{place}]"), &mut wrong))
            .collect();
        let unit = question.unit.unwrap_or(Unit::Subject);
        if unit == Unit::Episode && funnel.subject == SubjectKind::Customer {
            let message = "a funnel of customers has no episodes";
            wrong.push(Violation { field: "unit".into(), message: message.into() });
        }
        if matches!(question.compare, Some(Compare::Previous)) && question.period.previous().is_none() {
            let message = "needs a period with both ends";
            wrong.push(Violation { field: "compareTo.previousPeriod".into(), message: message.into() });
        }
        if !wrong.is_empty() {
            return Err(EngineError::invalid(Invalid::Field, wrong));
        }
        let (fill, complete) = filled(tx, &view).await?;
        let shape = Shape::of(funnel);
        Ok(Self { shape, unit, as_of: question.as_of.unwrap_or(now), filter, readings, fill, complete, view })
    }

    /// Reads and cuts the facts of a period.
    async fn facts(&self, tx: &mut dyn Tx, period: Period) -> EngineResult<Facts> {
        let revision = self.view.revision.head.key;
        let query = FactQuery {
            revision,
            from: period.from,
            until: period.until,
            as_of: self.as_of,
            filter: self.filter.clone(),
            groups: self.readings.clone(),
        };
        let attempts = tx.attempt_facts(&query).await?;
        let standings = tx.standing_facts(&query).await?;
        let silences = tx.silence_facts(&query).await?;
        let ends = match self.unit {
            Unit::Episode => tx.episode_ends(revision).await?,
            _ => HashMap::new(),
        };
        let shape = self.shape.clone();
        Ok(Facts {
            positions: Positions::new(&shape, standings, &silences, &period, self.as_of),
            analysis: Analysis::new(shape, self.unit, &period, self.as_of, attempts, &ends),
        })
    }
}

/// Notes a period that ends before it begins: at `start`, in words.
fn check_period(period: &Period, start: &str, wrong: &mut Vec<Violation>) {
    if let (Some(from), Some(until)) = (period.from, period.until)
        && from >= until
    {
        let message = format!("must be later than {start}");
        wrong.push(Violation { field: "period.endTime".into(), message });
    }
}

/// How far a revision is filled, and whether all stored history is in its figures.
async fn filled(tx: &mut dyn Tx, view: &FunnelView) -> EngineResult<(Option<FillRow>, bool)> {
    let fill = tx.fill(view.revision.head.key).await?;
    let is_done = fill.as_ref().is_some_and(|fill| fill.state == FillState::Done);
    Ok((fill, is_done && view.revision.head.is_latest))
}

/// How a breakdown reads its property.
fn reading(view: &FunnelView, spec: &BreakdownSpec, field: &str, wrong: &mut Vec<Violation>) -> Reading {
    let declared = view.revision.body.breakdowns.iter().position(|property| *property == spec.property);
    let mut add =
        |below: &str, message: String| wrong.push(Violation { field: format!("{field}.{below}"), message });
    if spec.top > MOST_GROUPS {
        add("topN", format!("more than {MOST_GROUPS}"));
    }
    if spec.property.key.is_empty() || spec.property.key.len() > 128 {
        add("property.key", "takes 1 to 128 bytes".into());
    }
    match (spec.property.scope, declared) {
        (PropertyScope::Event, Some(place)) => Reading::Declared(place),
        (PropertyScope::Event, None) => Reading::OnEntryEvent(spec.property.clone()),
        (_, Some(place)) if spec.at_entry => Reading::Declared(place),
        (_, None) if spec.at_entry => {
            add("atEntry", "the funnel does not declare this attribute, so it was not kept at entry".into());
            Reading::Now(spec.property.clone())
        }
        (PropertyScope::Conversation, _) if view.revision.body.subject == SubjectKind::Customer => {
            add("property.scope", "the subject of this funnel is a customer, not one conversation".into());
            Reading::Now(spec.property.clone())
        }
        _ => Reading::Now(spec.property.clone()),
    }
}
