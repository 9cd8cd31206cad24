//! The protocol, one function per transaction or step, and the ways to break it.

use crate::state::{Answer, Attempt, Ending, Job, Outcome, Policy, Row, Sent, State, Status, Step};

/// Ways in which the protocol could have been written wrongly: the broken twins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The outcome is written by whoever comes.
    RecordUnfenced,
    /// An attempt is started by whoever comes: the epoch was looked at before the lock.
    BeginUnfenced,
    /// A lease is prolonged by whoever comes.
    RenewUnfenced,
    /// A claim is given back by whoever comes.
    ReleaseUnfenced,
    /// What ends a claim leaves the epoch as it is.
    EndKeepsEpoch,
    /// There is a fence, but a claim leaves the epoch as it is.
    ClaimKeepsEpoch,
    /// A claim takes running rows whose lease lasts.
    ClaimIgnoresLease,
    /// A claim takes ready rows only: nobody takes over.
    NoTakeover,
    /// Sends first and writes the attempt with its outcome.
    SendsBeforeAttempt,
    /// Sends without looking whether there is still a lease to send under.
    SendsWithoutLease,
    /// Ends the run and the items that wait; a claimed one is left to its worker.
    CancelKeepsEpoch,
    /// An open attempt found at a takeover is sent again, whatever the policy.
    ParkForgotten,
}

/// The writes that carry a fence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    Begin,
    Renew,
    Record,
    Release,
}

/// Whether a worker learns that its commit happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It does.
    Heard,
    /// The connection broke while committing; the commit happened. The worker will try
    /// again, and if it was giving up its claim it no longer counts on the lease.
    Lost,
}

/// What an ingest that ends a run does to an item whose attempt is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtCancel {
    /// Raises its epoch like that of any other: the outcome stays unknown.
    Fence,
    /// Leaves it to its worker, who may record what became of the attempt and nothing else.
    LetFinish,
}

/// The rules that the steps follow.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Ticks a lease lasts.
    pub ttl: u8,
    /// What a cancel does to an open attempt.
    pub at_cancel: AtCancel,
    /// What is wrong with them, if anything.
    pub flaw: Option<Flaw>,
}

impl Rules {
    /// Whether the rules are broken in this way.
    pub fn are(self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Whether a claim takes this row.
    pub fn claimable(self, row: &Row) -> bool {
        match row.status {
            Status::Ready => true,
            Status::Running if self.are(Flaw::NoTakeover) => false,
            Status::Running => row.lease_left == 0 || self.are(Flaw::ClaimIgnoresLease),
            Status::Ended(_) => false,
        }
    }

    /// One statement: takes the row, raises its epoch, begins a lease.
    pub fn claim(self, state: &mut State, worker: usize, item: usize) {
        let row = &mut state.rows[item];
        row.status = Status::Running;
        row.lease_left = self.ttl;
        row.hands += 1;
        if !self.are(Flaw::ClaimKeepsEpoch) {
            row.epoch += 1;
        }
        let (epoch, hands) = (row.epoch, row.hands);
        state.jobs[worker] = Some(Job { item, epoch, hands, lease_left: self.ttl, step: Step::Claimed });
    }

    /// One statement: prolongs the lease, or learns that the claim is lost.
    pub fn renew(self, state: &mut State, worker: usize, job: &Job) {
        if !self.accepted(state, job, Write::Renew) {
            state.jobs[worker] = None;
            return;
        }
        state.rows[job.item].lease_left = self.ttl;
        state.jobs[worker] = Some(Job { lease_left: self.ttl, ..job.clone() });
    }

    /// One transaction under the subject's lock: checks the epoch, settles an attempt
    /// that another claim left open, and writes *attempt started*.
    pub fn begin(self, state: &mut State, worker: usize, job: &Job, policy: Policy, reply: Reply) {
        state.jobs[worker] = None;
        if !self.accepted(state, job, Write::Begin) {
            return;
        }
        let row = &mut state.rows[job.item];
        let newest = row.attempts.len().checked_sub(1);
        let open = newest.filter(|place| row.attempts[*place].outcome.is_none());
        if let Some(attempt) = open.filter(|place| row.attempts[*place].epoch == job.epoch) {
            // Started by this very claim; only the reply was lost.
            state.jobs[worker] = Some(Job { step: Step::Begun { attempt }, ..job.clone() });
            return;
        }
        if let Some(attempt) = open {
            row.attempts[attempt].outcome = Some(Outcome::Unknown);
            if policy == Policy::Park && !self.are(Flaw::ParkForgotten) {
                self.leave(row, Status::Ended(Ending::Unknown));
                return;
            }
            if row.run_ended && self.at_cancel == AtCancel::LetFinish {
                self.leave(row, Status::Ended(Ending::Cancelled));
                return;
            }
        }
        state.harm.started_after_cancel |= row.run_ended;
        row.attempts.push(Attempt { epoch: job.epoch, outcome: None });
        let step = match reply {
            Reply::Heard => Step::Begun { attempt: row.attempts.len() - 1 },
            Reply::Lost => Step::Claimed,
        };
        state.jobs[worker] = Some(Job { step, ..job.clone() });
    }

    /// No transaction: the item reaches the outside world.
    pub fn send(state: &mut State, worker: usize, job: &Job, attempt: usize, answer: Answer) {
        let row = &state.rows[job.item];
        state.harm.sent_after_takeover |= row.hands != job.hands && !row.run_ended;
        let taken = matches!(answer, Answer::Taken | Answer::Silence);
        state.outside[job.item].push(Sent { attempt, taken });
        state.jobs[worker] = Some(Job { step: Step::Answered { attempt, answer }, ..job.clone() });
    }

    /// The attempt that a worker may send now, if any: one that was slow to begin renews first.
    pub fn sendable(self, state: &State, job: &Job) -> Option<usize> {
        if job.lease_left == 0 && !self.are(Flaw::SendsWithoutLease) {
            return None;
        }
        match job.step {
            Step::Begun { attempt } => Some(attempt),
            Step::Claimed if self.are(Flaw::SendsBeforeAttempt) => Some(state.rows[job.item].attempts.len()),
            Step::Claimed | Step::Answered { .. } => None,
        }
    }

    /// One transaction: writes the outcome and settles the item.
    pub fn record(self, state: &mut State, worker: usize, job: &Job, policy: Policy, reply: Reply) {
        let Step::Answered { attempt, answer } = job.step else { return };
        state.jobs[worker] = None;
        if !self.accepted(state, job, Write::Record) {
            return;
        }
        let row = &mut state.rows[job.item];
        if attempt == row.attempts.len() {
            row.attempts.push(Attempt { epoch: job.epoch, outcome: None });
        }
        let (outcome, status) = settled(answer, policy);
        state.harm.second_outcome |= row.attempts[attempt].outcome.is_some();
        row.attempts[attempt].outcome = Some(outcome);
        let stops = status == Status::Ready && row.run_ended;
        self.leave(row, if stops { Status::Ended(Ending::Cancelled) } else { status });
        if reply == Reply::Lost {
            state.jobs[worker] = Some(Job { lease_left: 0, ..job.clone() });
        }
    }

    /// One statement: a worker that drains gives back what it has not begun.
    pub fn release(self, state: &mut State, worker: usize, job: &Job, reply: Reply) {
        state.jobs[worker] = None;
        if !self.accepted(state, job, Write::Release) {
            return;
        }
        let row = &mut state.rows[job.item];
        self.leave(row, Status::Ready);
        if reply == Reply::Lost {
            state.jobs[worker] = Some(Job { lease_left: 0, ..job.clone() });
        }
    }

    /// One transaction of an ingest under the subject's lock: the customer came back.
    pub fn cancel(self, state: &mut State, item: usize) {
        let row = &mut state.rows[item];
        row.run_ended = true;
        if self.are(Flaw::CancelKeepsEpoch) {
            if row.status == Status::Ready {
                self.leave(row, Status::Ended(Ending::Cancelled));
            }
            return;
        }
        let begun = row.attempts.iter().any(|attempt| attempt.outcome.is_none());
        if begun && self.at_cancel == AtCancel::LetFinish {
            return;
        }
        row.epoch += 1;
        row.hands += 1;
        for open in row.attempts.iter_mut().filter(|attempt| attempt.outcome.is_none()) {
            open.outcome = Some(Outcome::Unknown);
        }
        row.status = Status::Ended(Ending::Cancelled);
        row.lease_left = 0;
    }

    /// A tick of the database's clock.
    pub fn tick(state: &mut State) {
        for row in &mut state.rows {
            row.lease_left = row.lease_left.saturating_sub(1);
        }
        for job in state.jobs.iter_mut().flatten() {
            job.lease_left = job.lease_left.saturating_sub(1);
        }
    }

    /// How many living workers would lose their lease by a tick.
    pub fn slips(state: &State) -> u8 {
        let last = state.jobs.iter().flatten().filter(|job| job.lease_left == 1 && state.holds(job));
        u8::try_from(last.count()).unwrap_or(u8::MAX)
    }

    /// `… WHERE epoch = $`: whether the write finds its row.
    fn accepted(self, state: &mut State, job: &Job, write: Write) -> bool {
        let unfenced = match write {
            Write::Begin => self.are(Flaw::BeginUnfenced),
            Write::Renew => self.are(Flaw::RenewUnfenced),
            Write::Record => self.are(Flaw::RecordUnfenced),
            Write::Release => self.are(Flaw::ReleaseUnfenced),
        };
        let accepted = unfenced || state.rows[job.item].epoch == job.epoch;
        state.harm.stale_write |= accepted && !state.holds(job);
        accepted
    }

    /// Ends a claim, and with it whatever names its epoch.
    fn leave(self, row: &mut Row, status: Status) {
        row.status = status;
        row.lease_left = 0;
        if !self.are(Flaw::EndKeepsEpoch) {
            row.epoch += 1;
        }
    }
}

/// What an answer makes of the attempt and of the item.
fn settled(answer: Answer, policy: Policy) -> (Outcome, Status) {
    match (answer, policy) {
        (Answer::Taken, _) => (Outcome::Delivered, Status::Ended(Ending::Delivered)),
        (Answer::Refused, _) => (Outcome::Refused, Status::Ended(Ending::Failed)),
        (Answer::TryLater, _) => (Outcome::TryLater, Status::Ready),
        (Answer::Silence, Policy::Resend) => (Outcome::Unknown, Status::Ready),
        (Answer::Silence, Policy::Park) => (Outcome::Unknown, Status::Ended(Ending::Unknown)),
    }
}
