//! Stages, matches, silence rules, exclusions and properties.

use rekindle_core::funnel::{
    Exclusion, Match, Property, PropertyScope, SilenceRule, Stage, TargetArm, TargetExperiment,
};
use rekindle_core::violation::Violations;
use rekindle_proto::v1;

use super::path::{each, named, within};
use super::step::count;
use super::{choice, time};

/// Reads a stage. Its name for people is its id unless it says otherwise.
pub fn stage(message: &v1::Stage, v: &mut Violations) -> Stage {
    Stage {
        id: message.id.clone(),
        display_name: named(&message.display_name, &message.id),
        description: message.description.clone(),
        enter: each(&message.enter, "enter", v, |it, _| matching(it)),
        optional: message.optional,
        requires: message.requires.clone(),
        window: message.window.as_ref().and_then(|span| time::duration(span, "window", v)),
        goal: choice::goal(message.goal, "goal", v),
        stall: rule(message.stall.as_ref(), "stall", v),
        warn_at: warn_at(message.warn_at, v),
        target_experiment: {
            let message = message.target_experiment.as_ref();
            message.map(|message| within(v, "targetExperiment", |v| experiment(message, v)))
        },
        abandon: rule(message.abandon.as_ref(), "abandon", v),
        touchpoints: message.touchpoints.clone(),
        resources: message.resources.clone(),
        notes: message.notes.clone(),
    }
}

/// A stage as a message.
pub fn to_stage(stage: &Stage) -> v1::Stage {
    v1::Stage {
        id: stage.id.clone(),
        display_name: stage.display_name.clone(),
        description: stage.description.clone(),
        enter: stage.enter.iter().map(to_match).collect(),
        optional: stage.optional,
        requires: stage.requires.clone(),
        window: stage.window.map(time::to_duration),
        goal: choice::to_goal(stage.goal).into(),
        stall: stage.stall.as_ref().map(to_rule),
        warn_at: stage.warn_at.map(|parts| f64::from(parts) / 1_000.0).unwrap_or_default(),
        target_experiment: stage.target_experiment.as_ref().map(to_experiment),
        abandon: stage.abandon.as_ref().map(to_rule),
        touchpoints: stage.touchpoints.clone(),
        resources: stage.resources.clone(),
        notes: stage.notes.clone(),
    }
}

/// Reads which events count.
pub fn matching(message: &v1::Match) -> Match {
    Match { event_types: message.event_types.iter().cloned().collect(), rule: message.r#where.clone() }
}

/// Which events count, as a message.
pub fn to_match(matching: &Match) -> v1::Match {
    v1::Match { event_types: matching.event_types.iter().cloned().collect(), r#where: matching.rule.clone() }
}

/// Reads an exclusion; notes one that does not say which events.
pub fn exclusion(message: &v1::Exclusion, v: &mut Violations) -> Exclusion {
    v.require(message.r#match.is_some(), "match", "is required");
    Exclusion {
        matching: message.r#match.as_ref().map(matching).unwrap_or_default(),
        from_stage: message.from_stage.clone(),
        to_stage: message.to_stage.clone(),
    }
}

/// An exclusion as a message.
pub fn to_exclusion(exclusion: &Exclusion) -> v1::Exclusion {
    v1::Exclusion {
        r#match: Some(to_match(&exclusion.matching)),
        from_stage: exclusion.from_stage.clone(),
        to_stage: exclusion.to_stage.clone(),
    }
}

/// Reads a property; notes one that does not say where it is found.
pub fn property(message: &v1::Property, v: &mut Violations) -> Property {
    let scope = choice::property_scope(message.scope, "scope", v);
    Property {
        // With a violation noted, what stands here is never used.
        scope: scope.unwrap_or(PropertyScope::Event),
        key: message.key.clone(),
    }
}

/// A property as a message.
pub fn to_property(property: &Property) -> v1::Property {
    v1::Property { scope: choice::to_property_scope(property.scope).into(), key: property.key.clone() }
}

fn rule(message: Option<&v1::SilenceRule>, field: &str, v: &mut Violations) -> Option<SilenceRule> {
    let message = message?;
    Some(within(v, field, |v| SilenceRule {
        after: required_span(message.after.as_ref(), "after", v),
        basis: choice::basis(message.basis, "basis", v),
        owed_by: choice::owed_by(message.owed_by, "owedBy", v),
    }))
}

fn experiment(message: &v1::TargetExperiment, v: &mut Violations) -> TargetExperiment {
    TargetExperiment { id: message.id.clone(), arms: each(&message.arms, "arms", v, arm) }
}

fn arm(message: &v1::TargetArm, v: &mut Violations) -> TargetArm {
    TargetArm {
        id: message.id.clone(),
        after: required_span(message.after.as_ref(), "after", v),
        weight: count(message.weight, "weight", v),
    }
}

fn to_experiment(experiment: &TargetExperiment) -> v1::TargetExperiment {
    let arms = experiment.arms.iter().map(|arm| v1::TargetArm {
        id: arm.id.clone(),
        after: Some(time::to_duration(arm.after)),
        weight: arm.weight as i32,
    });
    v1::TargetExperiment { id: experiment.id.clone(), arms: arms.collect() }
}

/// A duration that must be there; 0 where it is not, or is none, and a violation.
fn required_span(span: Option<&pbjson_types::Duration>, field: &str, v: &mut Violations) -> i64 {
    v.require(span.is_some(), field, "is required");
    span.and_then(|span| time::duration(span, field, v)).unwrap_or_default()
}

/// A fraction as thousandths; none where it is 0.
fn warn_at(fraction: f64, v: &mut Violations) -> Option<u16> {
    let parts = fraction * 1_000.0;
    let fits = (0.0..1.0).contains(&fraction) && (parts - parts.round()).abs() < 1e-6;
    v.require(fits, "warnAt", "takes a fraction below 1 in steps of 0.001");
    (fits && fraction > 0.0).then(|| parts.round() as u16)
}

fn to_rule(rule: &SilenceRule) -> v1::SilenceRule {
    v1::SilenceRule {
        after: Some(time::to_duration(rule.after)),
        basis: choice::to_basis(rule.basis).into(),
        owed_by: choice::to_owed_by(rule.owed_by).into(),
    }
}
