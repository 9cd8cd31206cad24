//! Business time: opening hours in a zone, with holidays written out as dates.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{Datelike, NaiveDate, NaiveDateTime, Timelike};
use compact_calendar::CompactCalendar;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, ToSpan};
use opening_hours::{Context, ContextHolidays, OpeningHours, RuleKind};
use serde::{Deserialize, Serialize};

use crate::time::{DAY, Timestamp};
use crate::violation::Violations;

/// Days that a time of day is looked for in: a week, and zones have left out days.
const DAYS_AHEAD: i64 = 15;
/// How far ahead business time is looked for before a calendar counts as closed for good.
const HORIZON: i64 = 366 * 5 * DAY;

/// A calendar as written: immutable once a funnel revision has pinned it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CalendarSpec {
    /// Hours in the OpenStreetMap syntax, such as `Mo-Fr 09:00-18:00; PH off`.
    pub hours: String,
    /// Holidays (`PH`) as `YYYY-MM-DD`.
    #[serde(default)]
    pub holidays: Vec<String>,
    /// IANA zone the hours are meant in.
    pub zone: String,
}

/// Hours and holidays that hold in whatever zone they are asked about.
#[derive(Clone)]
pub struct Hours(OpeningHours);

impl std::fmt::Debug for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Hours").field(&self.0.to_string()).finish()
    }
}

impl Hours {
    /// Reads hours in the OpenStreetMap syntax and holidays as `YYYY-MM-DD`; adds a violation for
    /// each wrong field.
    pub fn compile(hours: &str, holidays: &[String], violations: &mut Violations) -> Option<Self> {
        let mut days = CompactCalendar::default();
        for (place, day) in holidays.iter().enumerate() {
            // The format alone would take years of any length.
            let date = (day.len() == 10).then(|| NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()).flatten();
            match date {
                Some(date) => {
                    days.insert(date);
                }
                None => violations.add(&format!("holidays[{place}]"), "not a date of the form YYYY-MM-DD"),
            }
        }
        let hours = (hours.len() <= 1024).then(|| hours.parse::<OpeningHours>().ok()).flatten();
        let Some(hours) = hours else {
            violations.add("hours", "not opening hours such as Mo-Fr 09:00-18:00; PH off");
            return None;
        };
        let holidays = ContextHolidays::new(Arc::new(days), Arc::default());
        Some(Self(hours.with_context(Context::default().with_holidays(holidays))))
    }

    /// The same, meant in a zone.
    pub fn within(&self, zone: TimeZone) -> Calendar {
        Calendar { hours: self.0.clone(), zone }
    }
}

/// A calendar ready to measure with.
#[derive(Clone)]
pub struct Calendar {
    hours: OpeningHours,
    zone: TimeZone,
}

impl std::fmt::Debug for Calendar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calendar").field("zone", &self.zone).finish_non_exhaustive()
    }
}

impl Calendar {
    /// Reads a specification; adds a violation for each wrong field.
    pub fn compile(spec: &CalendarSpec, violations: &mut Violations) -> Option<Self> {
        let zone = zone_named(&spec.zone);
        violations.require(zone.is_some(), "zone", "not a zone of the IANA database");
        let calendar = Hours::compile(&spec.hours, &spec.holidays, violations)?.within(zone?);
        let opens = calendar.add(Timestamp::EARLIEST.plus(25 * 365 * DAY), 1).is_some();
        violations.require(opens, "hours", "never open within five years");
        Some(calendar)
    }

    /// The first instant at or after `at` at which it is open; `None` when there is none within
    /// five years.
    pub fn next_open(&self, at: Timestamp) -> Option<Timestamp> {
        let first = self.stretches(at, at.plus(HORIZON))?.find(|(_, closes)| *closes > at);
        first.map(|(opens, _)| opens.max(at))
    }

    /// The first instant at or after `at` at which it is closed; `None` when there is none within
    /// five years.
    pub fn next_closed(&self, at: Timestamp) -> Option<Timestamp> {
        let mut free = at;
        for (opens, closes) in self.stretches(at, at.plus(HORIZON))? {
            if opens > free {
                return Some(free);
            }
            free = free.max(closes);
        }
        (free < at.plus(HORIZON)).then_some(free)
    }

    /// The instant at which `span` microseconds of open time have passed since `start`;
    /// `None` when five years do not hold that much.
    pub fn add(&self, start: Timestamp, span: i64) -> Option<Timestamp> {
        let mut left = span;
        for (opens, closes) in self.stretches(start, start.plus(HORIZON))? {
            let opens = opens.max(start);
            let open = closes.since(opens).max(0);
            if left <= open {
                return Some(opens.plus(left));
            }
            left -= open;
        }
        None
    }

    /// When it opens and closes again, from one instant to another by the wall clock of its zone.
    fn stretches(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Option<impl Iterator<Item = (Timestamp, Timestamp)> + use<'_>> {
        let stretches = self.hours.iter_range(self.local(from)?, self.local(until)?);
        let open = stretches.filter(|stretch| stretch.kind == RuleKind::Open);
        let instants =
            open.map_while(|open| Some((self.instant(open.range.start)?, self.instant(open.range.end)?)));
        // Hours that the zone skips whole are none.
        Some(instants.filter(|(opens, closes)| opens < closes))
    }

    /// Wall clock of the zone at an instant.
    fn local(&self, at: Timestamp) -> Option<NaiveDateTime> {
        local_of(at, &self.zone)
    }

    /// Instant of a wall clock, by [`instant_of`].
    fn instant(&self, wall: NaiveDateTime) -> Option<Timestamp> {
        let civil = DateTime::new(
            wall.year() as i16,
            wall.month() as i8,
            wall.day() as i8,
            wall.hour() as i8,
            wall.minute() as i8,
            wall.second() as i8,
            (wall.nanosecond() % 1_000_000_000) as i32,
        )
        .ok()?;
        instant_of(civil, &self.zone)
    }
}

/// What a clock on the wall of a zone shows at an instant.
pub fn local_of(at: Timestamp, zone: &TimeZone) -> Option<NaiveDateTime> {
    let wall = zone.to_datetime(jiff::Timestamp::from_microsecond(at.0).ok()?);
    NaiveDate::from_ymd_opt(wall.year().into(), wall.month() as u32, wall.day() as u32)?.and_hms_micro_opt(
        wall.hour() as u32,
        wall.minute() as u32,
        wall.second() as u32,
        wall.subsec_nanosecond() as u32 / 1_000,
    )
}

/// The instant at which a clock on the wall of a zone first shows a time: of a time that the zone
/// skips the first instant after the gap, of one that it repeats the first.
pub fn instant_of(wall: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_zoned(wall);
    let in_gap = matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. });
    let at = ambiguous.compatible().ok()?.timestamp();
    if !in_gap {
        return Some(Timestamp(at.as_microsecond()));
    }
    // As far behind the gap as the time lies in it: the gap is the last change before that.
    let after = at.checked_add(SignedDuration::from_nanos(1)).ok()?;
    let gap = zone.preceding(after).next()?.timestamp();
    Some(Timestamp(gap.as_microsecond()))
}

/// The first instant at or after `now` at which the clock of a zone shows a time (minutes since
/// midnight) on one of these days (Monday is 1; none means all); by [`instant_of`].
pub fn next_time(minute: u16, days: &BTreeSet<u8>, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let today = zone.to_datetime(jiff::Timestamp::from_microsecond(now.0).ok()?).date();
    // Yesterday, too: what a gap at midnight moves may still lie ahead.
    (-1..=DAYS_AHEAD).find_map(|ahead| {
        let day = today.checked_add(ahead.days()).ok()?;
        let is_wanted = days.is_empty() || days.contains(&(day.weekday().to_monday_one_offset() as u8));
        let wall = day.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
        let at = is_wanted.then(|| instant_of(wall, zone)).flatten()?;
        (at >= now).then_some(at)
    })
}

/// The zone of the IANA database with this name.
pub fn zone_named(name: &str) -> Option<TimeZone> {
    (!name.is_empty() && name.len() <= 64).then(|| TimeZone::get(name).ok()).flatten()
}

#[cfg(test)]
#[path = "calendar/zones.rs"]
mod zones;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{HOUR, MINUTE};

    fn berlin() -> Calendar {
        let spec = CalendarSpec {
            hours: "Mo-Fr 09:00-17:00; PH off".into(),
            holidays: vec!["2026-05-01".into()],
            zone: "Europe/Berlin".into(),
        };
        Calendar::compile(&spec, &mut Violations::new()).expect("a valid calendar")
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a valid instant")
    }

    #[test]
    fn time_outside_the_hours_does_not_count() {
        // A Thursday at 16:00; Friday 2026-05-01 is a holiday, then comes the weekend.
        let due = berlin().add(at("2026-04-30T14:00:00Z"), 2 * HOUR);
        assert_eq!(due, Some(at("2026-05-04T08:00:00Z")));
    }

    #[test]
    fn hours_that_a_zone_skips_do_not_open_and_those_half_skipped_open_after_the_gap() {
        // On 2026-03-29 Berlin goes from 02:00 to 03:00, at 01:00 UTC.
        let at_night = |hours: &str| {
            let spec =
                CalendarSpec { hours: hours.into(), holidays: Vec::new(), zone: "Europe/Berlin".into() };
            Calendar::compile(&spec, &mut Violations::new()).expect("a valid calendar")
        };
        let evening = at("2026-03-28T20:00:00Z");
        let opens = |hours: &str| at_night(hours).add(evening, MINUTE);
        assert_eq!(opens("Mo-Su 02:30-04:00"), Some(at("2026-03-29T01:01:00Z")));
        assert_eq!(opens("Mo-Su 02:15-02:45"), Some(at("2026-03-30T00:16:00Z")));
    }

    #[test]
    fn a_span_that_ends_with_the_day_ends_at_closing_time() {
        let due = berlin().add(at("2026-04-29T14:00:00Z"), HOUR);
        assert_eq!(due, Some(at("2026-04-29T15:00:00Z")));
    }

    #[test]
    fn every_wrong_field_is_named() {
        let spec = CalendarSpec {
            hours: "whenever".into(),
            holidays: vec!["2026-02-30".into()],
            zone: "Mars/Olympus".into(),
        };
        let mut violations = Violations::new();
        assert!(Calendar::compile(&spec, &mut violations).is_none());
        let fields: Vec<_> = violations.into_vec().into_iter().map(|v| v.field).collect();
        assert_eq!(fields, ["zone", "holidays[0]", "hours"]);
    }
}
