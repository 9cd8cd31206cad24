//! One run on its own clock, from the instant at which its silence came due to its end.

use super::{Candidate, Rules, RunEnd};
use crate::sequence::arm::{Arm, Chance};
use crate::sequence::contact::{LimitPolicy, WORTH_SENDING, room_at};
use crate::sequence::progress::Awaits;
use crate::sequence::quiet::Ruling;
use crate::sequence::walk::{Next, Note, Situation, walk};
use crate::sequence::{Action, MessageClass, Progress, Step};
use crate::time::Timestamp;

/// What became of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was ended.
    Ended(RunEnd),
    /// It went through its steps, or quiet hours ended it.
    Through,
    /// History ends before it does.
    Open,
}

/// What it did.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Messages: when, and of which step.
    pub sent: Vec<(Timestamp, String)>,
    /// Mails that were left out.
    pub left_out: i64,
    /// Mails that waited.
    pub deferred: i64,
}

/// A run under way.
pub(super) struct Running<'r> {
    rules: &'r Rules<'r>,
    it: &'r Candidate<'r>,
    /// What counts against the limits of its customer.
    contacts: &'r mut Vec<Timestamp>,
    chance: Chance<'r>,
    arm: Arm,
    now: Timestamp,
    place: usize,
    progress: Progress,
    /// Events that had come by `now`.
    heard: usize,
    /// Whether the mail at hand has waited.
    has_waited: bool,
    done: Done,
}

/// Whether a message goes.
enum Leave {
    Goes,
    /// Not at all; the word by which rules know it.
    LeftOut(&'static str),
    /// The run is over before it could.
    Over(Fate),
}

impl<'r> Running<'r> {
    pub fn new(
        rules: &'r Rules<'r>,
        it: &'r Candidate<'r>,
        contacts: &'r mut Vec<Timestamp>,
        chance: Chance<'r>,
        arm: Arm,
    ) -> Self {
        Self {
            rules,
            it,
            contacts,
            chance,
            arm,
            now: it.due_at,
            place: 0,
            progress: Progress::default(),
            heard: 0,
            has_waited: false,
            done: Done::default(),
        }
    }

    /// Steps from wait to wait until nothing is left to do.
    pub fn walk_out(mut self) -> (Fate, Done) {
        let (rules, it) = (self.rules, self.it);
        loop {
            if let Some(fate) = self.stopped() {
                return (fate, self.done);
            }
            let heard = self.heard;
            self.heard += it.events[heard..].partition_point(|event| event.effective_at <= self.now);
            let seen = Situation {
                now: self.now,
                event: it.anchor,
                conversation: it.conversation_attributes,
                customer: it.customer_attributes,
                arrivals: &it.events[heard..self.heard],
                zone: it.zone,
                business: rules.business,
                arm: self.arm.as_str(),
                draw: &self.chance,
            };
            let mut notes = Vec::new();
            let next = walk(rules.program, &mut self.place, &mut self.progress, &seen, &mut notes);
            self.take_note(&notes);
            match next {
                Next::At(at) => self.now = self.wakes_at(at),
                Next::Send(step, visit) => {
                    if let Some(fate) = self.send(step, visit) {
                        return (fate, self.done);
                    }
                }
                Next::Completed | Next::Quiet | Next::Stuck(_) => return (Fate::Through, self.done),
            }
        }
    }

    /// Whether it is over by now, whatever it waits for.
    fn stopped(&self) -> Option<Fate> {
        match self.it.end {
            Some(end) if end.at <= self.now => Some(Fate::Ended(end)),
            _ => (self.now > self.rules.as_of).then_some(Fate::Open),
        }
    }

    /// What the step function decided about mails in quiet hours.
    fn take_note(&mut self, notes: &[Note]) {
        for note in notes {
            match note.kind {
                "deferred" => self.note_wait(),
                "left_out" => self.note_left_out(),
                _ => {}
            }
        }
    }

    /// When it goes on: a rule that it waits for is asked of the next event.
    fn wakes_at(&self, at: Timestamp) -> Timestamp {
        match (&self.progress.awaits, self.it.events.get(self.heard)) {
            (Some(Awaits::Rule { .. }), Some(event)) => at.min(event.effective_at),
            _ => at,
        }
    }

    fn send(&mut self, step: &Step, visit: u32) -> Option<Fate> {
        // Our own side is told of those held out, too.
        let is_real = self.arm == Arm::Treated || matches!(step.action, Action::Escalate(_));
        let outcome = match self.leave(step) {
            // No message to anybody.
            Leave::Goes if is_real && matches!(step.action, Action::EmitEvent(_)) => "delivered",
            Leave::Goes if is_real => {
                self.done.sent.push((self.now, step.id.clone()));
                "delivered"
            }
            Leave::Goes => "held_out",
            Leave::LeftOut(outcome) => {
                self.note_left_out();
                outcome
            }
            Leave::Over(fate) => return Some(fate),
        };
        self.has_waited = false;
        self.progress.awaits = Some(Awaits::Delivery { step: step.id.clone(), visit });
        self.progress.delivered(outcome);
        None
    }

    /// Lets a mail wait for room, and whatever else keeps it meanwhile; it was asked of the quiet
    /// hours before.
    fn leave(&mut self, step: &Step) -> Leave {
        if !matches!(step.action, Action::SendEmail(_)) {
            return Leave::Goes;
        }
        let worthless_at = self.now.plus(WORTH_SENDING);
        while let Some(room) = self.room() {
            if self.rules.sequence.when_limited == LimitPolicy::Skip || room >= worthless_at {
                return Leave::LeftOut("cancelled");
            }
            self.note_wait();
            self.now = room;
            if let Some(kept) = self.wait_for_day(worthless_at) {
                return kept;
            }
        }
        Leave::Goes
    }

    /// When there is room for a mail, if not now; takes it now if there is.
    fn room(&mut self) -> Option<Timestamp> {
        let Rules { sequence, limits, .. } = self.rules;
        if limits.is_empty() || sequence.class != MessageClass::Marketing || self.it.customer.is_none() {
            return None;
        }
        let room = room_at(limits, &self.it.zone.zone, self.contacts, self.now);
        if room > self.now {
            return Some(room);
        }
        let place = self.contacts.partition_point(|at| *at <= self.now);
        self.contacts.insert(place, self.now);
        None
    }

    /// Lets a mail that waited wait on until no quiet hours keep it; what became of it, if that
    /// was too much.
    fn wait_for_day(&mut self, worthless_at: Timestamp) -> Option<Leave> {
        loop {
            if let Some(fate) = self.stopped() {
                return Some(Leave::Over(fate));
            }
            if self.now >= worthless_at {
                return Some(Leave::LeftOut("expired"));
            }
            let quiet = self.rules.program.quiet();
            match quiet.map_or(Ruling::Send, |quiet| quiet.rule(&self.it.zone.zone, self.now, self.now)) {
                Ruling::Send => return None,
                Ruling::Defer(free) => self.now = free,
                Ruling::Skip => return Some(Leave::LeftOut("cancelled")),
                Ruling::Abort => {
                    self.note_left_out();
                    return Some(Leave::Over(Fate::Through));
                }
            }
        }
    }

    fn note_wait(&mut self) {
        if !self.has_waited {
            self.has_waited = true;
            self.done.deferred += i64::from(self.arm == Arm::Treated);
        }
    }

    fn note_left_out(&mut self) {
        self.has_waited = false;
        self.done.left_out += i64::from(self.arm == Arm::Treated);
    }
}
