//! Whether units are shared out as their weights say.

use super::proportion::LEAST_EXPECTED;
use super::recovery::MISMATCH;

/// Pearson's chi-square test of counts against the weights by which they were drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fit {
    /// Units that were counted.
    pub counted: i64,
    /// How far the counts lie from what the weights make expect: the sum of
    /// `(count − expected)² / expected`.
    pub chi_square: f64,
    /// Probability of counts at least as far, if the weights hold; absent where fewer than five
    /// are expected of one of them, since the approximation needs that many.
    pub p_value: Option<f64>,
}

impl Fit {
    /// Compares counts with weights, one for each, all above 0; there are at least two.
    pub fn of(counts: &[i64], weights: &[u32]) -> Self {
        let counted: i64 = counts.iter().sum();
        let all: f64 = weights.iter().copied().map(f64::from).sum();
        let expected = weights.iter().map(|weight| counted as f64 * f64::from(*weight) / all);
        let least = expected.clone().fold(f64::INFINITY, f64::min);
        let chi_square: f64 = if counted == 0 {
            0.0
        } else {
            let off = |(count, expected): (&i64, f64)| (*count as f64 - expected).powi(2) / expected;
            counts.iter().zip(expected).map(off).sum()
        };
        let p_value = (least >= LEAST_EXPECTED).then(|| upper_tail(chi_square, counts.len() - 1));
        Self { counted, chi_square, p_value }
    }

    /// Whether results are not to be trusted.
    pub fn is_mismatch(&self) -> bool {
        self.p_value.is_some_and(|p| p < MISMATCH)
    }
}

/// Probability that a chi-square value of so many degrees of freedom, at least one, is as large.
///
/// With `z` half the value: of one degree it is `erfc √z`, of two `e^−z`, and two degrees more add
/// a term, `Q(a + 1, z) = Q(a, z) + z^a e^−z / Γ(a + 1)` with `a` half the degrees (DLMF 8.8.6,
/// <https://dlmf.nist.gov/8.8.E6>).
fn upper_tail(chi_square: f64, degrees: usize) -> f64 {
    let z = chi_square / 2.0;
    let (mut a, mut tail, mut term) = if degrees % 2 == 1 {
        // Γ(3/2) is half of √π.
        (0.5, libm::erfc(z.sqrt()), z.sqrt() * (-z).exp() * std::f64::consts::FRAC_2_SQRT_PI)
    } else {
        (1.0, (-z).exp(), z * (-z).exp())
    };
    for _ in 0..degrees.saturating_sub(1) / 2 {
        tail += term;
        a += 1.0;
        term *= z / a;
    }
    tail
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} is not {expected}");
    }

    /// By the series of the lower incomplete gamma function (DLMF 8.7.1), summed to 58 digits.
    #[test]
    fn counts_are_compared_by_pearsons_test() {
        for (counts, weights, chi_square, p) in [
            (vec![480, 520], vec![1, 1], 1.6, 0.205_903_210_732_068_3),
            (vec![900, 1_100], vec![1, 1], 20.0, 7.744_216_431_044_084e-6),
            (vec![100, 120, 80], vec![1, 1, 1], 8.0, 0.018_315_638_888_734_18),
            (vec![5_000, 5_200, 9_800], vec![1, 1, 2], 12.0, 0.002_478_752_176_666_358_5),
            (vec![30, 14, 34, 45], vec![1, 1, 1, 1], 16.089_430_894_308_943, 0.001_087_099_768_232_024_7),
            (vec![260, 310, 640, 790], vec![1, 1, 2, 3], 17.866_666_666_666_667, 0.000_468_595_602_555_078_2),
            (
                vec![55, 210, 140, 95, 100],
                vec![1, 4, 3, 2, 2],
                1.916_666_666_666_666_7,
                0.751_082_663_549_441_8,
            ),
            (vec![300, 330, 310, 290, 350], vec![1; 5], 7.341_772_151_898_734, 0.118_892_294_448_841_82),
        ] {
            let fit = Fit::of(&counts, &weights);
            assert_near(fit.chi_square, chi_square);
            assert_near(fit.p_value.expect("enough of all"), p);
            assert_eq!(fit.is_mismatch(), p < 0.001, "{counts:?}");
        }
    }

    /// The tables of every textbook: 5 % and 0.1 %.
    #[test]
    fn critical_values_are_those_of_the_tables() {
        for (degrees, at_5, at_a_tenth) in
            [(1, 3.841, 10.828), (2, 5.991, 13.816), (3, 7.815, 16.266), (4, 9.488, 18.467)]
        {
            assert!((upper_tail(at_5, degrees) - 0.05).abs() < 2e-5, "{degrees}");
            assert!((upper_tail(at_a_tenth, degrees) - 0.001).abs() < 1e-6, "{degrees}");
            assert!((upper_tail(0.0, degrees) - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn of_few_nothing_is_said() {
        let fit = Fit::of(&[9, 0], &[1, 1]);
        assert_eq!((fit.counted, fit.p_value), (9, None));
        assert!(!fit.is_mismatch());
        assert!(Fit::of(&[10, 0], &[1, 1]).p_value.is_some());
        let none = Fit::of(&[0, 0], &[1, 1]);
        assert_eq!((none.counted, none.p_value), (0, None));
        assert!(none.chi_square.abs() < f64::EPSILON);
    }
}
