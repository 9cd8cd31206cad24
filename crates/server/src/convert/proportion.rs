//! Shares, and what can be said of them, as messages.

use rekindle_core::metrics::Ratio;
use rekindle_core::metrics::proportion::{Difference, Interval};
use rekindle_proto::v1;

/// A share as two numbers.
pub fn to_ratio(ratio: Ratio) -> v1::Ratio {
    v1::Ratio { numerator: ratio.numerator, denominator: ratio.denominator }
}

/// An interval.
pub fn to_interval(interval: Interval) -> v1::Interval {
    v1::Interval { low: interval.low, high: interval.high }
}

/// The difference of two shares.
pub fn to_difference(difference: &Difference) -> v1::ShareDifference {
    v1::ShareDifference {
        value: difference.value,
        interval: Some(to_interval(difference.interval)),
        p_value: difference.p_value,
    }
}
