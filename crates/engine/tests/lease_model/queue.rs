//! The model: workers that share a queue of items to send, and what may befall them.

use stateright::{Model, Property};

use crate::properties;
use crate::protocol::{Flaw, Reply, Rules};
use crate::state::{Answer, Harm, Job, Policy, Row, State, Status, Step};

/// Workers, items and faults of one run of the checker.
#[derive(Debug, Clone)]
pub struct Queue {
    /// How many workers there are.
    pub workers: usize,
    /// The items, by what their owners want of unknown outcomes.
    pub items: Vec<Policy>,
    /// How many faults may happen, in any mixture: a crash; a lease that ends while its
    /// worker lives (a pause, a slow send); a commit whose reply is lost; an answer of the
    /// outside world other than `Taken`; a drain.
    pub faults: u8,
    /// Whether an ingest may end the runs.
    pub cancels: bool,
    /// The protocol.
    pub rules: Rules,
}

impl Queue {
    /// The same queue under a protocol that is wrong in one way.
    pub fn with(mut self, flaw: Flaw) -> Self {
        self.rules.flaw = Some(flaw);
        self
    }

    /// What a worker can do with the job it has.
    fn steps_of(&self, state: &State, worker: usize, job: &Job, actions: &mut Vec<Action>) {
        if job.lease_left < self.rules.ttl {
            actions.push(Action::Renew { worker });
        }
        if self.rules.sendable(state, job).is_some() {
            actions.push(Action::Send { worker, answer: Answer::Taken });
            if state.faults_left > 0 {
                let surprises = [Answer::Refused, Answer::TryLater, Answer::Silence];
                actions.extend(surprises.map(|answer| Action::Send { worker, answer }));
            }
        }
        let replies: &[Reply] =
            if state.faults_left > 0 { &[Reply::Heard, Reply::Lost] } else { &[Reply::Heard] };
        for &reply in replies {
            match job.step {
                Step::Claimed => {
                    if !self.rules.are(Flaw::SendsBeforeAttempt) {
                        actions.push(Action::Begin { worker, reply });
                    }
                    if state.faults_left > 0 {
                        actions.push(Action::Release { worker, reply });
                    }
                }
                Step::Answered { .. } => actions.push(Action::Record { worker, reply }),
                Step::Begun { .. } => {}
            }
        }
        if state.faults_left > 0 {
            actions.push(Action::Crash { worker });
        }
    }

    fn work(&self, state: &mut State, action: Action) -> Option<()> {
        let (Action::Renew { worker }
        | Action::Begin { worker, .. }
        | Action::Send { worker, .. }
        | Action::Record { worker, .. }
        | Action::Release { worker, .. }
        | Action::Crash { worker }) = action
        else {
            return None;
        };
        let job = state.jobs[worker].clone()?;
        let policy = self.items[job.item];
        match action {
            Action::Begin { reply, .. } => {
                spend(&mut state.faults_left, u8::from(reply == Reply::Lost))?;
                self.rules.begin(state, worker, &job, policy, reply);
            }
            Action::Send { answer, .. } => {
                spend(&mut state.faults_left, u8::from(answer != Answer::Taken))?;
                let attempt = self.rules.sendable(state, &job)?;
                Rules::send(state, worker, &job, attempt, answer);
            }
            Action::Record { reply, .. } => {
                spend(&mut state.faults_left, u8::from(reply == Reply::Lost))?;
                self.rules.record(state, worker, &job, policy, reply);
            }
            Action::Release { reply, .. } => {
                spend(&mut state.faults_left, 1)?;
                spend(&mut state.faults_left, u8::from(reply == Reply::Lost))?;
                self.rules.release(state, worker, &job, reply);
            }
            Action::Crash { .. } => {
                spend(&mut state.faults_left, 1)?;
                state.jobs[worker] = None;
            }
            _ => self.rules.renew(state, worker, &job),
        }
        Some(())
    }
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A worker claims an item.
    Claim {
        /// Who.
        worker: usize,
        /// What.
        item: usize,
    },
    /// A worker prolongs its lease.
    Renew {
        /// Who.
        worker: usize,
    },
    /// A worker commits that it is about to try.
    Begin {
        /// Who.
        worker: usize,
        /// Whether it learns of its commit.
        reply: Reply,
    },
    /// A worker sends.
    Send {
        /// Who.
        worker: usize,
        /// What it hears.
        answer: Answer,
    },
    /// A worker commits what it heard.
    Record {
        /// Who.
        worker: usize,
        /// Whether it learns of its commit.
        reply: Reply,
    },
    /// A worker that drains gives its item back.
    Release {
        /// Who.
        worker: usize,
        /// Whether it learns of its commit.
        reply: Reply,
    },
    /// A worker dies and begins anew, knowing nothing.
    Crash {
        /// Who.
        worker: usize,
    },
    /// An ingest ends the run of an item.
    Cancel {
        /// Of which.
        item: usize,
    },
    /// The database's clock goes on.
    Tick,
}

impl Model for Queue {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            rows: self.items.iter().map(|_| Row::new()).collect(),
            jobs: vec![None; self.workers],
            outside: vec![Vec::new(); self.items.len()],
            faults_left: self.faults,
            harm: Harm::default(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (worker, job) in state.jobs.iter().enumerate() {
            if let Some(job) = job {
                self.steps_of(state, worker, job, actions);
                continue;
            }
            let free = (0..state.rows.len()).filter(|item| self.rules.claimable(&state.rows[*item]));
            actions.extend(free.map(|item| Action::Claim { worker, item }));
        }
        if self.cancels {
            let live = (0..state.rows.len())
                .filter(|item| state.rows[*item].ending().is_none() && !state.rows[*item].run_ended);
            actions.extend(live.map(|item| Action::Cancel { item }));
        }
        let leased = state.rows.iter().any(|row| row.status == Status::Running && row.lease_left > 0);
        if leased && Rules::slips(state) <= state.faults_left {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Claim { worker, item } => self.rules.claim(&mut state, worker, item),
            Action::Cancel { item } => self.rules.cancel(&mut state, item),
            Action::Tick => {
                let slips = Rules::slips(last);
                spend(&mut state.faults_left, slips)?;
                Rules::tick(&mut state);
            }
            work => self.work(&mut state, work)?,
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::never().into_iter().chain(properties::possible()).collect()
    }
}

fn spend(left: &mut u8, cost: u8) -> Option<()> {
    *left = left.checked_sub(cost)?;
    Some(())
}
