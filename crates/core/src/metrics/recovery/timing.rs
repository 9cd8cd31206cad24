//! When to write: what came back by how long the first message waited, and by the hour it came at.
//!
//! Observational. Unless the sequence splits, nobody gave delays and hours by chance: who is still
//! silent after a day is somebody else than who is after an hour, and a message that quiet hours
//! kept back comes in the morning. What stands here is a hint where to experiment, and no proof.
//! Beside each bucket stands what came of those held out, whose message would have come in it.

use jiff::tz::TimeZone;
use uuid::Uuid;

use super::RecoveryFact;
use crate::metrics::Ratio;
use crate::metrics::proportion::{Difference, Interval, difference, wilson};
use crate::sequence::arm::Arm;
use crate::time::{DAY, HOUR, MINUTE, Timestamp};

#[cfg(test)]
mod tests;

/// Where buckets of the delay end, in microseconds: the first instant no longer inside. One more
/// has no end.
pub const DELAY_ENDS: [i64; 10] =
    [15 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 12 * HOUR, DAY, 2 * DAY, 3 * DAY, 7 * DAY];
/// Buckets of the delay.
pub const DELAYS: usize = DELAY_ENDS.len() + 1;
/// Buckets of the hour.
pub const HOURS: usize = 24;
/// Fewer treated runs than these recommend nothing.
pub const LEAST_RUNS: i64 = 30;

/// From where to where a bucket of [`Timing::by_delay`] reaches, in microseconds: the first delay
/// inside, and the first no longer inside; the last has no end.
pub fn delays_of(bucket: usize) -> (i64, Option<i64>) {
    let start = bucket.checked_sub(1).and_then(|before| DELAY_ENDS.get(before));
    (start.copied().unwrap_or(0), DELAY_ENDS.get(bucket).copied())
}

/// What has to be known of those whose runs are counted.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// On whose clock they live.
    pub zone: &'a TimeZone,
    /// Whether they are of the half that checks what the other half recommends.
    pub checks: bool,
}

/// Runs whose first message came in a bucket, and those of them that were recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slot {
    /// Recovered of the treated.
    pub treated: Ratio,
    /// Recovered of those held out, by when their message would have come.
    pub held_out: Ratio,
}

impl Slot {
    /// The share of the treated less that of those held out (M16); nothing without both.
    pub fn uplift(&self) -> Option<Difference> {
        difference(self.treated, self.held_out)
    }
}

/// The bucket in which most of the treated came back in one half of the customers, and what came
/// of it in the other half.
///
/// The best of many looks better than it is, since it was chosen for its luck too; the customers
/// of the other half had no part in the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recommendation {
    /// Which bucket, from 0.
    pub bucket: usize,
    /// Recovered of the treated of the bucket, in the half that recommends it.
    pub chosen: Ratio,
    /// Recovered of the treated of the worst bucket, in the same half.
    pub worst: Ratio,
    /// Recovered of the treated of the bucket, in the half that checks.
    pub checked: Ratio,
    /// Recovered of the treated of all other buckets together, in the half that checks.
    pub others: Ratio,
}

impl Recommendation {
    /// Whether more of the bucket come back than of the others in the half that checks; no where
    /// one of them is empty.
    pub fn holds(&self) -> bool {
        // Fractions over their common denominator, so that nothing is rounded.
        self.checked.numerator * self.others.denominator > self.others.numerator * self.checked.denominator
    }
}

/// What came back by when the first message came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timing {
    /// By the time from the instant the silence came due, one for each of [`DELAYS`], in order.
    pub by_delay: Vec<Slot>,
    /// By the hour of the day on the customer's clock, one for each of [`HOURS`], from midnight.
    pub by_hour: Vec<Slot>,
    /// Which delay to try.
    pub recommended_delay: Option<Recommendation>,
    /// Which hour to try.
    pub recommended_hour: Option<Recommendation>,
}

impl Timing {
    /// Counts runs whose recovery window, in microseconds, is over at `as_of`: of younger ones it
    /// is not known yet, and those that did come back would be counted alone. `who` says what has
    /// to be known of a [`RecoveryFact::assigned`].
    pub fn of<'a>(
        facts: &[RecoveryFact],
        window: i64,
        as_of: Timestamp,
        who: impl Fn(Uuid) -> Who<'a>,
    ) -> Self {
        let (mut delays, mut hours) = (Tally::of(DELAYS), Tally::of(HOURS));
        for fact in facts.iter().filter(|fact| !fact.is_void) {
            let Some(at) = fact.reached_at.filter(|at| as_of.since(*at) > window) else {
                continue;
            };
            let assigned = who(fact.assigned);
            let recovered = fact.recovered_at(window, as_of).is_some();
            delays.add(bucket_of(at.since(fact.due_at)), fact.arm, assigned.checks, recovered);
            if let Some(hour) = hour_of(at, assigned.zone) {
                hours.add(hour, fact.arm, assigned.checks, recovered);
            }
        }
        Self {
            recommended_delay: recommended(&delays.learnt, &delays.checked),
            recommended_hour: recommended(&hours.learnt, &hours.checked),
            by_delay: delays.slots,
            by_hour: hours.slots,
        }
    }
}

/// The bucket of a delay; a message that came before its silence was due came at once.
fn bucket_of(delay: i64) -> usize {
    DELAY_ENDS.partition_point(|end| *end <= delay)
}

/// The hour that a clock on the wall shows.
fn hour_of(at: Timestamp, zone: &TimeZone) -> Option<usize> {
    let at = jiff::Timestamp::from_microsecond(at.0).ok()?;
    Some(zone.to_datetime(at).hour() as usize)
}

/// The counts of a row of buckets.
struct Tally {
    slots: Vec<Slot>,
    /// The treated of the half that recommends.
    learnt: Vec<Ratio>,
    /// The treated of the half that checks.
    checked: Vec<Ratio>,
}

impl Tally {
    fn of(buckets: usize) -> Self {
        let none = vec![Ratio::default(); buckets];
        Self { slots: vec![Slot::default(); buckets], learnt: none.clone(), checked: none }
    }

    fn add(&mut self, bucket: usize, arm: Arm, checks: bool, recovered: bool) {
        let half = if checks { &mut self.checked } else { &mut self.learnt };
        let slot = &mut self.slots[bucket];
        match arm {
            Arm::Treated => {
                count(&mut slot.treated, recovered);
                count(&mut half[bucket], recovered);
            }
            Arm::HeldOut => count(&mut slot.held_out, recovered),
        }
    }
}

fn count(share: &mut Ratio, recovered: bool) {
    share.numerator += i64::from(recovered);
    share.denominator += 1;
}

/// The bucket whose share is the highest by the lower end of its interval, where the worst, by the
/// upper end, does not reach so high; the earliest of equals. Few runs make wide intervals, so that
/// luck is not taken for merit.
fn recommended(learnt: &[Ratio], checked: &[Ratio]) -> Option<Recommendation> {
    let enough = learnt.iter().enumerate().filter(|(_, share)| share.denominator >= LEAST_RUNS);
    let known: Vec<(usize, Ratio, Interval)> =
        enough.filter_map(|(bucket, share)| Some((bucket, *share, wilson(*share)?))).collect();
    let (bucket, chosen, best) = *known.iter().min_by(|a, b| b.2.low.total_cmp(&a.2.low))?;
    let (_, worst, least) = *known.iter().min_by(|a, b| a.2.high.total_cmp(&b.2.high))?;
    // A bucket alone is its own worst.
    if best.low <= least.high {
        return None;
    }
    let mut others = Ratio::default();
    for (_, share) in checked.iter().enumerate().filter(|(other, _)| *other != bucket) {
        others.numerator += share.numerator;
        others.denominator += share.denominator;
    }
    Some(Recommendation { bucket, chosen, worst, checked: checked[bucket], others })
}
