//! Waits for a moment. The run stays in the step, and whenever somebody looks the moment is told anew
//! from when the wait began: by the definition, the calendar and the customer's zone as they are now.

use super::super::Step;
use super::super::action::{Wait, WaitUntil};
use super::super::progress::Awaits;
use super::{BY_ZONE, Done, Next, Walk};
use crate::calendar::{Hours, next_time};
use crate::detect::human_span;
use crate::funnel::TimeBasis;
use crate::time::Timestamp;

/// A wait that was begun before.
#[derive(Clone, Copy)]
struct Begun {
    since: Timestamp,
    until: Timestamp,
}

impl Walk<'_, '_> {
    /// The wait that the run is in, if it is in this step's.
    fn begun(&self, step: &Step) -> Option<Begun> {
        match &self.progress.awaits {
            Some(Awaits::Moment { step: awaited, since, until }) if *awaited == step.id => {
                Some(Begun { since: *since, until: *until })
            }
            _ => None,
        }
    }

    /// Lets time pass, or goes on.
    pub(super) fn wait<'p>(&mut self, step: &Step, wait: Wait) -> Done<'p> {
        let begun = self.begun(step);
        let since = begun.map_or(self.seen.now, |begun| begun.since);
        let span = human_span(wait.span);
        let (at, words) = match wait.basis {
            TimeBasis::Wall => (Some(since.plus(wait.span)), format!("waits {span}")),
            TimeBasis::Business => (
                self.seen.business.and_then(|calendar| calendar.add(since, wait.span)),
                format!("waits {span} of business time"),
            ),
        };
        // What cannot be told anew, because the calendar is gone, stays as it was told.
        match at.or(begun.map(|begun| begun.until)) {
            Some(at) => self.stay(step, begun, at, &format!("{words}, until {}", at.to_rfc3339())),
            None => stuck(step, &format!("the calendar does not hold {span}")),
        }
    }

    /// Waits for a moment of the week, or goes on.
    pub(super) fn wait_until<'p>(
        &mut self,
        step: &Step,
        until: &WaitUntil,
        hours: Option<&Hours>,
    ) -> Done<'p> {
        let (begun, now, zone) = (self.begun(step), self.seen.now, self.seen.zone);
        let since = begun.map_or(now, |begun| begun.since);
        let at = match until {
            WaitUntil::Hours(_) => hours.and_then(|hours| {
                let hours = hours.within(zone.zone.clone());
                let at = hours.next_open(since)?;
                // By the clock of another zone they may have come and gone.
                let is_other = begun.is_some_and(|begun| begun.until != at);
                if is_other && at <= now { hours.next_open(now) } else { Some(at) }
            }),
            WaitUntil::Time { minute, days } => next_time(*minute, days, &zone.zone, since),
        };
        match at.or(begun.map(|begun| begun.until)) {
            Some(at) => {
                let words = format!("waits until {}{BY_ZONE}{}", at.to_rfc3339(), zone.words);
                self.stay(step, begun, at, &words)
            }
            None => stuck(step, "that moment never comes"),
        }
    }

    /// Stays in a step until a moment, or goes on when it has come. It is noted when the wait
    /// begins, and when the moment is another one than was told before.
    fn stay<'p>(&mut self, step: &Step, begun: Option<Begun>, at: Timestamp, words: &str) -> Done<'p> {
        if begun.is_none() {
            self.progress.visit(&step.id);
        }
        if at <= self.seen.now {
            self.progress.awaits = None;
            return Done::Goes;
        }
        match begun {
            None => self.note("waiting", &step.id, words.to_owned()),
            Some(begun) if begun.until != at => self.note("waiting", &step.id, format!("now {words}")),
            Some(_) => {}
        }
        let since = begun.map_or(self.seen.now, |begun| begun.since);
        self.progress.awaits = Some(Awaits::Moment { step: step.id.clone(), since, until: at });
        Done::Stays(at)
    }
}

/// A step that can never be done.
fn stuck<'p>(step: &Step, why: &str) -> Done<'p> {
    Done::Leads(Next::Stuck(format!("step {:?}: {why}", step.id)))
}
