//! What the model knows: the database's rows, what each worker remembers, the
//! outside world, and what history a property needs.

/// The whole at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// The database: one row per item.
    pub rows: Vec<Row>,
    /// What each worker remembers; `None` is an idle worker. A worker that stays
    /// dead, or is paused, is one that is not scheduled.
    pub jobs: Vec<Option<Job>>,
    /// The outside world: what reached it, per item, in order.
    pub outside: Vec<Vec<Sent>>,
    /// Faults that may still happen, of whatever kind.
    pub faults_left: u8,
    /// What must never have happened.
    pub harm: Harm,
}

impl State {
    /// One state for all that differ only in the names of workers and in the size of
    /// epochs: the protocol compares epochs for equality and raises the newest.
    pub fn canonical(&self) -> Self {
        let mut same = self.clone();
        for item in 0..same.rows.len() {
            same.shrink(item);
        }
        same.jobs.sort_unstable();
        same
    }

    /// Counts the epochs of an item from the oldest that anybody still remembers.
    fn shrink(&mut self, item: usize) {
        let row = &mut self.rows[item];
        let mut jobs: Vec<&mut Job> = self.jobs.iter_mut().flatten().filter(|job| job.item == item).collect();
        for closed in row.attempts.iter_mut().filter(|attempt| attempt.outcome.is_some()) {
            closed.epoch = 0;
        }
        let open = row.attempts.iter_mut().filter(|attempt| attempt.outcome.is_none());
        let mut epochs: Vec<&mut u8> =
            open.map(|attempt| &mut attempt.epoch).chain([&mut row.epoch]).collect();
        let mut hands: Vec<&mut u8> = vec![&mut row.hands];
        for job in &mut jobs {
            epochs.push(&mut job.epoch);
            hands.push(&mut job.hands);
        }
        rank(&mut epochs);
        rank(&mut hands);
    }

    /// Whether the row is still this claim's.
    pub fn holds(&self, job: &Job) -> bool {
        let row = &self.rows[job.item];
        row.status == Status::Running && row.hands == job.hands
    }

    /// Whether every item has ended.
    pub fn all_ended(&self) -> bool {
        self.rows.iter().all(|row| row.ending().is_some())
    }
}

/// An item as the database has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Row {
    /// Where it stands.
    pub status: Status,
    /// The fencing token.
    pub epoch: u8,
    /// Ticks of the database's clock until the lease ends.
    pub lease_left: u8,
    /// Attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// Whether an ingest ended the run that the item belongs to.
    pub run_ended: bool,
    /// How often the row changed hands, counted by the model itself and never
    /// reset: tells a stale write even where the epoch does not.
    pub hands: u8,
}

impl Row {
    /// A row nobody has claimed.
    pub fn new() -> Self {
        Self {
            status: Status::Ready,
            epoch: 0,
            lease_left: 0,
            attempts: Vec::new(),
            run_ended: false,
            hands: 0,
        }
    }

    /// How it ended, if it did.
    pub fn ending(&self) -> Option<Ending> {
        match self.status {
            Status::Ended(ending) => Some(ending),
            Status::Ready | Status::Running => None,
        }
    }
}

/// Where an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Waits to be claimed.
    Ready,
    /// Claimed.
    Running,
    /// Over.
    Ended(Ending),
}

/// The names an item can end under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The outside world took it.
    Delivered,
    /// The outside world refused it for good.
    Failed,
    /// The run ended before it was sent, or while it was.
    Cancelled,
    /// Nobody knows, and the policy is not to try again.
    Unknown,
}

/// One try, written before it is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The epoch it was started under.
    pub epoch: u8,
    /// What became of it; `None` while it is open.
    pub outcome: Option<Outcome>,
}

impl Attempt {
    /// Whether another attempt may follow it: it failed retryably, or nobody knows.
    pub fn allows_another(&self) -> bool {
        matches!(self.outcome, Some(Outcome::TryLater | Outcome::Unknown))
    }
}

/// What is recorded of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Taken.
    Delivered,
    /// Refused for good.
    Refused,
    /// Refused for now.
    TryLater,
    /// Nobody knows.
    Unknown,
}

/// What an item's owner wants of unknown outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Send again.
    Resend,
    /// Leave it to a person.
    Park,
}

/// What a worker remembers of the item it claimed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Job {
    /// Which item.
    pub item: usize,
    /// The epoch its claim got.
    pub epoch: u8,
    /// `Row::hands` at the claim.
    pub hands: u8,
    /// Ticks of the lease it counts on.
    pub lease_left: u8,
    /// How far it is.
    pub step: Step,
}

/// How far a worker is with its item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// Claimed; no attempt that it knows of.
    Claimed,
    /// Its attempt is committed; nothing is sent.
    Begun {
        /// Place of the attempt among the item's.
        attempt: usize,
    },
    /// The outside world answered, or did not.
    Answered {
        /// Place of the attempt among the item's.
        attempt: usize,
        /// What it heard.
        answer: Answer,
    },
}

/// What a worker hears from the outside world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// Taken.
    Taken,
    /// Refused for good.
    Refused,
    /// Refused for now.
    TryLater,
    /// Nothing; the model assumes the worst, that it was taken.
    Silence,
}

/// Something that reached the outside world.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sent {
    /// Place of the attempt among the item's.
    pub attempt: usize,
    /// Whether the outside world took it.
    pub taken: bool,
}

/// What the properties say must never have happened.
#[expect(clippy::struct_excessive_bools, reason = "each is a harm of its own, and any may come together")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Harm {
    /// A write was accepted from a worker whose claim was over.
    pub stale_write: bool,
    /// An attempt that had an outcome got another.
    pub second_outcome: bool,
    /// A worker began to send what another had taken.
    pub sent_after_takeover: bool,
    /// An attempt was started although the end of the run was committed.
    pub started_after_cancel: bool,
}

/// Replaces numbers by their places among themselves, from 1.
fn rank(numbers: &mut [&mut u8]) {
    let mut sorted: Vec<u8> = numbers.iter().map(|number| **number).collect();
    sorted.sort_unstable();
    sorted.dedup();
    for number in numbers {
        let older = sorted.iter().filter(|value| **value < **number).count();
        **number = u8::try_from(older + 1).unwrap_or(u8::MAX);
    }
}
