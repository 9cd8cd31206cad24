//! Calendar buckets in a zone.

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::calendar::instant_of;
use crate::time::Timestamp;

/// The hour from which on clocks could go back over the midnight before: no zone goes back further.
const LATE: i8 = 21;

/// Width of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granularity {
    /// A calendar day.
    Day,
    /// A week that begins on Monday.
    Week,
    /// A calendar month.
    Month,
}

/// How a trend is cut.
#[derive(Debug, Clone)]
pub struct TrendSpec {
    /// Width.
    pub granularity: Granularity,
    /// Zone whose calendar counts.
    pub zone: TimeZone,
}

/// One bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bucket {
    /// Its first day.
    pub start_date: Date,
    /// Its first instant.
    pub starts_at: Timestamp,
    /// The first instant after it.
    pub ends_at: Timestamp,
}

impl TrendSpec {
    /// The first day of the bucket that holds an instant.
    pub fn date_of(&self, at: Timestamp) -> Date {
        // Instants of the service lie in the years 2000 to 2100, which jiff always holds.
        let instant = jiff::Timestamp::from_microsecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let wall = self.zone.to_datetime(instant);
        let mut date = wall.date();
        // Where clocks go back over midnight, the evening that comes a second time is the next
        // day's: days follow each other without a gap or an overlap.
        if wall.hour() >= LATE && at >= self.midnight(date.saturating_add(jiff::Span::new().days(1))) {
            date = date.saturating_add(jiff::Span::new().days(1));
        }
        match self.granularity {
            Granularity::Day => date,
            Granularity::Week => {
                let since_monday = date.weekday().to_monday_zero_offset();
                date.saturating_sub(jiff::Span::new().days(since_monday))
            }
            Granularity::Month => date.first_of_month(),
        }
    }

    /// The bucket that begins on a day.
    pub fn bucket(&self, start_date: Date) -> Bucket {
        let span = match self.granularity {
            Granularity::Day => jiff::Span::new().days(1),
            Granularity::Week => jiff::Span::new().weeks(1),
            Granularity::Month => jiff::Span::new().months(1),
        };
        Bucket {
            start_date,
            starts_at: self.midnight(start_date),
            ends_at: self.midnight(start_date.saturating_add(span)),
        }
    }

    fn midnight(&self, date: Date) -> Timestamp {
        instant_of(date.at(0, 0, 0, 0), &self.zone).unwrap_or(Timestamp::LATEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_go_back_over_midnight_leave_no_instant_without_its_day() {
        // On 2009-11-01 St. John's went from 00:01 back to 23:01, at 02:31 UTC.
        let zone = TimeZone::get("America/St_Johns").expect("a known zone");
        let spec = TrendSpec { granularity: Granularity::Day, zone };
        for (text, day) in [
            ("2009-11-01T02:29:59Z", "2009-10-31"),
            ("2009-11-01T02:30:30Z", "2009-11-01"),
            ("2009-11-01T02:45:00Z", "2009-11-01"),
            ("2009-11-01T03:45:00Z", "2009-11-01"),
        ] {
            let at = Timestamp::parse(text).expect("a valid instant");
            let bucket = spec.bucket(spec.date_of(at));
            assert_eq!(bucket.start_date.to_string(), day, "{text}");
            assert!((bucket.starts_at..bucket.ends_at).contains(&at), "{text}");
        }
    }

    #[test]
    fn a_week_begins_on_monday_in_its_zone() {
        let spec = TrendSpec {
            granularity: Granularity::Week,
            zone: TimeZone::get("Pacific/Auckland").expect("a known zone"),
        };
        let sunday_in_utc = Timestamp::parse("2026-03-01T20:00:00Z").expect("a valid instant");
        let bucket = spec.bucket(spec.date_of(sunday_in_utc));
        assert_eq!(bucket.start_date.to_string(), "2026-03-02");
        assert_eq!(bucket.starts_at.to_rfc3339(), "2026-03-01T11:00:00Z");
    }
}
