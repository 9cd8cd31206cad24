//! Named moments at which a test lets the process die, or a commit seem to have failed.
//!
//! What survives a crash is decided at a few moments: just before and just after the commit of
//! each unit of work, and between a send and the record of what came of it. They have names, so
//! that a test can visit every one of them. Only debug builds ask; a release build holds none of it.

use rekindle_ports::StoreError;

/// A unit of work whose commit tests can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Events with their effects.
    Ingest,
    /// Timers taken by the detector.
    ClaimTimers,
    /// Marks and the runs they start.
    Detect,
    /// Runs taken by the runner.
    ClaimRuns,
    /// A step of a run.
    Step,
    /// Deliveries taken by the dispatcher.
    ClaimDeliveries,
    /// *Attempt started*.
    StartAttempt,
    /// A claim that is renewed while its message is under way.
    Renew,
    /// What came of an attempt.
    RecordOutcome,
}

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failpoint {
    /// Everything is written, nothing is kept yet.
    BeforeCommit(Unit),
    /// Everything is kept, nobody was told yet.
    AfterCommit(Unit),
    /// A message went out, and what came of it is written nowhere.
    Sent,
}

/// What happens at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    GoOn,
    /// The commit is reported as failed: before it, nothing is kept; after it, everything is.
    Fail,
}

/// Is told of every moment that is reached. It may end the process.
pub trait Probe: Send + Sync + 'static {
    /// A moment is reached. [`Failpoint::Sent`] has no commit that could fail.
    fn reached(&self, failpoint: Failpoint) -> Fate;
}

/// Lets everything go on.
#[derive(Debug)]
pub struct NoProbe;

impl Probe for NoProbe {
    fn reached(&self, _: Failpoint) -> Fate {
        Fate::GoOn
    }
}

impl Unit {
    /// Every unit.
    pub const ALL: [Self; 9] = [
        Self::Ingest,
        Self::ClaimTimers,
        Self::Detect,
        Self::ClaimRuns,
        Self::Step,
        Self::ClaimDeliveries,
        Self::StartAttempt,
        Self::Renew,
        Self::RecordOutcome,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::ClaimTimers => "claim-timers",
            Self::Detect => "detect",
            Self::ClaimRuns => "claim-runs",
            Self::Step => "step",
            Self::ClaimDeliveries => "claim-deliveries",
            Self::StartAttempt => "start-attempt",
            Self::Renew => "renew",
            Self::RecordOutcome => "record-outcome",
        }
    }
}

impl Failpoint {
    /// Every moment.
    pub fn all() -> Vec<Self> {
        let around = |unit| [Self::BeforeCommit(unit), Self::AfterCommit(unit)];
        Unit::ALL.into_iter().flat_map(around).chain([Self::Sent]).collect()
    }

    /// Its name, such as `step:after-commit`.
    pub fn name(self) -> String {
        match self {
            Self::BeforeCommit(unit) => format!("{}:before-commit", unit.name()),
            Self::AfterCommit(unit) => format!("{}:after-commit", unit.name()),
            Self::Sent => "sent".to_owned(),
        }
    }

    /// The moment of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().into_iter().find(|failpoint| failpoint.name() == name)
    }
}

/// The error of a commit that a test lets fail: the same as when the connection breaks.
pub(crate) fn broken() -> StoreError {
    StoreError::Unavailable("a failpoint: the connection broke".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_has_a_name_of_its_own() {
        let all = Failpoint::all();
        assert_eq!(all.len(), 2 * Unit::ALL.len() + 1);
        for failpoint in all {
            assert_eq!(Failpoint::named(&failpoint.name()), Some(failpoint));
        }
        assert_eq!(Failpoint::named("step"), None);
    }
}
