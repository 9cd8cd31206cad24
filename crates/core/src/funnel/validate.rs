//! What makes a funnel definition valid; all violations at once.

use std::collections::BTreeSet;

use super::{Exclusion, Funnel, Match, Property, SilenceRule, Stage, StageOrder, TimeBasis};
use crate::predicate;
use crate::time::DAY;
use crate::violation::{Violations, quoted};

mod targets;

/// Fewest and most stages of a funnel.
pub const STAGES: std::ops::RangeInclusive<usize> = 2..=50;
/// Longest duration a definition may name: five years of 366 days, in microseconds.
pub const LONGEST: i64 = 5 * 366 * DAY;
/// Most breakdown properties a funnel may declare.
pub const MOST_BREAKDOWNS: usize = 10;
/// What [`is_user_id`] takes, for people.
pub const USER_ID: &str =
    "takes 1 to 63 of a-z, 0-9 and '-', beginning with a letter and not ending with '-'";
const MOST_MATCHES: usize = 20;
const MOST_EXCLUSIONS: usize = 50;
const MOST_TEXT: usize = 4_096;

/// Checks a definition and notes everything that is wrong with it.
pub fn validate(funnel: &Funnel, v: &mut Violations) {
    let count = funnel.stages.len();
    v.require(STAGES.contains(&count), "stages", format!("has {count} stages; takes 2 to 50"));
    text(&funnel.display_name, 256, "displayName", v);
    text(&funnel.description, MOST_TEXT, "description", v);
    text(&funnel.notes, MOST_TEXT, "notes", v);
    rule(&funnel.rule, "where", v);
    duration(funnel.conversion_window, "conversionWindow", v);
    for (place, stage) in bounded(&funnel.stages) {
        v.within(format!("stages[{place}]"), |v| check_stage(funnel, stage, place, v));
    }
    check_prerequisite_cycles(funnel, v);
    v.require(funnel.exclusions.len() <= MOST_EXCLUSIONS, "exclusions", "more than 50 exclusions");
    for (place, exclusion) in funnel.exclusions.iter().enumerate().take(MOST_EXCLUSIONS) {
        v.within(format!("exclusions[{place}]"), |v| check_exclusion(funnel, exclusion, v));
    }
    matches(&funnel.ended, "ended", v);
    matches(&funnel.reopened, "reopened", v);
    check_breakdowns(&funnel.breakdowns, v);
    check_business_time(funnel, v);
    check_any_order(funnel, v);
    v.require(
        funnel.starts_at.is_none_or(super::Timestamp::is_acceptable),
        "startsTime",
        "outside the years 2000 to 2099",
    );
    duration(Some(funnel.episodes.same_issue_within), "episodeRules.sameIssueWithin", v);
    duration(Some(funnel.episodes.pleasantry_grace), "episodeRules.pleasantryGrace", v);
    texts(&funnel.goals, "goals", v);
    texts(&funnel.personas, "personas", v);
    texts(&funnel.resources, "resources", v);
}

/// The stages that are looked at one by one, with their places: no more than a funnel may have,
/// since they are compared with each other.
fn bounded(stages: &[Stage]) -> impl Iterator<Item = (usize, &Stage)> {
    stages.iter().enumerate().take(*STAGES.end())
}

/// Whether `id` is one that users may choose: `^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`.
pub fn is_user_id(id: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let bytes = id.as_bytes();
    (1..=63).contains(&bytes.len())
        && bytes[0].is_ascii_lowercase()
        && bytes.iter().all(|&b| inner(b))
        && bytes[bytes.len() - 1] != b'-'
}

/// Checks the ways of `field` that customers are sent by weight: how many, their ids and weights.
pub fn check_ways<'a>(
    field: &str,
    ways: impl ExactSizeIterator<Item = (&'a str, u32)>,
    most: usize,
    v: &mut Violations,
) {
    let count = ways.len();
    v.require((2..=most).contains(&count), field, format!("has {count}; takes 2 to {most}"));
    let mut seen = BTreeSet::new();
    for (place, (id, weight)) in ways.enumerate().take(most) {
        v.within(format!("{field}[{place}]"), |v| {
            v.require(is_user_id(id), "id", USER_ID);
            v.require(seen.insert(id), "id", "another one has the same id");
            v.require((1..=10_000).contains(&weight), "weight", "takes 1 to 10000");
        });
    }
}

fn check_stage(funnel: &Funnel, stage: &Stage, place: usize, v: &mut Violations) {
    v.require(is_user_id(&stage.id), "id", USER_ID);
    let first_with_id = funnel.stage_index(&stage.id);
    v.require(first_with_id == Some(place), "id", "another stage has the same id");
    text(&stage.display_name, 256, "displayName", v);
    text(&stage.description, MOST_TEXT, "description", v);
    text(&stage.notes, MOST_TEXT, "notes", v);
    texts(&stage.touchpoints, "touchpoints", v);
    texts(&stage.resources, "resources", v);
    v.require(!stage.enter.is_empty(), "enter", "a stage needs at least one match");
    matches(&stage.enter, "enter", v);
    v.require(!(stage.optional && place == 0), "optional", "the first stage cannot be optional");
    v.require(stage.requires.len() <= *STAGES.end(), "requires", "more than 50 stages");
    for (at, id) in stage.requires.iter().enumerate().take(*STAGES.end()) {
        let field = format!("requires[{at}]");
        v.require(funnel.stage_index(id).is_some(), &field, format!("no stage has the id {}", quoted(id)));
    }
    v.require(
        place != 0 || stage.requires.is_empty(),
        "requires",
        "nothing can be entered before the first stage",
    );
    duration(stage.window, "window", v);
    v.require(
        !(place == 0 && stage.window.is_some()),
        "window",
        "the first stage has no previous one to measure from",
    );
    silence_rule(stage.stall.as_ref(), "stall", v);
    silence_rule(stage.abandon.as_ref(), "abandon", v);
    if let Some(parts) = stage.warn_at {
        v.require((1..1_000).contains(&parts), "warnAt", "takes a fraction above 0 and below 1");
        v.require(stage.stall.is_some(), "warnAt", "warns of a stall: the stage has no stall rule");
    }
    check_silence_order(stage, v);
    if let Some(experiment) = &stage.target_experiment {
        v.within("targetExperiment", |v| targets::check(funnel, stage, place, experiment, v));
    }
}

/// A stall that comes after the abandonment could never be seen.
fn check_silence_order(stage: &Stage, v: &mut Violations) {
    let (Some(stall), Some(abandon)) = (stage.stall, stage.abandon) else {
        return;
    };
    let is_seen = !may_be_compared(&stall, &abandon) || stall.after < abandon.after;
    v.require(is_seen, "abandon.after", "must be longer than stall.after");
}

/// Whether the clocks of two rules run together: which is the longer one says which runs out first.
fn may_be_compared(stall: &SilenceRule, abandon: &SilenceRule) -> bool {
    stall.owed_by == abandon.owed_by && stall.basis == abandon.basis
}

/// Follows the requirements of each stage back to itself, if they lead there.
fn check_prerequisite_cycles(funnel: &Funnel, v: &mut Violations) {
    for (place, stage) in bounded(&funnel.stages) {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&str> = stage.requires.iter().map(String::as_str).collect();
        while let Some(id) = open.pop() {
            if id == stage.id {
                v.add(&format!("stages[{place}].requires"), "leads back to the stage itself");
                break;
            }
            if seen.insert(id)
                && let Some(at) = funnel.stage_index(id)
            {
                open.extend(funnel.stages[at].requires.iter().map(String::as_str));
            }
        }
        check_reachable(funnel, place, &seen, v);
    }
}

/// In an ordered funnel a stage cannot require one that comes after it.
fn check_reachable(funnel: &Funnel, place: usize, needs: &BTreeSet<&str>, v: &mut Violations) {
    if funnel.order == StageOrder::Any {
        return;
    }
    for id in needs {
        if funnel.stage_index(id).is_some_and(|at| at > place) {
            v.add(
                &format!("stages[{place}].requires"),
                format!("needs {}, which comes later in the order", quoted(id)),
            );
        }
    }
}

fn check_exclusion(funnel: &Funnel, exclusion: &Exclusion, v: &mut Violations) {
    one_match(&exclusion.matching, "match", v);
    let from = funnel.stage_index(&exclusion.from_stage);
    let to = funnel.stage_index(&exclusion.to_stage);
    v.require(from.is_some(), "fromStage", "no stage has this id");
    v.require(to.is_some(), "toStage", "no stage has this id");
    if let (Some(from), Some(to)) = (from, to) {
        v.require(from < to, "toStage", "must come after fromStage");
    }
}

fn check_breakdowns(breakdowns: &[Property], v: &mut Violations) {
    v.require(
        breakdowns.len() <= MOST_BREAKDOWNS,
        "breakdowns",
        format!("more than {MOST_BREAKDOWNS} properties"),
    );
    for (place, property) in breakdowns.iter().enumerate().take(MOST_BREAKDOWNS) {
        let field = format!("breakdowns[{place}]");
        let size = property.key.len();
        v.require((1..=128).contains(&size), &format!("{field}.key"), "takes 1 to 128 bytes");
        v.require(!property.key.contains('\0'), &format!("{field}.key"), "contains NUL");
        v.require(!breakdowns[..place].contains(property), &field, "declared twice");
    }
}

fn check_business_time(funnel: &Funnel, v: &mut Violations) {
    if funnel.calendar.is_some() {
        return;
    }
    for (place, stage) in bounded(&funnel.stages) {
        for (name, rule) in [("stall", stage.stall), ("abandon", stage.abandon)] {
            v.require(
                rule.is_none_or(|rule| rule.basis == TimeBasis::Wall),
                &format!("stages[{place}].{name}.basis"),
                "business time needs a calendar",
            );
        }
    }
}

/// Optional stages and exclusions speak of an order, which `ANY` does not have.
fn check_any_order(funnel: &Funnel, v: &mut Violations) {
    if funnel.order != StageOrder::Any {
        return;
    }
    for (place, stage) in bounded(&funnel.stages) {
        let field = format!("stages[{place}].optional");
        v.require(!stage.optional, &field, "has no meaning when stages come in any order");
    }
    v.require(funnel.exclusions.is_empty(), "exclusions", "have no meaning when stages come in any order");
}

fn matches(found: &[Match], field: &str, v: &mut Violations) {
    v.require(found.len() <= MOST_MATCHES, field, format!("more than {MOST_MATCHES} matches"));
    for (place, matching) in found.iter().enumerate().take(MOST_MATCHES) {
        one_match(matching, &format!("{field}[{place}]"), v);
    }
}

fn one_match(matching: &Match, field: &str, v: &mut Violations) {
    v.within(field, |v| {
        v.require(
            !(matching.event_types.is_empty() && matching.rule.trim().is_empty()),
            "",
            "needs event types, a rule, or both",
        );
        v.require(matching.event_types.len() <= 50, "eventTypes", "more than 50 types");
        for kind in matching.event_types.iter().take(50) {
            let printable = !kind.is_empty() && kind.len() <= 128 && !kind.chars().any(char::is_control);
            v.require(printable, "eventTypes", format!("{} is not 1 to 128 printable bytes", quoted(kind)));
        }
        rule(&matching.rule, "where", v);
    });
}

fn rule(source: &str, field: &str, v: &mut Violations) {
    if source.trim().is_empty() {
        return;
    }
    if let Err(error) = predicate::parse(source) {
        v.add(field, error.to_string());
    }
}

fn silence_rule(rule: Option<&SilenceRule>, field: &str, v: &mut Violations) {
    if let Some(rule) = rule {
        duration(Some(rule.after), &format!("{field}.after"), v);
        v.require(rule.after != 0, &format!("{field}.after"), "must be longer than nothing");
    }
}

fn duration(span: Option<i64>, field: &str, v: &mut Violations) {
    v.require(
        span.is_none_or(|span| (0..=LONGEST).contains(&span)),
        field,
        "takes a duration from 0 to five years",
    );
}

fn text(text: &str, most: usize, field: &str, v: &mut Violations) {
    v.require_text(text, most, field);
}

fn texts(list: &[String], field: &str, v: &mut Violations) {
    v.require(list.len() <= 50, field, "more than 50 texts");
    v.require(list.iter().all(|text| text.len() <= 1_024), field, "a text longer than 1024 bytes");
    v.require(!list.iter().any(|text| text.contains('\0')), field, "a text contains NUL");
}
