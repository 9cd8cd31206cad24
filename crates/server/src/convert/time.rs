//! Instants, durations and periods.

use pbjson_types as pb;
use rekindle_core::Timestamp;
use rekindle_core::funnel::validate::LONGEST;
use rekindle_core::metrics::Period;
use rekindle_core::time::SECOND;
use rekindle_core::violation::Violations;
use rekindle_proto::v1;

const NANOS: std::ops::Range<i32> = 0..1_000_000_000;

/// Reads an instant in the years 2000 to 2099, cut to microseconds; notes anything else.
pub fn instant(at: &pb::Timestamp, field: &str, v: &mut Violations) -> Option<Timestamp> {
    let read = Timestamp::from_parts(at.seconds, at.nanos);
    let fits = NANOS.contains(&at.nanos) && read.is_acceptable();
    v.require(fits, field, "takes an instant in the years 2000 to 2099 with nanos from 0 to 999999999");
    fits.then_some(read)
}

/// An instant as a message.
pub fn to_instant(at: Timestamp) -> pb::Timestamp {
    let (seconds, nanos) = at.to_parts();
    pb::Timestamp { seconds, nanos }
}

/// Reads a duration from 0 to five years, cut to microseconds; notes anything else.
pub fn duration(span: &pb::Duration, field: &str, v: &mut Violations) -> Option<i64> {
    let micros = span.seconds.saturating_mul(SECOND).saturating_add(i64::from(span.nanos) / 1_000);
    let fits = NANOS.contains(&span.nanos) && (0..=LONGEST).contains(&micros);
    v.require(fits, field, "takes a duration from 0 to five years");
    fits.then_some(micros)
}

/// Microseconds, not negative, as a message.
pub fn to_duration(micros: i64) -> pb::Duration {
    pb::Duration { seconds: micros.div_euclid(SECOND), nanos: (micros.rem_euclid(SECOND) * 1_000) as i32 }
}

/// Reads a period whose end, if both are given, is later than its start.
pub fn period(period: &v1::Period, field: &str, v: &mut Violations) -> Period {
    let mut read = Period::default();
    v.within(field, |v| {
        read.from = period.start_time.as_ref().and_then(|at| instant(at, "startTime", v));
        read.until = period.end_time.as_ref().and_then(|at| instant(at, "endTime", v));
        let ordered = read.from.zip(read.until).is_none_or(|(from, until)| from < until);
        v.require(ordered, "endTime", "must be later than startTime");
    });
    read
}

/// A period as a message.
pub fn to_period(period: &Period) -> v1::Period {
    v1::Period { start_time: period.from.map(to_instant), end_time: period.until.map(to_instant) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(v: Violations) -> Vec<String> {
        v.into_vec().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn instants_survive_to_the_microsecond() {
        let at = Timestamp::parse("2026-03-01T12:00:00.123456Z").expect("a valid instant");
        let mut v = Violations::new();
        assert_eq!(instant(&to_instant(at), "t", &mut v), Some(at));
        assert!(v.is_empty());
    }

    #[test]
    fn instants_outside_the_years_or_with_wild_nanos_are_refused() {
        let fine = to_instant(Timestamp::EARLIEST);
        let wrong = [
            pb::Timestamp { seconds: fine.seconds - 1, nanos: 999_999_999 },
            to_instant(Timestamp::LATEST),
            pb::Timestamp { nanos: -1, ..fine },
            pb::Timestamp { nanos: 1_000_000_000, ..fine },
            pb::Timestamp { seconds: i64::MAX, nanos: 0 },
            pb::Timestamp { seconds: i64::MIN, nanos: 0 },
        ];
        for at in wrong {
            let mut v = Violations::new();
            assert_eq!(instant(&at, "occurTime", &mut v), None, "{at:?}");
            assert_eq!(fields(v), ["occurTime"]);
        }
    }

    #[test]
    fn durations_from_nothing_to_five_years_survive() {
        for micros in [0, 1, 90 * SECOND, LONGEST] {
            let mut v = Violations::new();
            assert_eq!(duration(&to_duration(micros), "d", &mut v), Some(micros));
        }
        for (seconds, nanos) in [(-1, 0), (0, -1), (i64::MAX, 0), (LONGEST / SECOND, 1_000)] {
            let mut v = Violations::new();
            assert_eq!(duration(&pb::Duration { seconds, nanos }, "after", &mut v), None);
            assert_eq!(fields(v), ["after"]);
        }
    }

    #[test]
    fn a_period_that_ends_before_it_starts_is_refused() {
        let at = to_instant(Timestamp::EARLIEST);
        let message = v1::Period { start_time: Some(at), end_time: Some(at) };
        let mut v = Violations::new();
        period(&message, "period", &mut v);
        assert_eq!(fields(v), ["period.endTime"]);
    }
}
