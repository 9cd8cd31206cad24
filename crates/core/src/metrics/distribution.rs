//! Distributions of durations, exact.

/// A distribution of durations in seconds; all figures are 0 when `n` is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Distribution {
    /// Number of durations.
    pub n: i64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// Three quarters lie at or below.
    pub p75: f64,
    /// Nine tenths lie at or below.
    pub p90: f64,
    /// Nineteen twentieths lie at or below.
    pub p95: f64,
    /// Shortest.
    pub min: f64,
    /// Longest.
    pub max: f64,
}

const MICROS: f64 = 1e6;

impl Distribution {
    /// The distribution of durations given in microseconds.
    pub fn of(mut micros: Vec<i64>) -> Self {
        let (Some(_), n) = (micros.first(), micros.len()) else {
            return Self::default();
        };
        micros.sort_unstable();
        let total: i128 = micros.iter().map(|&span| i128::from(span)).sum();
        Self {
            n: n as i64,
            mean: total as f64 / n as f64 / MICROS,
            p50: quantile(&micros, 0.5),
            p75: quantile(&micros, 0.75),
            p90: quantile(&micros, 0.9),
            p95: quantile(&micros, 0.95),
            min: micros[0] as f64 / MICROS,
            max: micros[n - 1] as f64 / MICROS,
        }
    }
}

/// Linear interpolation at position `q * (n - 1)` of sorted values, in seconds.
fn quantile(sorted: &[i64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let below = sorted[position.floor() as usize] as f64;
    let above = sorted[position.ceil() as usize] as f64;
    (below + (above - below) * position.fract()) / MICROS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let found = Distribution::of(vec![4_000_000, 1_000_000, 2_000_000, 3_000_000]);
        assert_eq!((found.n, found.mean, found.p50, found.p75), (4, 2.5, 2.5, 3.25));
    }

    #[test]
    fn nothing_has_no_distribution() {
        assert_eq!(Distribution::of(Vec::new()), Distribution::default());
    }
}
