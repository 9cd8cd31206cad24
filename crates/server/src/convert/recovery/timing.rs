//! When to write, as messages.

use rekindle_core::metrics::Ratio;
use rekindle_core::metrics::proportion::wilson;
use rekindle_core::metrics::recovery::timing::{Recommendation, Slot, Timing, delays_of};
use rekindle_proto::v1;

use super::time::to_duration;
use super::{to_difference, to_interval};

/// What came back by when the first message came.
pub(super) fn to_timing(timing: &Timing) -> v1::RecoveryTiming {
    v1::RecoveryTiming {
        by_delay: timing.by_delay.iter().enumerate().map(to_delay).collect(),
        by_hour: timing.by_hour.iter().enumerate().map(to_hour).collect(),
        recommended_delay: timing.recommended_delay.as_ref().map(|found| {
            let (start, end) = delays_of(found.bucket);
            v1::DelayRecommendation {
                start: Some(to_duration(start)),
                end: end.map(to_duration),
                evidence: Some(to_evidence(found)),
            }
        }),
        recommended_hour: timing.recommended_hour.as_ref().map(|found| v1::HourRecommendation {
            hour: found.bucket as i32,
            evidence: Some(to_evidence(found)),
        }),
    }
}

fn to_delay((bucket, slot): (usize, &Slot)) -> v1::DelayBucket {
    let (start, end) = delays_of(bucket);
    v1::DelayBucket { start: Some(to_duration(start)), end: end.map(to_duration), arms: Some(to_arms(slot)) }
}

fn to_hour((hour, slot): (usize, &Slot)) -> v1::HourBucket {
    v1::HourBucket { hour: hour as i32, arms: Some(to_arms(slot)) }
}

fn to_arms(slot: &Slot) -> v1::TimingArms {
    v1::TimingArms {
        treated: Some(to_share(slot.treated)),
        held_out: Some(to_share(slot.held_out)),
        uplift: slot.uplift().as_ref().map(to_difference),
    }
}

fn to_evidence(found: &Recommendation) -> v1::TimingEvidence {
    v1::TimingEvidence {
        chosen: Some(to_share(found.chosen)),
        worst: Some(to_share(found.worst)),
        checked: Some(to_share(found.checked)),
        others: Some(to_share(found.others)),
        holds: found.holds(),
    }
}

fn to_share(share: Ratio) -> v1::TimingShare {
    v1::TimingShare {
        runs: share.denominator,
        recovered: share.numerator,
        interval: wilson(share).map(to_interval),
    }
}

#[cfg(test)]
mod tests {
    use rekindle_core::metrics::recovery::timing::{DELAYS, HOURS};

    use super::*;

    fn of(numerator: i64, denominator: i64) -> Ratio {
        Ratio { numerator, denominator }
    }

    /// 1,875 of 2,500 and 1,500 of 2,500 in one bucket of each kind; treated alone in another.
    fn timing() -> Timing {
        let mut found = Timing {
            by_delay: vec![Slot::default(); DELAYS],
            by_hour: vec![Slot::default(); HOURS],
            ..Timing::default()
        };
        let both = Slot { treated: of(1_875, 2_500), held_out: of(1_500, 2_500) };
        let alone = Slot { treated: of(1, 29), ..Slot::default() };
        (found.by_delay[1], found.by_hour[18]) = (both, both);
        (found.by_delay[10], found.by_hour[0]) = (alone, alone);
        found
    }

    fn spans(buckets: &[v1::DelayBucket]) -> Vec<(i64, Option<i64>)> {
        let span = |it: &v1::DelayBucket| {
            let start = it.start.as_ref().expect("a start").seconds;
            (start, it.end.as_ref().map(|end| end.seconds))
        };
        buckets.iter().map(span).collect()
    }

    #[test]
    fn every_bucket_is_told_with_its_bounds_and_both_arms() {
        let told = to_timing(&timing());
        let spans = spans(&told.by_delay);
        assert_eq!((spans.len(), spans[0], spans[1]), (11, (0, Some(900)), (900, Some(3_600))));
        assert_eq!(spans[10], (7 * 86_400, None));
        let hours: Vec<i32> = told.by_hour.iter().map(|it| it.hour).collect();
        assert_eq!(hours, (0..24).collect::<Vec<_>>());
        for arms in [&told.by_delay[1].arms, &told.by_hour[18].arms] {
            let arms = arms.as_ref().expect("both arms");
            let treated = arms.treated.as_ref().expect("the treated");
            assert_eq!((treated.runs, treated.recovered), (2_500, 1_875));
            // The example of `semantics.md` M18.
            let interval = treated.interval.as_ref().expect("of something");
            assert!((interval.low - 0.732_651_346_898_187_7).abs() < 1e-9, "{interval:?}");
            assert_eq!(arms.held_out.as_ref().map(|it| (it.runs, it.recovered)), Some((2_500, 1_500)));
            assert!((arms.uplift.as_ref().expect("both arms").value - 0.15).abs() < 1e-12);
        }
        for arms in [&told.by_delay[10].arms, &told.by_hour[0].arms] {
            let arms = arms.as_ref().expect("both arms");
            assert!(arms.uplift.is_none() && arms.held_out.as_ref().is_some_and(|it| it.interval.is_none()));
        }
        assert!(told.recommended_delay.is_none() && told.recommended_hour.is_none());
    }

    #[test]
    fn what_is_recommended_is_told_with_what_the_other_half_says() {
        let found = Recommendation {
            bucket: 10,
            chosen: of(40, 60),
            worst: of(10, 60),
            checked: of(12, 20),
            others: of(6, 25),
        };
        let hour = Recommendation { bucket: 18, others: of(18, 25), ..found };
        let told = to_timing(&Timing {
            recommended_delay: Some(found),
            recommended_hour: Some(hour),
            ..Timing::default()
        });
        let delay = told.recommended_delay.as_ref().expect("a delay");
        assert_eq!(delay.start.as_ref().map(|start| start.seconds), Some(7 * 86_400));
        assert_eq!(delay.end, None);
        let evidence = delay.evidence.as_ref().expect("evidence");
        let shares = [&evidence.chosen, &evidence.worst, &evidence.checked, &evidence.others];
        let shares = shares.map(|share| share.as_ref().map(|it| (it.recovered, it.runs)));
        assert_eq!(shares, [Some((40, 60)), Some((10, 60)), Some((12, 20)), Some((6, 25))]);
        assert!(evidence.holds);
        let hour = told.recommended_hour.as_ref().expect("an hour");
        assert_eq!((hour.hour, hour.evidence.as_ref().map(|it| it.holds)), (18, Some(false)));
    }
}
