//! Steps, and steps inside them: their shape, their rules, and that each is reached and none for ever.

use std::collections::BTreeSet;

use super::{
    LONGEST_WAIT, MOST_DEPTH, MOST_ROUNDS, MOST_VISITS, MOST_WAYS, STEPS, check_email, check_escalate,
    check_event, check_webhook,
};
use crate::calendar::Hours;
use crate::funnel::validate::{USER_ID, check_ways, is_user_id};
use crate::predicate;
use crate::sequence::{Action, Branch, Repeat, Sequence, Split, Step, Wait, WaitFor, WaitUntil};
use crate::violation::{Violations, quoted};

/// What a rule can name of a run.
const OF_A_RUN: &str = "run has steps[\"id\"].outcome, steps[\"id\"].visits, variables[\"name\"] and arm";

/// Checks all steps of a sequence.
pub(super) fn check(sequence: &Sequence, v: &mut Violations) {
    let steps = sequence.each_step();
    let count = steps.len();
    v.require(STEPS.contains(&count), "steps", format!("has {count} steps; takes 1 to 100"));
    if count > *STEPS.end() {
        return;
    }
    let visits = visits(&sequence.steps);
    let too_many = format!("a run could come by {visits} steps; at most {MOST_VISITS} are taken");
    v.require(visits <= MOST_VISITS, "steps", too_many);
    let known = steps.iter().map(|(_, step)| step.id.as_str()).collect();
    let calls = steps.iter().filter_map(|(_, step)| match &step.action {
        Action::CallWebhook(call) => Some(call.variables.keys().map(String::as_str)),
        _ => None,
    });
    let mut checks = Checks { known, variables: calls.flatten().collect(), seen: BTreeSet::new() };
    checks.block("steps", &sequence.steps, 1, v);
}

/// Steps that a run comes by at most.
fn visits(steps: &[Step]) -> u64 {
    let of = |step: &Step| {
        let inner = step.action.blocks().into_iter().map(|(_, block)| visits(block));
        match &step.action {
            Action::Repeat(repeat) => u64::from(repeat.times).saturating_mul(inner.sum()),
            _ => inner.max().unwrap_or(0),
        }
    };
    steps.iter().fold(0, |sum, step| sum.saturating_add(1).saturating_add(of(step)))
}

/// Whether a run that enters a block can come out behind it.
fn falls_through(steps: &[Step]) -> bool {
    steps.iter().all(|step| match &step.action {
        Action::End => false,
        // A repetition can be left before its first round.
        Action::Repeat(repeat) => !repeat.until.is_empty() || falls_through(&repeat.steps),
        action => {
            let blocks = action.blocks();
            blocks.is_empty() || blocks.iter().any(|(_, block)| falls_through(block))
        }
    })
}

struct Checks<'a> {
    known: BTreeSet<&'a str>,
    /// Variables that answers give.
    variables: BTreeSet<&'a str>,
    seen: BTreeSet<&'a str>,
}

impl<'a> Checks<'a> {
    fn block(&mut self, path: &str, steps: &'a [Step], depth: usize, v: &mut Violations) {
        for (place, step) in steps.iter().enumerate() {
            v.within(format!("{path}[{place}]"), |v| {
                v.require(falls_through(&steps[..place]), "", "is never reached: the run ends before it");
                v.require(is_user_id(&step.id), "id", USER_ID);
                v.within(step.action.field(), |v| self.action(&step.action, v));
                v.require(self.seen.insert(&step.id), "id", "another step has the same id");
                for (block, inner) in step.action.blocks() {
                    if depth == MOST_DEPTH && !inner.is_empty() {
                        v.add(step.action.field(), format!("steps are at most {MOST_DEPTH} deep"));
                    } else {
                        self.block(&format!("{}.{block}", step.action.field()), inner, depth + 1, v);
                    }
                }
            });
        }
    }

    fn action(&self, action: &Action, v: &mut Violations) {
        match action {
            Action::Wait(Wait { span, basis: _ }) => require_span(*span, "duration", v),
            Action::WaitUntil(until) => check_until(until, v),
            Action::WaitFor(WaitFor { rule, within, then: _, otherwise: _ }) => {
                self.rule(rule, "rule", v);
                require_span(*within, "within", v);
            }
            Action::Branch(branch) => self.branch(branch, v),
            Action::Split(split) => check_split(split, v),
            Action::Repeat(Repeat { times, until, steps }) => {
                let fits = (1..=MOST_ROUNDS).contains(times);
                v.require(fits, "times", format!("takes 1 to {MOST_ROUNDS}"));
                v.require(!steps.is_empty(), "steps", "repeats nothing");
                if !until.is_empty() {
                    self.rule(until, "until", v);
                }
            }
            Action::SendEmail(email) => check_email(email, v),
            Action::CallWebhook(webhook) => check_webhook(webhook, v),
            Action::Escalate(escalate) => check_escalate(escalate, v),
            Action::EmitEvent(event) => check_event(event, v),
            Action::End => {}
        }
    }

    fn branch(&self, branch: &Branch, v: &mut Violations) {
        let count = branch.cases.len();
        v.require((1..=MOST_WAYS).contains(&count), "cases", format!("has {count}; takes 1 to {MOST_WAYS}"));
        for (place, case) in branch.cases.iter().enumerate().take(MOST_WAYS) {
            self.rule(&case.when, &format!("cases[{place}].when"), v);
        }
    }

    fn rule(&self, source: &str, field: &str, v: &mut Violations) {
        if source.trim().is_empty() {
            return v.add(field, "is required");
        }
        let reads = match predicate::parse_in_run(source) {
            Ok(rule) => rule.reads(),
            Err(error) => return v.add(field, error.to_string()),
        };
        for path in &reads.run_paths {
            let keys: Vec<&str> = path.iter().map(String::as_str).collect();
            match keys[..] {
                ["steps", id, "outcome" | "visits"] => {
                    v.require(self.known.contains(id), field, format!("there is no step {}", quoted(id)));
                }
                ["variables", name] => {
                    let unknown = format!("no webhook gives a variable {}", quoted(name));
                    v.require(self.variables.contains(name), field, unknown);
                }
                ["arm"] => {}
                _ => v.add(field, OF_A_RUN),
            }
        }
    }
}

fn check_until(until: &WaitUntil, v: &mut Violations) {
    match until {
        WaitUntil::Hours(hours) => {
            let Some(hours) = Hours::compile(hours, &[], v) else {
                return;
            };
            let opens = hours.within(jiff::tz::TimeZone::UTC).next_open(super::ANY_DAY);
            v.require(opens.is_some(), "hours", "never open within five years");
        }
        WaitUntil::Time { minute, days } => {
            v.require(*minute < 24 * 60, "time", "takes 00:00 to 23:59");
            v.require(days.iter().all(|day| (1..=7).contains(day)), "days", "takes days of the week");
        }
    }
}

fn check_split(split: &Split, v: &mut Violations) {
    let variants = split.variants.iter().map(|variant| (variant.id.as_str(), variant.weight));
    check_ways("variants", variants, MOST_WAYS, v);
}

fn require_span(span: i64, field: &str, v: &mut Violations) {
    let fits = (1..=LONGEST_WAIT).contains(&span);
    v.require(fits, field, "takes a duration above 0 and of at most a year");
}
