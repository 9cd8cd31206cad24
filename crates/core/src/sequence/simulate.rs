//! A sequence run over silences of the past, on a clock of its own: what it would have done.
//!
//! Runs are taken through the same [`walk`](super::walk::walk) as real ones. What differs:
//!
//! * every clock is noticed at its instant, every message is delivered at once, and every event
//!   arrives when it happened;
//! * attributes are as they are now;
//! * nobody is suppressed, and the past has no other messages than the sequence's own;
//! * the runs of a customer take the room that contact limits leave in the order in which their
//!   silences came due, so that a message that waits keeps its later place from all that follow.

use std::collections::HashMap;

use uuid::Uuid;

use super::arm::{Arm, Chance, Holdouts};
use super::walk::Zone;
use super::{ContactLimit, Program, ReentryPer, Sequence};
use crate::calendar::Calendar;
use crate::event::Event;
use crate::funnel::OwedBy;
use crate::funnel::compile::facts;
use crate::predicate::{Facts, Predicate};
use crate::time::Timestamp;
use crate::value::Properties;

mod clock;
mod endings;
mod hourly;

#[cfg(test)]
mod tests;

use clock::{Done, Fate, Running};
pub use endings::left_at;
pub use hourly::{Hourly, MOST_HOURS};

/// What silences are run through. It shows nobody its secret.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    /// The sequence.
    pub sequence: &'a Sequence,
    /// The same, laid out.
    pub program: &'a Program,
    /// Its entry filter, if it has one.
    pub entry: Option<&'a Predicate>,
    /// How often a customer may be written to.
    pub limits: &'a [ContactLimit],
    /// Hours of the funnel's calendar.
    pub business: Option<&'a Calendar>,
    /// Who is held out.
    pub holdouts: Holdouts,
    /// Secret by which customers are given their arms.
    pub key: &'a [u8; 32],
    /// What the experiment is called: the sequence's id.
    pub experiment: &'a str,
    /// Where history ends: a run that waits beyond it is still under way.
    pub as_of: Timestamp,
}

/// A silence that came due, and what is known of its subject.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Conversation or customer.
    pub subject: Uuid,
    /// The conversation, if the subject is one.
    pub conversation: Option<Uuid>,
    /// The customer, if known.
    pub customer: Option<Uuid>,
    /// When the silence began.
    pub since: Timestamp,
    /// When it came due.
    pub due_at: Timestamp,
    /// Who owed the next word.
    pub owed_by: OwedBy,
    /// What ends its run, if anything did.
    pub end: Option<RunEnd>,
    /// The event from which the clock ran, if it was read.
    pub anchor: Option<&'a Event>,
    /// Events that came after it was due and that its run may wait for, in the order of the
    /// stream, each received when it happened.
    pub events: &'a [Event],
    /// Attributes of the conversation, now.
    pub conversation_attributes: &'a Properties,
    /// Attributes of the customer, now.
    pub customer_attributes: &'a Properties,
    /// The customer's zone.
    pub zone: &'a Zone,
}

/// What ends a run before its last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunEnd {
    /// When: nothing is sent at this instant or later.
    pub at: Timestamp,
    /// Whether the customer came back; else the journey left its stage, or our side spoke.
    pub returned: bool,
}

/// What a sequence would have done.
///
/// `eligible` is the sum of `filtered`, `cooling_down`, `held_out`, `came_back`, `moved_on`,
/// `written_to`, `wrote_nothing` and `open`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulation {
    /// Silences that came due.
    pub due: i64,
    /// Those of them in which our side owed the next word.
    pub agent_owed: i64,
    /// Those in which the party owed the next word that the trigger names.
    pub eligible: i64,
    /// Not let in by the entry filter.
    pub filtered: i64,
    /// Not let in because there was a run not long before.
    pub cooling_down: i64,
    /// Runs of customers who are held out, whatever became of them.
    pub held_out: i64,
    /// Runs whose customer came back before their first message.
    pub came_back: i64,
    /// Runs that ended before their first message because the journey left its stage, or our side
    /// spoke.
    pub moved_on: i64,
    /// Runs with a message.
    pub written_to: i64,
    /// Runs that went through their steps without a message.
    pub wrote_nothing: i64,
    /// Runs without a message that still wait for something.
    pub open: i64,
    /// Runs that the customer's return ended after their first message.
    pub came_back_after: i64,
    /// Messages.
    pub messages: i64,
    /// Mails left out: by quiet hours or contact limits.
    pub left_out: i64,
    /// Mails that waited for the end of quiet hours or for room, whatever became of them.
    pub deferred: i64,
    /// Messages by the hour.
    pub hourly: Hourly,
}

/// The first message of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Conversation or customer.
    pub subject: Uuid,
    /// The conversation, if the subject is one.
    pub conversation: Option<Uuid>,
    /// The customer, if known.
    pub customer: Option<Uuid>,
    /// When the silence began.
    pub since: Timestamp,
    /// When it came due.
    pub due_at: Timestamp,
    /// When the message would have gone.
    pub sent_at: Timestamp,
    /// Id of the step that sends it.
    pub step: String,
}

/// Takes silences in one by one and counts what would have become of them.
pub struct Simulator<'a> {
    rules: Rules<'a>,
    counts: Simulation,
    /// Most samples.
    most: usize,
    samples: Vec<Sample>,
    /// Whose silences are taken in just now.
    whose: Option<Uuid>,
    /// Their mails so far that count against limits, oldest first.
    contacts: Vec<Timestamp>,
    /// When their conversations, and they, last had a run.
    begun: HashMap<Uuid, Timestamp>,
}

impl<'a> Simulator<'a> {
    /// A simulator that keeps so many samples.
    pub fn new(rules: Rules<'a>, samples: usize) -> Self {
        Self {
            rules,
            counts: Simulation::default(),
            most: samples,
            samples: Vec::new(),
            whose: None,
            contacts: Vec::new(),
            begun: HashMap::new(),
        }
    }

    /// Takes in the next silence. Those of one customer (those of one subject, where no customer is
    /// known) come one after another, in the order in which they came due.
    pub fn take(&mut self, it: &Candidate<'_>) {
        self.counts.due += 1;
        self.counts.agent_owed += i64::from(it.owed_by == OwedBy::Agent);
        let wanted = self.rules.sequence.trigger.owed_by;
        if wanted != OwedBy::Anyone && wanted != it.owed_by {
            return;
        }
        self.counts.eligible += 1;
        self.turn_to(it.customer.unwrap_or(it.subject));
        if !self.lets_in(it) {
            self.counts.filtered += 1;
        } else if self.is_too_soon(it) {
            self.counts.cooling_down += 1;
        } else {
            self.run(it);
        }
    }

    /// What came of all of them, and the newest first messages, newest first.
    pub fn finish(mut self) -> (Simulation, Vec<Sample>) {
        self.samples.sort_by_key(|sample| std::cmp::Reverse((sample.sent_at, sample.subject)));
        (self.counts, self.samples)
    }

    /// Forgets one customer for the next.
    fn turn_to(&mut self, whose: Uuid) {
        if self.whose != Some(whose) {
            self.whose = Some(whose);
            self.contacts.clear();
            self.begun.clear();
        }
    }

    fn lets_in(&self, it: &Candidate<'_>) -> bool {
        let Some(rule) = self.rules.entry else {
            return true;
        };
        let (conversation, customer) = (it.conversation_attributes, it.customer_attributes);
        rule.eval(&match it.anchor {
            Some(event) => facts(event, conversation, customer),
            None => Facts { event: None, conversation, customer, run: None },
        })
    }

    /// Whether there was a run not long before; takes note of this one if not.
    fn is_too_soon(&mut self, it: &Candidate<'_>) -> bool {
        let Some(rule) = self.rules.sequence.reentry else {
            return false;
        };
        let key = match rule.per {
            ReentryPer::Conversation | ReentryPer::Attempt => it.conversation.or(it.customer),
            ReentryPer::Customer => it.customer.or(it.conversation),
        };
        let Some(key) = key else {
            return false;
        };
        let last = self.begun.get(&key);
        if last.is_some_and(|at| rule.cool_down.is_none_or(|span| it.due_at.since(*at) < span)) {
            return true;
        }
        self.begun.insert(key, it.due_at);
        false
    }

    fn run(&mut self, it: &Candidate<'_>) {
        let chance = Chance {
            key: self.rules.key,
            experiment: self.rules.experiment,
            subject: it.customer.unwrap_or(it.subject),
        };
        let arm = chance.arm_of(self.rules.holdouts);
        let running = Running::new(&self.rules, it, &mut self.contacts, chance, arm);
        let (fate, done) = running.walk_out();
        self.count(arm, fate, &done);
        if arm == Arm::Treated
            && let Some((sent_at, step)) = done.sent.first()
        {
            self.keep(Sample {
                subject: it.subject,
                conversation: it.conversation,
                customer: it.customer,
                since: it.since,
                due_at: it.due_at,
                sent_at: *sent_at,
                step: step.clone(),
            });
        }
    }

    fn count(&mut self, arm: Arm, fate: Fate, done: &Done) {
        let counts = &mut self.counts;
        counts.messages += done.sent.len() as i64;
        counts.left_out += done.left_out;
        counts.deferred += done.deferred;
        for (at, _) in &done.sent {
            counts.hourly.add(*at);
        }
        if arm == Arm::HeldOut {
            counts.held_out += 1;
            return;
        }
        let is_return = matches!(fate, Fate::Ended(end) if end.returned);
        if !done.sent.is_empty() {
            counts.written_to += 1;
            counts.came_back_after += i64::from(is_return);
            return;
        }
        *match fate {
            Fate::Ended(_) if is_return => &mut counts.came_back,
            Fate::Ended(_) => &mut counts.moved_on,
            Fate::Through => &mut counts.wrote_nothing,
            Fate::Open => &mut counts.open,
        } += 1;
    }

    /// Keeps a sample, if it is newer than one of those kept.
    fn keep(&mut self, sample: Sample) {
        self.samples.push(sample);
        if self.samples.len() > self.most {
            let oldest = self.samples.iter().enumerate().min_by_key(|(_, it)| (it.sent_at, it.subject));
            if let Some(place) = oldest.map(|(place, _)| place) {
                self.samples.swap_remove(place);
            }
        }
    }
}
