//! The step function: where a run stands, what is known, and now; to where it stands next and what
//! is to be done there. No clock, no database, no chance.

use jiff::tz::TimeZone;

use super::program::{Op, Way};
use super::progress::Awaits;
use super::quiet::Ruling;
use super::{Action, Program, Progress, Step};
use crate::calendar::{Calendar, Hours, zone_named};
use crate::chance;
use crate::detect::human_span;
use crate::event::Event;
use crate::funnel::compile::facts;
use crate::predicate::{Facts, Predicate};
use crate::time::Timestamp;
use crate::value::{Properties, Value};

mod waits;

/// What a run sees.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The instant of the step.
    pub now: Timestamp,
    /// The event that started the run, if it is still known.
    pub event: Option<&'a Event>,
    /// Attributes of the conversation, now.
    pub conversation: &'a Properties,
    /// Attributes of the customer, now.
    pub customer: &'a Properties,
    /// Events that came since the rule was last asked for which it waits, in the order of the stream.
    pub arrivals: &'a [Event],
    /// The customer's zone.
    pub zone: &'a Zone,
    /// Hours of the funnel's calendar.
    pub business: Option<&'a Calendar>,
    /// Treated or held out, as rules see it.
    pub arm: &'a str,
    /// A number for a step, the same for one customer at all times.
    pub draw: &'a dyn Draw,
}

/// Chance that is none: the same answer for the same question.
pub trait Draw: Sync + std::fmt::Debug {
    /// A number below 10,000 for a step.
    fn of(&self, step: &str) -> u32;
}

/// Stands before the words of a zone in ledger lines and reasons. What is behind it, and behind any
/// colon, is erased with the customer.
pub const BY_ZONE: &str = ", zone ";

/// Begins the line of a rule that an event met: the id of the event, as Rust quotes texts, and after a
/// comma the rule. It is erased with the event.
pub const BY_EVENT: &str = "came: event ";

/// A zone, and who named it.
#[derive(Debug, Clone)]
pub struct Zone {
    /// The zone.
    pub zone: TimeZone,
    /// Its name and who named it, such as `Europe/Berlin (the customer's)`.
    pub words: String,
}

impl Zone {
    /// The customer's, where their attribute names one; else the workspace's.
    pub fn of(customer: Option<&Value>, workspace: &str) -> Self {
        if let Some(Value::Text(name)) = customer
            && let Some(zone) = zone_named(name)
        {
            return Self { zone, words: format!("{name} (the customer's)") };
        }
        let zone = zone_named(workspace).unwrap_or(TimeZone::UTC);
        Self { zone, words: format!("{workspace} (the workspace's)") }
    }
}

/// A line for the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What happened.
    pub kind: &'static str,
    /// Id of the step.
    pub step: String,
    /// The same for people, with what decided it.
    pub detail: String,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'p> {
    /// Nothing until then.
    At(Timestamp),
    /// A message is to be written, of this visit of the step.
    Send(&'p Step, u32),
    /// Nothing: it is through.
    Completed,
    /// Nothing: quiet hours ended it.
    Quiet,
    /// It cannot go on, and why.
    Stuck(String),
}

/// Takes a run on until there is something to do or to wait for.
///
/// `place` and `progress` move on; what was decided on the way is noted. The same arguments give
/// the same answer, so that a step which is taken again after a crash is the same step.
pub fn walk<'p>(
    program: &'p Program,
    place: &mut usize,
    progress: &mut Progress,
    seen: &Situation<'_>,
    notes: &mut Vec<Note>,
) -> Next<'p> {
    let mut walk = Walk { seen, progress, notes };
    while let Some(op) = program.ops.get(*place) {
        match op {
            Op::Jump(to) => *place = *to,
            Op::Case { step, way, when, otherwise } => {
                *place = walk.case(step, way, when).map_or(*otherwise, |()| *place + 1);
            }
            Op::Otherwise { step } => {
                walk.took(step, "otherwise", "no rule held");
                *place += 1;
            }
            Op::Draw { step, ways } => match walk.drawn(step, ways) {
                Some(to) => *place = to,
                None => return Next::Stuck("a split without ways".into()),
            },
            Op::Round { step, times, until, exit } => {
                *place = if walk.begins_round(step, *times, until.as_ref()) { *place + 1 } else { *exit };
            }
            Op::Await { step, rule, within, late } => match walk.awaited(step, rule, *within) {
                Waited::Met => *place += 1,
                Waited::Late => *place = *late,
                Waited::Not(until) => return Next::At(until),
            },
            Op::Do { step, hours } => match walk.carry_out(program, step, hours.as_ref()) {
                Done::Goes => *place += 1,
                Done::Stays(at) => return Next::At(at),
                Done::Leads(next) => {
                    *place += 1;
                    return next;
                }
            },
        }
    }
    Next::Completed
}

struct Walk<'a, 'b> {
    seen: &'b Situation<'a>,
    progress: &'b mut Progress,
    notes: &'b mut Vec<Note>,
}

/// How waiting for a rule stands.
enum Waited {
    Met,
    Late,
    Not(Timestamp),
}

/// How a step without steps inside it stands.
enum Done<'p> {
    /// It is done: on to the next.
    Goes,
    /// The run stays in it until then.
    Stays(Timestamp),
    /// The run is behind it, and this is to be done first.
    Leads(Next<'p>),
}

impl Walk<'_, '_> {
    fn note(&mut self, kind: &'static str, step: &str, detail: String) {
        self.notes.push(Note { kind, step: step.to_owned(), detail });
    }

    fn took(&mut self, step: &str, way: &str, why: &str) {
        self.progress.visit(step);
        self.progress.came_to(step, way);
        self.note("branched", step, format!("took {way}: {why}"));
    }

    fn holds(&self, rule: &Predicate, event: Option<&Event>) -> bool {
        let run = self.progress.facts(self.seen.arm);
        let (conversation, customer) = (self.seen.conversation, self.seen.customer);
        let known = match event {
            Some(event) => facts(event, conversation, customer),
            None => Facts { event: None, conversation, customer, run: None },
        };
        rule.eval(&Facts { run: Some(&run), ..known })
    }

    fn case(&mut self, step: &str, way: &str, when: &Predicate) -> Option<()> {
        self.holds(when, self.seen.event).then(|| self.took(step, way, when.source()))
    }

    fn drawn(&mut self, step: &str, ways: &[Way]) -> Option<usize> {
        let draw = self.seen.draw.of(step);
        let weights = ways.iter().map(|way| way.weight);
        let taken = &ways[chance::way(draw.into(), 10_000, weights)?];
        self.took(step, &taken.id, &format!("{draw} of 10000 by the customer's hash"));
        Some(taken.to)
    }

    fn begins_round(&mut self, step: &str, times: u32, until: Option<&Predicate>) -> bool {
        let begun = self.progress.rounds.get(step).copied().unwrap_or(0);
        let over = until.is_some_and(|rule| self.holds(rule, self.seen.event));
        if over || begun >= times {
            self.progress.rounds.remove(step);
            let why = if over { "its rule holds" } else { "through" };
            self.progress.came_to(step, if over { "until" } else { "times" });
            self.note("repeated", step, format!("{begun} of {times} rounds: {why}"));
            return false;
        }
        self.progress.visit(step);
        self.progress.rounds.insert(step.to_owned(), begun + 1);
        true
    }

    fn awaited(&mut self, step: &str, rule: &Predicate, within: i64) -> Waited {
        let now = self.seen.now;
        let known = match &self.progress.awaits {
            Some(Awaits::Rule { step: awaited, until, .. }) if awaited == step => Some(*until),
            _ => None,
        };
        let until = known.unwrap_or_else(|| now.plus(within));
        if known.is_none() {
            self.progress.visit(step);
        }
        // Events before the wait count for nothing; what can hold without one is asked as it is now.
        let arrivals = if known.is_some() { self.seen.arrivals } else { &[] };
        let met = arrivals.iter().find(|event| event.received_at < until && self.holds(rule, Some(event)));
        let why = match met {
            Some(event) => Some(format!("{BY_EVENT}{:?}, {}", event.id, rule.source())),
            None => (now < until && !rule.reads().event && self.holds(rule, None))
                .then(|| format!("came: {}", rule.source())),
        };
        if let Some(why) = why {
            self.arrive(step, "met", why);
            return Waited::Met;
        }
        if known.is_some() && now >= until {
            self.arrive(step, "timed_out", format!("not within {}: {}", human_span(within), rule.source()));
            return Waited::Late;
        }
        if known.is_none() {
            let heard = Vec::new();
            self.progress.awaits = Some(Awaits::Rule { step: step.into(), since: now, until, heard });
            self.note("waiting", step, format!("waits up to {} for: {}", human_span(within), rule.source()));
        }
        if let Some(Awaits::Rule { heard, .. }) = &mut self.progress.awaits {
            heard.clear();
        }
        Waited::Not(until)
    }

    fn arrive(&mut self, step: &str, outcome: &'static str, why: String) {
        self.progress.awaits = None;
        self.progress.came_to(step, outcome);
        self.note(outcome, step, why);
    }

    fn carry_out<'p>(&mut self, program: &Program, step: &'p Step, hours: Option<&Hours>) -> Done<'p> {
        match &step.action {
            Action::Wait(wait) => self.wait(step, *wait),
            Action::WaitUntil(until) => self.wait_until(step, until, hours),
            Action::End => {
                self.note("ended_here", &step.id, "an end".into());
                Done::Leads(Next::Completed)
            }
            _ => self.leave(program, step),
        }
    }

    /// Asks the quiet hours whether a message may go.
    fn leave<'p>(&mut self, program: &Program, step: &'p Step) -> Done<'p> {
        let now = self.seen.now;
        let since = match self.progress.awaits.take() {
            Some(Awaits::Leave { step: awaited, since }) if awaited == step.id => since,
            _ => now,
        };
        let zone = self.seen.zone;
        // Only people are let rest.
        let quiet = program.quiet().filter(|_| matches!(step.action, Action::SendEmail(_)));
        match quiet.map_or(Ruling::Send, |quiet| quiet.rule(&zone.zone, since, now)) {
            Ruling::Send => Done::Leads(Next::Send(step, self.progress.visit(&step.id))),
            Ruling::Defer(free) => {
                self.progress.awaits = Some(Awaits::Leave { step: step.id.clone(), since });
                let words = format!("quiet hours until {}{BY_ZONE}{}", free.to_rfc3339(), zone.words);
                self.note("deferred", &step.id, words);
                Done::Stays(free)
            }
            Ruling::Skip => {
                self.progress.visit(&step.id);
                self.progress.came_to(&step.id, "quiet_hours");
                self.note("left_out", &step.id, format!("quiet hours{BY_ZONE}{}", zone.words));
                Done::Goes
            }
            Ruling::Abort => {
                self.note("left_out", &step.id, format!("quiet hours{BY_ZONE}{}", zone.words));
                Done::Leads(Next::Quiet)
            }
        }
    }
}

#[cfg(test)]
mod tests;
