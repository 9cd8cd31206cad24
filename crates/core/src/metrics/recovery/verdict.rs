//! What may be said of the treated beside those held out.

use super::{Comparison, Recovery};
use crate::metrics::proportion::Difference;

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// An arm is empty.
    Incomparable,
    /// Not as many are held out as should be: nothing can be said.
    Untrusted,
    /// The uplift may as well be none: zero lies in its interval.
    Undecided,
    /// More come back, and no guard rail says otherwise.
    Better,
    /// A guard rail is broken: whatever the uplift, it is no winner.
    Harmful,
    /// Fewer come back.
    Worse,
}

impl Recovery {
    /// What one of its comparisons comes to: both arms, or a variant in them.
    pub fn verdict(&self, arms: &Comparison) -> Verdict {
        if self.sample_ratio.is_mismatch() {
            return Verdict::Untrusted;
        }
        match arms.uplift() {
            None => Verdict::Incomparable,
            Some(uplift) if uplift.is_less() => Verdict::Worse,
            Some(_) if arms.is_harmful() => Verdict::Harmful,
            Some(uplift) if uplift.is_more() => Verdict::Better,
            Some(_) => Verdict::Undecided,
        }
    }
}

impl Comparison {
    /// Whether a guard rail is broken: more of the treated unsubscribe, or fewer are satisfied,
    /// and the 95 % interval leaves no doubt of it. Looked at from the side of harm alone, that is
    /// a test at 2.5 %; small counts pass it by their wide intervals (`semantics.md` M17).
    pub fn is_harmful(&self) -> bool {
        let unsubscribes = self.unsubscribed().as_ref().is_some_and(Difference::is_more);
        unsubscribes || self.satisfied().as_ref().is_some_and(Difference::is_less)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Counts, SampleRatio};
    use super::*;

    /// 240 of 800 come back, and 40 of 200 by themselves: an uplift of 0.0318 to 0.1593.
    fn lifting() -> Comparison {
        Comparison {
            treated: Counts { eligible: 800, recovered: 240, ..Counts::default() },
            held_out: Counts { eligible: 200, recovered: 40, ..Counts::default() },
        }
    }

    fn rated(treated: (i64, i64), held_out: (i64, i64)) -> Comparison {
        let mut arms = lifting();
        (arms.treated.satisfied, arms.treated.rated) = treated;
        (arms.held_out.satisfied, arms.held_out.rated) = held_out;
        arms
    }

    fn verdict(arms: Comparison) -> Verdict {
        verdict_with(arms, None)
    }

    fn verdict_with(arms: Comparison, p_value: Option<f64>) -> Verdict {
        let sample_ratio = SampleRatio { assigned: 1_000, held_out: 200, expected: 200.0, p_value };
        let recovery = Recovery { arms, variants: BTreeMap::new(), sample_ratio };
        recovery.verdict(&recovery.arms)
    }

    /// Newcombe's interval and the pooled z test by their formulas, with 15 digits.
    #[test]
    fn an_arm_that_lifts_returns_and_lowers_satisfaction_is_no_winner() {
        assert_eq!(verdict(lifting()), Verdict::Better);
        // 0.60 where 0.75 are satisfied.
        let lowered = rated((180, 300), (75, 100));
        let found = lowered.satisfied().expect("both are rated");
        assert!((found.value + 0.15).abs() < 1e-12);
        assert!((found.interval.low + 0.243_457_052_357_233_47).abs() < 1e-9);
        assert!((found.interval.high + 0.042_503_530_772_625_045).abs() < 1e-9);
        assert!((found.p_value.expect("large enough") - 0.006_886_903_618_230_412).abs() < 1e-9);
        assert_eq!(verdict(lowered), Verdict::Harmful);
        // The same shares of a few are −0.338 to 0.054, and no proof of harm.
        assert_eq!(verdict(rated((24, 40), (30, 40))), Verdict::Better);
        assert_eq!(verdict(rated((225, 300), (60, 100))), Verdict::Better);
        // Nobody to compare with was rated.
        assert_eq!(verdict(rated((0, 300), (0, 0))), Verdict::Better);
    }

    #[test]
    fn an_arm_from_which_more_unsubscribe_is_no_winner() {
        let mut arms = lifting();
        // 0.0375 and 0.005: 0.0072 to 0.0486 more.
        (arms.treated.unsubscribed, arms.held_out.unsubscribed) = (30, 1);
        assert_eq!(verdict(arms.clone()), Verdict::Harmful);
        // 0.025 of both.
        (arms.treated.unsubscribed, arms.held_out.unsubscribed) = (20, 5);
        assert_eq!(verdict(arms), Verdict::Better);
    }

    #[test]
    fn what_cannot_be_told_is_not_told() {
        assert_eq!(verdict_with(lifting(), Some(0.000_9)), Verdict::Untrusted);
        assert_eq!(verdict(Comparison { held_out: Counts::default(), ..lifting() }), Verdict::Incomparable);
        let mut arms = lifting();
        arms.treated.recovered = 160;
        assert_eq!(verdict(arms.clone()), Verdict::Undecided);
        arms.treated.recovered = 40;
        assert_eq!(verdict(arms), Verdict::Worse);
    }
}
