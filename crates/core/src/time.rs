//! Instants and spans as integers of microseconds.

use serde::{Deserialize, Serialize};

/// Microseconds in a second.
pub const SECOND: i64 = 1_000_000;
/// Microseconds in a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Microseconds in an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Microseconds in a day of 24 hours.
pub const DAY: i64 = 24 * HOUR;

/// An instant: microseconds since 1970-01-01T00:00:00Z, leap seconds ignored.
///
/// Values that enter the service lie between the years 2000 and 2100, so sums
/// with any accepted duration (at most five years) stay far from overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The first instant the service accepts: 2000-01-01T00:00:00Z.
    pub const EARLIEST: Self = Self(946_684_800 * SECOND);
    /// The first instant the service no longer accepts: 2100-01-01T00:00:00Z.
    pub const LATEST: Self = Self(4_102_444_800 * SECOND);

    /// The instant `span` microseconds later (earlier when negative), kept within `i64`.
    #[must_use]
    pub const fn plus(self, span: i64) -> Self {
        Self(self.0.saturating_add(span))
    }

    /// Microseconds from `earlier` to `self`.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whether the service accepts the instant.
    pub fn is_acceptable(self) -> bool {
        (Self::EARLIEST..Self::LATEST).contains(&self)
    }

    /// Whole seconds and the nanoseconds that remain, as protobuf writes an instant.
    pub const fn to_parts(self) -> (i64, i32) {
        (self.0.div_euclid(SECOND), (self.0.rem_euclid(SECOND) * 1_000) as i32)
    }

    /// An instant from whole seconds and nanoseconds; nanoseconds are cut to microseconds.
    pub const fn from_parts(seconds: i64, nanos: i32) -> Self {
        Self(seconds.saturating_mul(SECOND).saturating_add(nanos as i64 / 1_000))
    }

    /// RFC 3339 in UTC, with as many digits of the fraction as it has.
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_microsecond(self.0).map_or_else(|_| self.0.to_string(), |t| t.to_string())
    }

    /// Reads RFC 3339.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_microsecond()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_before_the_epoch_split_downwards() {
        assert_eq!(Timestamp(-1).to_parts(), (-1, 999_999_000));
        assert_eq!(Timestamp::from_parts(-1, 999_999_000), Timestamp(-1));
    }

    #[test]
    fn rfc_3339_survives_a_round_trip() {
        let at = Timestamp::parse("2008-04-27T07:00:00.25Z").expect("a valid instant");
        assert_eq!(at.to_rfc3339(), "2008-04-27T07:00:00.25Z");
    }
}
