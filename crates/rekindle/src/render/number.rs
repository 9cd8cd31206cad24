//! Numbers as people read them.

use rekindle_proto::v1;

/// What stands where there is no number.
pub const NOTHING: &str = "–";

/// A count with commas between thousands.
pub fn count(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    if value < 0 {
        text.push('-');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate in per cent with one decimal; a dash where it is not defined.
pub fn percent(ratio: Option<&v1::Ratio>) -> String {
    rate(ratio).map_or_else(|| NOTHING.to_owned(), |rate| format!("{:.1}%", rate * 100.0))
}

/// A rate as a fraction; nothing where it is not defined.
pub fn rate(ratio: Option<&v1::Ratio>) -> Option<f64> {
    ratio
        .filter(|ratio| ratio.denominator != 0)
        .map(|ratio| ratio.numerator as f64 / ratio.denominator as f64)
}

/// The interval of a rate, in per cent.
pub fn interval(interval: &v1::Interval) -> String {
    format!("{:.1} – {:.1} %", 100.0 * interval.low, 100.0 * interval.high)
}

/// The interval of a difference of rates, in points.
pub fn points(interval: &v1::Interval) -> String {
    format!("{:+.1} to {:+.1}", 100.0 * interval.low, 100.0 * interval.high)
}

/// A duration in its two largest units, such as `2h 05m`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return NOTHING.to_owned();
    }
    if seconds.abs() < 9.95 && seconds.fract() != 0.0 {
        return format!("{seconds:.1}s");
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    let whole = seconds.abs().round() as u64;
    let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86_400);
    match whole {
        0..60 => format!("{sign}{whole}s"),
        60..3600 => format!("{sign}{minutes}m {:02}s", whole % 60),
        3600..86_400 => format!("{sign}{hours}h {:02}m", minutes % 60),
        _ => format!("{sign}{days}d {:02}h", hours % 24),
    }
}

/// An instant to the second, in UTC.
pub fn instant(time: Option<&pbjson_types::Timestamp>) -> String {
    time.and_then(|time| jiff::Timestamp::new(time.seconds, 0).ok())
        .map_or_else(|| NOTHING.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_parted() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(-12_345), "-12,345");
    }

    #[test]
    fn durations_are_told_in_two_units() {
        assert_eq!(duration(0.25), "0.2s");
        assert_eq!(duration(45.0), "45s");
        assert_eq!(duration(125.4), "2m 05s");
        assert_eq!(duration(7_500.0), "2h 05m");
        assert_eq!(duration(277_200.0), "3d 05h");
        assert_eq!(duration(-90.0), "-1m 30s");
    }

    #[test]
    fn a_rate_of_nothing_is_a_dash() {
        let of = |numerator, denominator| v1::Ratio { numerator, denominator };
        assert_eq!(percent(Some(&of(1, 3))), "33.3%");
        assert_eq!(percent(Some(&of(0, 0))), NOTHING);
        assert_eq!(percent(None), NOTHING);
    }

    #[test]
    fn an_instant_is_told_in_utc() {
        let time = pbjson_types::Timestamp { seconds: 1_767_225_600, nanos: 5 };
        assert_eq!(instant(Some(&time)), "2026-01-01 00:00:00 UTC");
        assert_eq!(instant(None), NOTHING);
    }
}
