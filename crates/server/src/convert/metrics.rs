//! Figures as messages.

use rekindle_core::Timestamp;
use rekindle_core::funnel::{Funnel, SubjectKind};
use rekindle_core::metrics::{
    BreakdownSpec, Distribution, Figures, Group, Period, Ratio, StageFigures, TrendPoint, Unit,
};
use rekindle_engine::metrics::{FunnelAnswer, SubjectLine};
use rekindle_proto::v1;

use super::funnel::to_fill;
use super::proportion::{to_difference, to_ratio};
use super::stage::to_property;
use super::{choice, time};
use crate::name::Collection;

/// An answer; `specs` are the breakdowns as they were asked for.
pub fn to_answer(answer: &FunnelAnswer, specs: &[BreakdownSpec]) -> v1::QueryFunnelResponse {
    let funnel = &answer.view.revision.body;
    let as_of = answer.as_of;
    let bucket = |point: &TrendPoint| to_bucket(point, funnel.conversion_window, as_of);
    let breakdowns = specs.iter().zip(&answer.breakdowns);
    v1::QueryFunnelResponse {
        funnel: Collection::Funnels.name(&answer.view.row.id),
        revision: answer.view.revision.head.revision,
        unit: to_unit(answer.unit, funnel.subject).into(),
        as_of_time: Some(time::to_instant(as_of)),
        complete: answer.complete,
        fill: answer.fill.as_ref().map(to_fill),
        figures: Some(to_figures(&answer.figures, funnel, &answer.period, answer.mature_at, as_of)),
        breakdowns: breakdowns.map(|(spec, groups)| to_breakdown(spec, groups, funnel)).collect(),
        trend_best: answer.trend_best.iter().map(bucket).collect(),
        trend_attempts: answer.trend_attempts.iter().map(bucket).collect(),
        comparison: answer
            .comparison
            .as_ref()
            .map(|(period, mature_at, figures)| to_figures(figures, funnel, period, *mature_at, as_of)),
    }
}

/// A subject behind a number.
pub fn to_subject(line: &SubjectLine, collection: Collection) -> v1::FunnelSubject {
    v1::FunnelSubject {
        name: collection.name(&line.name),
        customer: line.customer.as_ref().map(|id| Collection::Customers.name(id)).unwrap_or_default(),
        start_time: line.started_at.map(time::to_instant),
        enter_time: line.entered_at.map(time::to_instant),
        since_time: line.since.map(time::to_instant),
        episode: line.episode.map(|place| place as i32).unwrap_or_default(),
    }
}

/// What was counted, as a message has it: a subject is a conversation or a customer.
pub fn to_unit(unit: Unit, subject: SubjectKind) -> v1::Unit {
    match (unit, subject) {
        (Unit::Subject, SubjectKind::Conversation) => v1::Unit::Conversation,
        (Unit::Subject, SubjectKind::Customer) | (Unit::Customer, _) => v1::Unit::Customer,
        (Unit::Episode, _) => v1::Unit::Episode,
        (Unit::Attempt, _) => v1::Unit::Attempt,
    }
}

/// The collection that the subjects of a unit are in.
pub fn collection_of(unit: Unit, subject: SubjectKind) -> Collection {
    match (unit, subject) {
        (Unit::Customer, _) | (_, SubjectKind::Customer) => Collection::Customers,
        (Unit::Subject | Unit::Episode | Unit::Attempt, SubjectKind::Conversation) => {
            Collection::Conversations
        }
    }
}

fn to_figures(
    figures: &Figures,
    funnel: &Funnel,
    period: &Period,
    mature_at: Option<Timestamp>,
    as_of: Timestamp,
) -> v1::FunnelFigures {
    v1::FunnelFigures {
        period: Some(time::to_period(period)),
        mature: mature_at.is_some_and(|at| at <= as_of),
        mature_time: mature_at.map(time::to_instant),
        stages: to_stages(figures, funnel),
        known: figures.known,
        never_entered: figures.never_entered,
        converted: Some(to_ratio(figures.converted)),
        time_to_convert: Some(to_distribution(&figures.time_to_convert)),
        goals: figures.goals.iter().map(to_completion).collect(),
    }
}

fn to_completion((goal, completion): &(rekindle_core::funnel::Goal, Ratio)) -> v1::GoalCompletion {
    v1::GoalCompletion { goal: choice::to_goal(Some(*goal)).into(), completion: Some(to_ratio(*completion)) }
}

fn to_stages(figures: &Figures, funnel: &Funnel) -> Vec<v1::StageMetrics> {
    let stages = funnel.stages.iter().zip(&figures.stages).enumerate();
    stages.map(|(place, (stage, figures))| to_stage_metrics(place, stage, figures)).collect()
}

fn to_stage_metrics(
    place: usize,
    stage: &rekindle_core::funnel::Stage,
    figures: &StageFigures,
) -> v1::StageMetrics {
    // The first stage has no previous one: it is measured out of itself.
    let itself = Ratio { numerator: figures.reached, denominator: figures.reached };
    let of_previous = if place == 0 { itself } else { figures.of_previous };
    v1::StageMetrics {
        stage: stage.id.clone(),
        display_name: super::path::named(&stage.display_name, &stage.id),
        index: place as i32,
        optional: stage.optional,
        goal: choice::to_goal(stage.goal).into(),
        reached: figures.reached,
        of_first: Some(to_ratio(figures.of_first)),
        of_previous: Some(to_ratio(of_previous)),
        dropped: figures.dropped,
        active: figures.active,
        stalled: figures.stalled,
        abandoned: figures.abandoned,
        ended: figures.ended,
        recovered: figures.recovered,
        converted: figures.converted,
        time_from_previous: Some(to_distribution(&figures.time_from_previous)),
        completed: figures.completed,
    }
}

fn to_breakdown(spec: &BreakdownSpec, groups: &[Group], funnel: &Funnel) -> v1::FunnelBreakdown {
    let group = |group: &Group| v1::BreakdownGroup {
        value: group.value.clone(),
        is_other: group.is_other,
        stages: to_stages(&group.figures, funnel),
        converted: Some(to_ratio(group.figures.converted)),
        converted_difference: group.converted_difference.as_ref().map(to_difference),
    };
    v1::FunnelBreakdown {
        spec: Some(v1::BreakdownSpec {
            property: Some(to_property(&spec.property)),
            top_n: spec.top as i32,
            at_entry: spec.at_entry,
        }),
        groups: groups.iter().map(group).collect(),
    }
}

fn to_bucket(point: &TrendPoint, window: Option<i64>, as_of: Timestamp) -> v1::TrendBucket {
    v1::TrendBucket {
        start_date: point.bucket.start_date.to_string(),
        start_time: Some(time::to_instant(point.bucket.starts_at)),
        entered: point.entered,
        converted: point.converted,
        mature: window.is_some_and(|window| point.bucket.ends_at.plus(window) <= as_of),
    }
}

fn to_distribution(distribution: &Distribution) -> v1::Distribution {
    v1::Distribution {
        n: distribution.n,
        mean_seconds: distribution.mean,
        p50_seconds: distribution.p50,
        p75_seconds: distribution.p75,
        p90_seconds: distribution.p90,
        p95_seconds: distribution.p95,
        min_seconds: distribution.min,
        max_seconds: distribution.max,
    }
}

#[cfg(test)]
mod tests {
    use rekindle_core::funnel::{Property, PropertyScope, Stage};
    use rekindle_core::metrics::proportion::difference;

    use super::*;

    fn two_stages() -> Funnel {
        let stage = |id: &str| Stage { id: id.into(), ..Stage::default() };
        Funnel { stages: vec![stage("asked"), stage("solved")], ..Funnel::default() }
    }

    fn counted(reached: i64, of_previous: i64) -> StageFigures {
        let of_previous = Ratio { numerator: reached, denominator: of_previous };
        StageFigures { reached, of_previous, ..StageFigures::default() }
    }

    #[test]
    fn the_first_stage_is_measured_out_of_itself() {
        let figures = Figures { stages: vec![counted(8, 0), counted(2, 8)], ..Figures::default() };
        let stages = to_stages(&figures, &two_stages());
        let ratios: Vec<_> = stages.iter().map(|it| it.of_previous.expect("always there")).collect();
        assert_eq!(ratios[0], v1::Ratio { numerator: 8, denominator: 8 });
        assert_eq!(ratios[1], v1::Ratio { numerator: 2, denominator: 8 });
        assert_eq!((stages[1].index, stages[1].display_name.as_str()), (1, "solved"));
    }

    #[test]
    fn a_group_is_told_with_what_it_differs_by_from_the_others() {
        let of = |numerator, denominator| Ratio { numerator, denominator };
        let group = |converted_difference| Group {
            value: "loud".into(),
            is_other: false,
            figures: Figures::default(),
            converted_difference,
        };
        let property = Property { scope: PropertyScope::Event, key: "page".into() };
        let spec = BreakdownSpec { property, top: 10, at_entry: false };
        let groups = [group(difference(of(30, 50), of(20, 80))), group(None)];
        let told = to_breakdown(&spec, &groups, &two_stages()).groups;
        let differs = told[0].converted_difference.expect("of something");
        assert!((differs.value - 0.35).abs() < 1e-12 && differs.interval.is_some(), "{differs:?}");
        assert_eq!(told[1].converted_difference, None);
    }

    #[test]
    fn a_cohort_is_mature_from_the_instant_at_which_its_window_ends() {
        let at = Timestamp::EARLIEST.plus(100);
        let figures = |mature_at, as_of| {
            to_figures(&Figures::default(), &two_stages(), &Period::default(), mature_at, as_of).mature
        };
        assert!(figures(Some(at), at));
        assert!(!figures(Some(at), at.plus(-1)));
        assert!(!figures(None, at));
    }

    #[test]
    fn a_subject_is_what_the_funnel_follows() {
        assert_eq!(to_unit(Unit::Subject, SubjectKind::Customer), v1::Unit::Customer);
        assert_eq!(to_unit(Unit::Subject, SubjectKind::Conversation), v1::Unit::Conversation);
        assert_eq!(collection_of(Unit::Customer, SubjectKind::Conversation), Collection::Customers);
        assert_eq!(collection_of(Unit::Episode, SubjectKind::Conversation), Collection::Conversations);
    }
}
