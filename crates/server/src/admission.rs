//! Admission: how many events are taken in, and what is told to whoever sends more.
//!
//! A token bucket in events. What is refused is refused before any work is done for it, and is
//! told when to come again; what is admitted finds the database as idle as it was.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rekindle_proto::v1::ErrorReason;

use crate::status::ApiError;

/// The soonest that a refused client is asked to come again: sooner is only more refusals.
const SOONEST: Duration = Duration::from_millis(50);

/// How many events are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Over time.
    pub events_per_second: u32,
    /// At once, after a pause.
    pub burst: u32,
}

/// Admits events at a rate; all handles of one admission share it.
#[derive(Debug, Clone, Default)]
pub struct Admission(Option<Arc<Mutex<Bucket>>>);

impl Admission {
    /// Admits at `rate`; everything when there is none.
    pub fn new(rate: Option<Rate>) -> Self {
        Self(rate.map(|rate| Arc::new(Mutex::new(Bucket::new(rate, Instant::now())))))
    }

    /// Admits a batch of this many events whole, or refuses it whole.
    pub fn admit(&self, events: usize) -> Result<(), ApiError> {
        let Some(bucket) = &self.0 else {
            return Ok(());
        };
        // Two numbers are whole even if a holder panicked.
        let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
        bucket.take(events as f64, Instant::now()).map_err(|wait| ApiError::Limited {
            reason: ErrorReason::IngestLimit,
            retry_after: wait.max(SOONEST),
        })
    }
}

/// A token bucket in events.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    burst: f64,
    /// Events that may come now; below zero after a batch larger than the burst.
    level: f64,
    /// When the level was so.
    at: Instant,
}

impl Bucket {
    /// A full bucket.
    fn new(rate: Rate, now: Instant) -> Self {
        // A rate of nothing would never let anything in and never say when to come again.
        let (per_second, burst) = (f64::from(rate.events_per_second.max(1)), f64::from(rate.burst.max(1)));
        Self { per_second, burst, level: burst, at: now }
    }

    /// Takes events out; how long to wait when they are too many now.
    ///
    /// A batch larger than the bucket passes when the bucket is full, and leaves a debt: no
    /// batch is refused for ever, and over time no more than the rate is admitted.
    fn take(&mut self, events: f64, now: Instant) -> Result<(), Duration> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.level = (self.level + passed * self.per_second).min(self.burst);
        self.at = self.at.max(now);
        let missing = events.min(self.burst) - self.level;
        if missing > 0.0 {
            return Err(Duration::from_secs_f64(missing / self.per_second));
        }
        self.level -= events;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { events_per_second: 1_000, burst: 500 };

    /// Seconds of the test, as instants.
    fn clock() -> impl Fn(f64) -> Instant {
        let start = Instant::now();
        move |seconds| start + Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let at = clock();
        let mut bucket = Bucket::new(RATE, at(0.0));
        assert_eq!(bucket.take(500.0, at(0.0)), Ok(()));
        assert_eq!(bucket.take(100.0, at(0.0)), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(100.0, at(0.1)), Ok(()));
        assert!(bucket.take(1.0, at(0.1)).is_err());
        // However long the pause, no more than a burst is saved up.
        assert_eq!(bucket.take(500.0, at(60.0)), Ok(()));
        assert!(bucket.take(1.0, at(60.0)).is_err());
    }

    #[test]
    fn ten_times_the_rate_is_admitted_at_the_rate() {
        let at = clock();
        let mut bucket = Bucket::new(RATE, at(0.0));
        let admitted: f64 = (0..10_000)
            .map(|call| if bucket.take(10.0, at(f64::from(call) / 1_000.0)).is_ok() { 10.0 } else { 0.0 })
            .sum();
        assert!((10_000.0..=10_500.0).contains(&admitted), "{admitted}");
    }

    #[test]
    fn a_batch_larger_than_the_bucket_passes_when_it_is_full_and_is_paid_for_later() {
        let at = clock();
        let mut bucket = Bucket::new(RATE, at(0.0));
        assert_eq!(bucket.take(1.0, at(0.0)), Ok(()));
        assert_eq!(bucket.take(1_000.0, at(0.0)), Err(Duration::from_millis(1)));
        assert_eq!(bucket.take(1_000.0, at(1.0)), Ok(()));
        assert_eq!(bucket.take(1.0, at(1.0)), Err(Duration::from_millis(501)));
        assert_eq!(bucket.take(1.0, at(1.502)), Ok(()));
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_admits_nothing_more() {
        let at = clock();
        let mut bucket = Bucket::new(RATE, at(1.0));
        assert_eq!(bucket.take(500.0, at(1.0)), Ok(()));
        assert!(bucket.take(1.0, at(0.5)).is_err());
        assert!(bucket.take(1.0, at(1.0)).is_err());
    }

    #[test]
    fn without_a_rate_everything_is_admitted() {
        let admission = Admission::new(None);
        assert!((0..1_000).all(|_| admission.admit(1_000).is_ok()));
    }

    #[test]
    fn what_is_refused_is_told_when_to_come_again() {
        let admission = Admission::new(Some(Rate { events_per_second: 1, burst: 10 }));
        assert!(admission.clone().admit(10).is_ok());
        let Err(ApiError::Limited { reason, retry_after }) = admission.admit(5) else {
            panic!("more than the burst was admitted");
        };
        assert_eq!(reason, ErrorReason::IngestLimit);
        assert!(retry_after > Duration::from_secs(4), "{retry_after:?}");
    }
}
