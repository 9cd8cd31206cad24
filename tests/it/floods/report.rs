//! What became of a load: how much was admitted, what was refused, and how long either took.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// What became of one call.
#[derive(Debug)]
pub enum Answer {
    /// All its events are stored.
    Admitted {
        /// How many.
        events: u64,
        /// Since it was due.
        took: Duration,
    },
    /// It was told to come again, in the right words.
    Refused {
        /// Since it was due.
        took: Duration,
    },
    /// Anything else.
    Other(String),
}

impl Answer {
    /// The answer to a batch of so many events: how many were accepted, or why none.
    pub fn of(outcome: Result<u64, Status>, events: u64, took: Duration) -> Self {
        match outcome {
            Ok(accepted) if accepted == events => Self::Admitted { events, took },
            Ok(accepted) => Self::Other(format!("{accepted} of {events} events were accepted")),
            Err(status) if is_refusal(&status) => Self::Refused { took },
            Err(status) => Self::Other(format!("{status:?}")),
        }
    }
}

/// Whether a status is all that a client needs to come again: code, reason, delay (twice), quota.
fn is_refusal(status: &Status) -> bool {
    let details = status.get_error_details();
    status.code() == Code::ResourceExhausted
        && details.error_info().is_some_and(|info| info.reason == "INGEST_LIMIT")
        && details.retry_info().is_some_and(|info| info.retry_delay.is_some())
        && details.quota_failure().is_some()
        && status.metadata().contains_key("grpc-retry-pushback-ms")
}

/// What became of all calls.
#[derive(Debug, Serialize, Deserialize)]
pub struct Report {
    /// From the first call to the last answer.
    pub seconds: f64,
    /// Events that are stored.
    pub admitted_events: u64,
    /// How long the calls took that were admitted.
    pub admitted: Times,
    /// How long the calls took that were refused.
    pub refused: Times,
    /// Answers that are neither, a few of them.
    pub others: Vec<String>,
}

impl Report {
    /// The report of all answers.
    pub fn of(answers: Vec<Answer>, seconds: f64) -> Self {
        const SHOWN: usize = 5;
        let mut report = Self {
            seconds,
            admitted_events: 0,
            admitted: Times::default(),
            refused: Times::default(),
            others: Vec::new(),
        };
        for answer in answers {
            match answer {
                Answer::Admitted { events, took } => {
                    report.admitted_events += events;
                    report.admitted.0.push(took);
                }
                Answer::Refused { took } => report.refused.0.push(took),
                Answer::Other(what) if report.others.len() < SHOWN => report.others.push(what),
                Answer::Other(_) => {}
            }
        }
        report.admitted.0.sort();
        report.refused.0.sort();
        report
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, admitted_events, admitted, refused, .. } = self;
        write!(
            formatter,
            "{seconds:.1} s, {admitted_events} events admitted in {admitted}; refused: {refused}"
        )
    }
}

/// Times of calls, the shortest first.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Whether there were no such calls.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The time that so many percent of the calls did not exceed; nothing for no calls.
    pub fn percent(&self, percent: usize) -> Duration {
        let place = (self.0.len() * percent).div_ceil(100);
        self.0.get(place.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [half, most, all] = [50, 99, 100].map(|percent| self.percent(percent));
        write!(formatter, "{} calls, p50 {half:.1?}, p99 {most:.1?}, longest {all:.1?}", self.0.len())
    }
}

#[test]
fn a_percentile_is_a_time_that_was_measured() {
    let times = Times((1..=200).map(Duration::from_millis).collect());
    let [half, most, all] = [50, 99, 100].map(|percent| times.percent(percent).as_millis());
    assert_eq!((half, most, all), (100, 198, 200));
    assert_eq!(Times::default().percent(99), Duration::ZERO);
}
