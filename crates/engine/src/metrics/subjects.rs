//! The subjects behind a number.

use std::collections::{HashMap, HashSet};

use rekindle_core::Timestamp;
use rekindle_core::funnel::SubjectKind;
use rekindle_core::metrics::analysis::UnitKey;
use rekindle_core::metrics::groups::largest;
use rekindle_core::metrics::positions::Position;
use rekindle_core::metrics::{AttemptFact, BreakdownSpec, Figure, Period, Unit};
use rekindle_core::violation::quoted;
use rekindle_ports::Tx;
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use super::{Asked, Facts, FunnelQuestion};
use crate::error::{EngineError, EngineResult};

/// A question for the subjects behind a number.
#[derive(Debug, Clone)]
pub struct SubjectsQuestion {
    /// The question whose number it is; trend and comparison are not read.
    pub base: FunnelQuestion,
    /// Stage id; the first stage when absent.
    pub stage: Option<String>,
    /// Which number.
    pub figure: Figure,
    /// A group of a breakdown: property, value, and whether it is `$other`.
    pub group: Option<(BreakdownSpec, String, bool)>,
    /// A step of a trend: units whose best attempt starts inside.
    pub bucket: Option<Period>,
    /// Continue after this line.
    pub after: Option<SubjectCursor>,
    /// Most lines.
    pub limit: u32,
}

/// A place in the list of subjects.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubjectCursor {
    /// Name of the subject.
    pub name: String,
    /// Episode or number of the attempt.
    pub part: usize,
}

/// A page of subjects.
#[derive(Debug, Clone)]
pub struct SubjectsAnswer {
    /// The lines, in order of name.
    pub subjects: Vec<SubjectLine>,
    /// Where the next page begins.
    pub next: Option<SubjectCursor>,
    /// Instant of the question.
    pub as_of: Timestamp,
    /// Whether all stored history is in it.
    pub complete: bool,
    /// What is counted once.
    pub unit: Unit,
    /// What the names name.
    pub subject: SubjectKind,
}

/// One subject behind a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectLine {
    /// The client's id.
    pub name: String,
    /// The client's id of the customer.
    pub customer: Option<String>,
    /// Start of the attempt that counts.
    pub started_at: Option<Timestamp>,
    /// Entry of the stage.
    pub entered_at: Option<Timestamp>,
    /// Begin of the silence that counts.
    pub since: Option<Timestamp>,
    /// Episode, where episodes are counted.
    pub episode: Option<u32>,
}

/// Lists them, page by page, in order of name.
pub(super) async fn list(
    tx: &mut dyn Tx,
    mut question: SubjectsQuestion,
    now: Timestamp,
) -> EngineResult<SubjectsAnswer> {
    question.base.breakdowns = question.group.iter().map(|(spec, ..)| spec.clone()).collect();
    let asked = Asked::check(tx, &question.base, now).await?;
    let funnel = &asked.view.revision.body;
    let stage = question.stage.as_deref().unwrap_or(&funnel.stages[0].id);
    let Some(place) = funnel.stage_index(stage) else {
        return Err(EngineError::field("stage", format!("the funnel has no stage {}", quoted(stage))));
    };
    let mut facts = asked.facts(tx, question.base.period).await?;
    facts.narrow(&question);
    let found = facts.behind(question.figure, place);
    let names = Names::load(tx, &asked, &found).await?;
    let mut lines: Vec<(SubjectCursor, SubjectLine)> =
        found.iter().filter_map(|found| names.line(&asked, found)).collect();
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    let start =
        question.after.as_ref().map_or(0, |after| lines.partition_point(|(cursor, _)| cursor <= after));
    let mut page: Vec<_> = lines.into_iter().skip(start).take(question.limit as usize + 1).collect();
    let more = page.len() > question.limit as usize;
    page.truncate(question.limit as usize);
    Ok(SubjectsAnswer {
        next: page.last().filter(|_| more).map(|(cursor, _)| cursor.clone()),
        subjects: page.into_iter().map(|(_, line)| line).collect(),
        as_of: asked.as_of,
        complete: asked.complete,
        unit: asked.unit,
        subject: asked.shape.subject,
    })
}

/// One unit behind a number.
struct Found {
    subject: Uuid,
    customer: Option<Uuid>,
    part: usize,
    started_at: Option<Timestamp>,
    entered_at: Option<Timestamp>,
    since: Option<Timestamp>,
}

impl Facts {
    /// Keeps one group of a breakdown and one step of a trend.
    fn narrow(&mut self, question: &SubjectsQuestion) {
        if let Some((spec, value, is_other)) = &question.group {
            let named: HashSet<String> = largest(&self.analysis, 0, spec.top).into_iter().collect();
            self.analysis.retain(|attempt: &AttemptFact| match is_other {
                true => !named.contains(&attempt.values[0]),
                false => attempt.values[0] == *value,
            });
        }
        if let Some(bucket) = &question.bucket {
            self.analysis.retain(|attempt| bucket.contains(attempt.start.at));
        }
        if question.group.is_some() || question.bucket.is_some() {
            self.positions = self.positions.of(&self.analysis.subjects());
        }
    }

    fn behind(&self, figure: Figure, place: usize) -> Vec<Found> {
        if let Some(positions) = self.positions.behind(figure, place) {
            return positions.into_iter().map(Found::at).collect();
        }
        let found = self.analysis.behind(figure, place);
        found.into_iter().map(|(unit, attempt)| Found::by(unit, attempt, place)).collect()
    }
}

impl Found {
    fn at(position: &Position) -> Self {
        Self {
            subject: position.subject,
            customer: position.customer,
            part: 0,
            started_at: position.standing.entered_at,
            entered_at: position.standing.moved_at,
            since: position.quiet_since,
        }
    }

    fn by(unit: &UnitKey, attempt: &AttemptFact, place: usize) -> Self {
        Self {
            subject: unit.subject,
            customer: attempt.customer,
            part: unit.part,
            started_at: Some(attempt.start.at),
            entered_at: attempt.entered[place],
            since: None,
        }
    }
}

/// Names of the subjects behind a number.
struct Names {
    subjects: HashMap<Uuid, String>,
    customers: HashMap<Uuid, String>,
}

impl Names {
    async fn load(tx: &mut dyn Tx, asked: &Asked, found: &[Found]) -> EngineResult<Self> {
        let kind = match (asked.shape.subject, asked.unit) {
            (SubjectKind::Customer, _) | (_, Unit::Customer) => NameKind::Customer,
            (SubjectKind::Conversation, _) => NameKind::Conversation,
        };
        let keys: Vec<Uuid> = found.iter().map(|found| found.subject).collect();
        let mut subjects = tx.names(kind, &keys).await?;
        let keys: HashSet<Uuid> = found.iter().filter_map(|found| found.customer).collect();
        let keys: Vec<Uuid> = keys.into_iter().collect();
        let customers = tx.names(NameKind::Customer, &keys).await?;
        if kind == NameKind::Customer {
            // A conversation without a customer counts as itself.
            let unnamed: Vec<Uuid> =
                found.iter().map(|found| found.subject).filter(|key| !subjects.contains_key(key)).collect();
            subjects.extend(tx.names(NameKind::Conversation, &unnamed).await?);
        }
        Ok(Self { subjects, customers })
    }

    fn line(&self, asked: &Asked, found: &Found) -> Option<(SubjectCursor, SubjectLine)> {
        let name = self.subjects.get(&found.subject)?.clone();
        let line = SubjectLine {
            name: name.clone(),
            customer: found.customer.and_then(|key| self.customers.get(&key)).cloned(),
            started_at: found.started_at,
            entered_at: found.entered_at,
            since: found.since,
            episode: (asked.unit == Unit::Episode).then_some(found.part as u32),
        };
        Some((SubjectCursor { name, part: found.part }, line))
    }
}
