//! Schedules in zones against a second implementation: croner, which reads cron patterns.
//!
//! Opening hours, periods of trends and spans of business time are followed through five years,
//! and every instant must be the one that croner names: of a wall time that a zone skips the
//! first instant after the gap, of one that it repeats the first. The ordinary suite does so for
//! the zones that tell most; all of them, for the years around now, take minutes without
//! optimisation: `just zones`.

use std::str::FromStr;

use croner::Cron;
use jiff::civil::{Date, date};
use jiff::tz::TimeZoneDatabase;

use super::*;
use crate::metrics::bucket::{Granularity, TrendSpec};
use crate::schedule::Schedule;
use crate::time::{HOUR, MINUTE};

/// Years that a schedule is followed.
const YEARS: i16 = 5;
/// Opening hours, with the patterns by which they open and close.
const HOURS: [(&str, &str, &str); 5] = [
    ("Mo-Fr 09:00-18:00; PH off", "0 9 * * 1-5", "0 18 * * 1-5"),
    ("Mo-Su 02:30-03:15", "30 2 * * *", "15 3 * * *"),
    ("Mo-Su 00:00-08:00", "0 0 * * *", "0 8 * * *"),
    ("Sa,Su 01:00-02:00", "0 1 * * 0,6", "0 2 * * 0,6"),
    ("Mo-Su 22:00-06:00", "0 22 * * *", "0 6 * * *"),
];
/// Lengths of trend buckets, with the patterns by which they begin.
const BUCKETS: [(Granularity, &str); 3] =
    [(Granularity::Day, "0 0 * * *"), (Granularity::Week, "0 0 * * 1"), (Granularity::Month, "0 0 1 * *")];
/// Times of day with their days, and the patterns that fire then.
const TIMES: [(u16, &[u8], &str); 6] = [
    (150, &[], "30 2 * * *"),
    (90, &[], "30 1 * * *"),
    (0, &[], "0 0 * * *"),
    (545, &[1, 2, 3, 4, 5], "5 9 * * 1-5"),
    (135, &[6, 7], "15 2 * * 0,6"),
    (1_439, &[1], "59 23 * * 1"),
];
/// Cron schedules at fixed hours. Of several times in one gap croner leaves all out, and of one it does
/// as we do: there is one here.
const FIXED: [&str; 26] = [
    "0 0 * * *",
    "30 0 * * *",
    "0 1 * * *",
    "59 1 * * *",
    "0 2 * * *",
    "1 2 * * *",
    "15 2 * * *",
    "40 2 * * *",
    "0 3 * * *",
    "30 3 * * *",
    "0 6-9 * * *",
    "0 9 * * 1-5",
    "0 9 * * mon-fri",
    "30 8 * * 0",
    "30 8 * * 7",
    "0 12 * * sat,sun",
    "0 9 1 * *",
    "0 9 15,31 * *",
    "0 9 13 * 5",
    "0 0 1 1 *",
    "0 2 29 2 *",
    "30 2 * 3,4 *",
    "30 1 * 10-11 *",
    "0 23 * * 1",
    "59 23 31 12 *",
    "0 10,16 * * tue",
];
/// Cron schedules that go by time that passes.
const BY_TIME: [&str; 10] = [
    "0 * * * *",
    "15 * * * *",
    "*/30 * * * *",
    "*/15 * * * *",
    "*/7 * * * *",
    "0 */2 * * *",
    "30 */3 * * *",
    "0 */6 * * 1-5",
    "5,35 * * * 0",
    "0 */12 1,15 * *",
];
/// Spans of business time after which a silence is a stall or an abandonment.
const SPANS: [i64; 4] = [20 * MINUTE, 2 * HOUR, 9 * HOUR, 100 * HOUR];
/// Zones that tell most, and the first of the years in which they do.
const TELLING: [(&str, i16); 20] = [
    ("UTC", 2024),
    ("America/New_York", 2024),
    ("Europe/Berlin", 2024),
    ("Europe/London", 2024),
    // Half an hour forward and back.
    ("Australia/Lord_Howe", 2024),
    ("Asia/Kolkata", 2024),
    ("Asia/Kathmandu", 2024),
    ("Pacific/Chatham", 2024),
    // Two hours at once.
    ("Antarctica/Troll", 2024),
    // Back for Ramadan.
    ("Africa/Casablanca", 2024),
    // At midnight, to and fro.
    ("America/Sao_Paulo", 2014),
    ("America/Havana", 2024),
    ("America/Santiago", 2024),
    ("Asia/Beirut", 2019),
    ("Africa/Cairo", 2022),
    ("Asia/Tehran", 2018),
    // A minute after midnight: back over it.
    ("America/St_Johns", 2006),
    // Changes of offset without summer time.
    ("America/Caracas", 2014),
    ("Asia/Pyongyang", 2014),
    ("Europe/Istanbul", 2013),
];

#[test]
fn the_zones_that_tell_most_open_and_begin_when_croner_says() {
    for (name, year) in TELLING {
        follow(name, year, 1);
    }
}

#[test]
#[ignore = "takes minutes without optimisation: just zones"]
fn every_zone_opens_and_begins_when_croner_says() {
    let zones = TimeZoneDatabase::bundled();
    let names: Vec<String> = zones.available().map(|name| name.to_string()).collect();
    assert!(names.len() > 500, "only {} zones", names.len());
    let checked: usize = names.iter().map(|name| follow(name, 2024, YEARS)).sum();
    println!("{} zones, {YEARS} years from 2024 on: {checked} instants agree with croner", names.len());
}

/// Days and nights that are longer than croner looks.
#[test]
fn gaps_of_three_hours_and_of_a_day_end_where_they_end() {
    let first = |name: &str, wall: DateTime| {
        instant_of(wall, &zone_of(name)).map(Timestamp::to_rfc3339).expect("an instant")
    };
    // Samoa left out 2011-12-30; Casey went from 00:01 to 03:01.
    for hour in [0, 9, 23] {
        assert_eq!(first("Pacific/Apia", date(2011, 12, 30).at(hour, 30, 0, 0)), "2011-12-30T10:00:00Z");
    }
    assert_eq!(first("Antarctica/Casey", date(2020, 10, 4).at(0, 1, 0, 0)), "2020-10-03T16:01:00Z");
    assert_eq!(first("Antarctica/Casey", date(2020, 10, 4).at(2, 59, 0, 0)), "2020-10-03T16:01:00Z");
}

/// Follows every schedule through a zone, those of cron for so many years; how many instants were
/// compared.
fn follow(name: &str, year: i16, cron_years: i16) -> usize {
    let zone = zone_of(name);
    let mut checked = 0;
    for (hours, opens, closes) in HOURS {
        let calendar = calendar(hours, &zone);
        // In the evening all of them are closed.
        let from = instant_of(date(year, 1, 1).at(20, 0, 0, 0), &zone).expect("an evening");
        let until = instant_of(date(year + YEARS, 1, 1).at(20, 0, 0, 0), &zone).expect("an evening");
        let (opens, closes) = (fires(opens, &zone, from, until), fires(closes, &zone, from, until));
        let expected: Vec<_> =
            opens.into_iter().zip(closes).filter(|(opens, closes)| opens < closes).collect();
        let found: Vec<_> = calendar.stretches(from, until).expect("years that exist").collect();
        let differs = expected.iter().zip(&found).find(|(expected, found)| expected != found);
        assert_eq!(differs, None, "{name}: {hours}: croner's, then ours");
        assert_eq!(expected.len(), found.len(), "{name}: {hours}");
        checked += 2 * found.len() + spans(name, &calendar, &expected) + edges(name, &calendar, &expected);
    }
    checked
        + TIMES
            .iter()
            .map(|(minute, days, pattern)| times(name, &zone, year, *minute, days, pattern))
            .sum::<usize>()
        + BUCKETS
            .iter()
            .map(|(granularity, pattern)| buckets(name, &zone, year, *granularity, pattern))
            .sum::<usize>()
        + crons(name, &zone, year, cron_years)
}

/// Cron schedules, one time after the other, against croner's; those that go by time around every
/// change of the clock, where alone the two could differ.
fn crons(name: &str, zone: &TimeZone, year: i16, years: i16) -> usize {
    let evening = |year| instant_of(date(year, 1, 1).at(20, 0, 0, 0), zone).expect("an evening");
    let (from, until) = (evening(year), evening(year + years));
    let begin = jiff::Timestamp::from_microsecond(from.0).expect("an instant");
    let changes = zone.following(begin).map(|change| Timestamp(change.timestamp().as_microsecond()));
    let changes: Vec<Timestamp> = changes.take_while(|at| *at < until).collect();
    let around = |pattern: &str| -> usize {
        changes.iter().map(|at| compared(name, zone, pattern, at.plus(-DAY), at.plus(DAY))).sum()
    };
    let fixed = FIXED.iter().map(|pattern| compared(name, zone, pattern, from, until));
    fixed.sum::<usize>() + BY_TIME.iter().map(|pattern| around(pattern)).sum::<usize>()
}

fn compared(name: &str, zone: &TimeZone, pattern: &str, from: Timestamp, until: Timestamp) -> usize {
    let schedule = Schedule::parse(pattern).expect("a pattern");
    let next = |at| schedule.next_after(at, zone).filter(|at| *at < until);
    let found: Vec<_> = std::iter::successors(next(from), |at| next(*at)).collect();
    let mut expected = fires(pattern, zone, from, until);
    // Several times of one gap all come to its end, once.
    expected.dedup();
    let differs = expected.iter().zip(&found).find(|(expected, found)| expected != found);
    let words = differs.map(|(expected, found)| (expected.to_rfc3339(), found.to_rfc3339()));
    assert_eq!(words, None, "{name}: {pattern}: croner's, then ours");
    assert_eq!(found.len(), expected.len(), "{name}: {pattern}");
    found.len()
}

/// Spans of open time, from an instant in every month on, against the stretches that croner names.
fn spans(name: &str, calendar: &Calendar, stretches: &[(Timestamp, Timestamp)]) -> usize {
    let mut checked = 0;
    for at in (0..stretches.len().saturating_sub(150)).step_by(29) {
        // Before it opens, and inside.
        for start in [stretches[at].0.plus(-HOUR), stretches[at].0.plus(7 * MINUTE)] {
            for span in SPANS {
                let expected = walked(&stretches[at..], start, span);
                assert_eq!(
                    calendar.add(start, span),
                    expected,
                    "{name}: {span} after {}",
                    start.to_rfc3339()
                );
                checked += 1;
            }
        }
    }
    checked
}

/// When it is next open and next closed, seen from around the edges that croner names: as quiet
/// hours and waits for hours ask.
fn edges(name: &str, calendar: &Calendar, stretches: &[(Timestamp, Timestamp)]) -> usize {
    let mut checked = 0;
    for at in (1..stretches.len().saturating_sub(3)).step_by(7) {
        let (opens, closes) = stretches[at];
        for seen in [opens.plus(-1), opens, opens.plus(1), closes.plus(-1), closes, closes.plus(1)] {
            let open = stretches.iter().find(|(_, closes)| *closes > seen).map(|(opens, _)| seen.max(*opens));
            assert_eq!(calendar.next_open(seen), open, "{name}: open from {}", seen.to_rfc3339());
            let mut closed = seen;
            for (opens, closes) in stretches {
                closed = if *opens <= closed && closed < *closes { *closes } else { closed };
            }
            assert_eq!(calendar.next_closed(seen), Some(closed), "{name}: closed from {}", seen.to_rfc3339());
            checked += 2;
        }
    }
    checked
}

/// Times of day, one after the other, against the instants at which croner fires.
fn times(name: &str, zone: &TimeZone, year: i16, minute: u16, days: &[u8], pattern: &str) -> usize {
    let from = instant_of(date(year, 1, 1).at(20, 0, 0, 0), zone).expect("an evening");
    let until = instant_of(date(year + YEARS, 1, 1).at(20, 0, 0, 0), zone).expect("an evening");
    let days = days.iter().copied().collect();
    let next = |from| next_time(minute, &days, zone, from).filter(|at| *at < until);
    let found: Vec<_> = std::iter::successors(next(from.plus(1)), |at| next(at.plus(1))).collect();
    assert_eq!(found, fires(pattern, zone, from, until), "{name}: {pattern}");
    found.len()
}

/// When `span` of open time has passed since `start`.
fn walked(stretches: &[(Timestamp, Timestamp)], start: Timestamp, span: i64) -> Option<Timestamp> {
    let mut left = span;
    for (opens, closes) in stretches {
        let opens = (*opens).max(start);
        let open = closes.since(opens).max(0);
        if left <= open {
            return Some(opens.plus(left));
        }
        left -= open;
    }
    None
}

/// Beginnings of the buckets of a trend; each ends where the next begins, and holds what lies in it.
fn buckets(name: &str, zone: &TimeZone, year: i16, granularity: Granularity, pattern: &str) -> usize {
    let spec = TrendSpec { granularity, zone: zone.clone() };
    let from = instant_of(date(year, 1, 1).at(20, 0, 0, 0), zone).expect("an evening");
    let until = instant_of(date(year + YEARS, 1, 1).at(20, 0, 0, 0), zone).expect("an evening");
    let expected = fires(pattern, zone, from, until);
    let mut day: Date = spec.date_of(expected[0]);
    for start in &expected {
        let bucket = spec.bucket(day);
        assert_eq!(bucket.starts_at, *start, "{name}: {granularity:?} of {day}");
        for at in [bucket.starts_at, bucket.starts_at.plus(HOUR), bucket.ends_at.plus(-1)] {
            assert_eq!(spec.date_of(at), day, "{name}: {granularity:?} at {}", at.to_rfc3339());
        }
        assert_eq!(spec.bucket(spec.date_of(bucket.ends_at)).starts_at, bucket.ends_at, "{name}: {day}");
        day = spec.date_of(bucket.ends_at);
    }
    expected.len()
}

/// When croner's pattern fires, after `from` and before `until`.
fn fires(pattern: &str, zone: &TimeZone, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
    let zoned =
        |at: Timestamp| jiff::Timestamp::from_microsecond(at.0).expect("an instant").to_zoned(zone.clone());
    let cron = Cron::from_str(pattern).expect("a pattern");
    let fired = cron.iter_after(zoned(from)).map(|at| Timestamp(at.timestamp().as_microsecond()));
    fired.take_while(|at| *at < until).collect()
}

fn zone_of(name: &str) -> TimeZone {
    TimeZoneDatabase::bundled().get(name).expect("a zone of the bundled database")
}

/// A calendar in a zone of the bundled database, whatever the machine's own says.
fn calendar(hours: &str, zone: &TimeZone) -> Calendar {
    let spec = CalendarSpec { hours: hours.into(), holidays: Vec::new(), zone: "UTC".into() };
    let compiled = Calendar::compile(&spec, &mut Violations::new()).expect("valid hours");
    Calendar { zone: zone.clone(), ..compiled }
}
