//! What can be said of shares: intervals and tests.

use super::Ratio;

/// Two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;
/// Least expected count of any outcome for approximations by the normal distribution.
pub(super) const LEAST_EXPECTED: f64 = 5.0;

/// A 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// The difference of two shares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The first share less the second.
    pub value: f64,
    /// Its 95 % interval.
    pub interval: Interval,
    /// Probability of a difference at least as large, either way, if there were none; absent
    /// where the counts are too small for the approximation.
    pub p_value: Option<f64>,
}

impl Difference {
    /// Whether the first share is the larger one, wherever in the interval the difference lies.
    pub fn is_more(&self) -> bool {
        self.interval.low > 0.0
    }

    /// Whether the first share is the smaller one, wherever in the interval the difference lies.
    pub fn is_less(&self) -> bool {
        self.interval.high < 0.0
    }
}

/// Wilson's score interval of a share; nothing of nothing.
///
/// Wilson 1927, without continuity correction (`semantics.md` M18).
pub fn wilson(share: Ratio) -> Option<Interval> {
    let (k, n) = (share.numerator as f64, share.denominator as f64);
    if share.denominator <= 0 {
        return None;
    }
    let middle = (k + Z * Z / 2.0) / (n + Z * Z);
    let half = Z / (n + Z * Z) * (k * (n - k) / n + Z * Z / 4.0).sqrt();
    // The ends of none and of all are exact.
    let low = if share.numerator == 0 { 0.0 } else { (middle - half).max(0.0) };
    let high = if share.numerator == share.denominator { 1.0 } else { (middle + half).min(1.0) };
    Some(Interval { low, high })
}

/// The difference of two independent shares; nothing where one of them is of nothing.
///
/// The interval is Newcombe's hybrid score interval (Newcombe 1998, method 10), the test the
/// pooled two-proportion z test (`semantics.md` M16, M17).
pub fn difference(one: Ratio, other: Ratio) -> Option<Difference> {
    let (a, b) = (wilson(one)?, wilson(other)?);
    let share = |ratio: Ratio| ratio.numerator as f64 / ratio.denominator as f64;
    let (p, q) = (share(one), share(other));
    let reach = |x: f64, y: f64| (x * x + y * y).sqrt();
    let value = p - q;
    let interval =
        Interval { low: value - reach(p - a.low, b.high - q), high: value + reach(a.high - p, q - b.low) };
    Some(Difference { value, interval, p_value: two_proportions(one, other) })
}

fn two_proportions(one: Ratio, other: Ratio) -> Option<f64> {
    let (n, m) = (one.denominator as f64, other.denominator as f64);
    let pooled = (one.numerator + other.numerator) as f64 / (n + m);
    let least = n.min(m) * pooled.min(1.0 - pooled);
    if least < LEAST_EXPECTED {
        return None;
    }
    let deviation = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    let difference = one.numerator as f64 / n - other.numerator as f64 / m;
    Some(two_sided(difference / deviation))
}

/// Probability that a standard normal value lies at least so far from 0, either way.
pub fn two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numerator: i64, denominator: i64) -> Ratio {
        Ratio { numerator, denominator }
    }

    fn assert_near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    /// Against statsmodels 0.15.0, `proportion_confint(…, method="wilson")`; the first is the
    /// example of `semantics.md` M18.
    #[test]
    fn intervals_of_shares_are_wilsons() {
        for (k, n, low, high) in [
            (1_875, 2_500, 0.732_651_346_898_187_7, 0.766_581_540_070_921),
            (0, 10, 0.0, 0.277_532_799_862_889_26),
            (10, 10, 0.722_467_200_137_110_7, 1.0),
            (1, 29, 0.006_113_214_292_762_667, 0.171_755_218_793_202_93),
            (81, 263, 0.255_288_519_878_274_2, 0.366_209_576_982_8),
            (15, 148, 0.062_386_399_530_736_28, 0.160_487_241_723_308_03),
        ] {
            let found = wilson(of(k, n)).expect("of something");
            assert_near(found.low, low);
            assert_near(found.high, high);
        }
        assert_eq!(wilson(of(0, 0)), None);
    }

    /// The eight examples of table II of Newcombe 1998 (Statistics in Medicine 17, 873–890), to
    /// its four places, and one by statsmodels 0.15.0.
    #[test]
    fn intervals_of_differences_are_newcombes() {
        for (k, n, j, m, low, high) in [
            (56, 70, 48, 80, 0.0524, 0.3339),
            (9, 10, 3, 10, 0.1705, 0.8090),
            (6, 7, 2, 7, 0.0582, 0.8062),
            (5, 56, 0, 29, -0.0381, 0.1926),
            (0, 10, 0, 20, -0.1611, 0.2775),
            (0, 10, 0, 10, -0.2775, 0.2775),
            (10, 10, 0, 20, 0.6791, 1.0000),
            (10, 10, 0, 10, 0.6075, 1.0000),
        ] {
            let found = difference(of(k, n), of(j, m)).expect("of something").interval;
            let near = |found: f64, published: f64| (found - published).abs() < 0.000_051;
            assert!(near(found.low, low) && near(found.high, high), "{k}/{n} {j}/{m}: {found:?}");
        }
        let found = difference(of(421, 1_800), of(81, 420)).expect("of something");
        assert_near(found.interval.low, -0.003_646_252_706_014_527);
        assert_near(found.interval.high, 0.081_293_758_518_468_46);
    }

    /// Against statsmodels 0.15.0, `proportions_ztest`, and `norm.sf` of its `scipy` 1.17.1.
    #[test]
    fn tests_of_differences_are_the_pooled_z_test() {
        for (k, n, j, m, p) in [
            (56, 70, 48, 80, 0.008_045_081_368_196_56),
            (421, 1_800, 81, 420, 0.070_285_853_996_719_05),
            (30, 500, 60, 500, 0.000_916_537_076_114_533_8),
            (5_000, 10_000, 5_200, 10_000, 0.004_669_472_320_357_51),
        ] {
            assert_near(difference(of(k, n), of(j, m)).and_then(|it| it.p_value).expect("large enough"), p);
        }
        assert_eq!(difference(of(1, 40), of(2, 40)).expect("of something").p_value, None);
        for (z, p) in [(0.0, 1.0), (0.5, 0.617_075_077_451_973_8), (1.96, 0.049_995_790_296_440_87)] {
            assert_near(two_sided(z), p);
            assert_near(two_sided(-z), p);
        }
    }
}
