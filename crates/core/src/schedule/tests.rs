use std::collections::BTreeSet;

use super::*;
use crate::calendar::{Hours, next_time, zone_named};
use crate::time::HOUR;
use crate::violation::Violations;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a valid instant")
}

fn next(expression: &str, zone: &str, from: &str, times: usize) -> Vec<String> {
    let (schedule, zone) = (Schedule::parse(expression).expect("valid"), zone_named(zone).expect("a zone"));
    let mut last = at(from);
    let found = (0..times).map(|_| {
        last = schedule.next_after(last, &zone).expect("a next time");
        last.to_rfc3339()
    });
    found.collect()
}

#[test]
fn a_fixed_time_that_the_zone_skips_comes_once_after_the_gap() {
    // New York goes from 02:00 EST to 03:00 EDT on 2026-03-08, at 07:00 UTC.
    let found = next("30 2 * * *", "America/New_York", "2026-03-07T08:00:00Z", 2);
    assert_eq!(found, ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]);
    let found = next("*/15 2 * * *", "America/New_York", "2026-03-08T06:00:00Z", 2);
    assert_eq!(found, ["2026-03-08T07:00:00Z", "2026-03-09T06:00:00Z"]);
    // Berlin on 2026-03-29, at 01:00 UTC.
    assert_eq!(next("0 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 1), ["2026-03-29T01:00:00Z"]);
    // Lord Howe goes forward by half an hour, from 02:00 to 02:30, on 2026-10-04, at 15:30 UTC of the day before.
    let found = next("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2);
    assert_eq!(found, ["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"]);
    // Apia left out the whole of 2011-12-30.
    let found = next("0 9 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", 3);
    assert_eq!(found, ["2011-12-29T19:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z"]);
}

#[test]
fn a_fixed_time_that_the_zone_repeats_comes_once() {
    // New York repeats 01:00 to 02:00 on 2026-11-01, from 05:00 to 07:00 UTC.
    let found = next("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2);
    assert_eq!(found, ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]);
    let found = next("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", 2);
    assert_eq!(found, ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]);
}

#[test]
fn every_hour_goes_by_time_that_passes() {
    let found = next("*/30 * * * *", "America/New_York", "2026-11-01T04:45:00Z", 6);
    let expected =
        ["05:00", "05:30", "06:00", "06:30", "07:00", "07:30"].map(|at| format!("2026-11-01T{at}:00Z"));
    assert_eq!(found, expected);
    let found = next("15 * * * *", "America/New_York", "2026-03-08T05:30:00Z", 3);
    assert_eq!(found, ["06:15", "07:15", "08:15"].map(|at| format!("2026-03-08T{at}:00Z")));
    // In the middle of an hour the clock jumps by half of one.
    let found = next("0 * * * *", "Australia/Lord_Howe", "2026-10-03T14:45:00Z", 2);
    assert_eq!(found, ["2026-10-03T16:00:00Z", "2026-10-03T17:00:00Z"]);
}

#[test]
fn days_of_the_week_are_those_of_cron_and_either_day_will_do() {
    let monday = ["2026-11-30T09:00:00Z"];
    for expression in ["0 9 * * 1", "0 9 * * mon", "0 9 ? * MON", "0 9 * * 1-1"] {
        assert_eq!(next(expression, "UTC", "2026-11-28T00:00:00Z", 1), monday, "{expression}");
    }
    for sunday in ["0 9 * * 0", "0 9 * * 7", "0 9 * * sun"] {
        assert_eq!(next(sunday, "UTC", "2026-11-28T00:00:00Z", 1), ["2026-11-29T09:00:00Z"], "{sunday}");
    }
    // From Friday over the end of the week.
    let found = next("0 9 * * fri-mon", "UTC", "2026-11-27T00:00:00Z", 5);
    assert_eq!(
        found,
        ["27", "28", "29", "30"]
            .map(|day| format!("2026-11-{day}T09:00:00Z"))
            .into_iter()
            .chain(["2026-12-04T09:00:00Z".to_owned()])
            .collect::<Vec<_>>()
    );
    // The 13th, and every Friday.
    let found = next("0 9 13 * 5", "UTC", "2026-12-05T00:00:00Z", 3);
    assert_eq!(found, ["11", "13", "18"].map(|day| format!("2026-12-{day}T09:00:00Z")));
}

#[test]
fn what_is_wrong_is_said() {
    for (expression, says) in [
        ("", "has 0 fields"),
        ("0 0 9 * * *", "has 6 fields"),
        ("0 9 * * 8", "no day of the week"),
        ("0 9 * * funday", "no day of the week"),
        ("0 9 30 2 *", "never comes"),
        ("61 9 * * *", "is no cron expression"),
        ("@daily", "has 1 fields"),
        ("0 9 * * */0", "no day of the week"),
    ] {
        let wrong = Schedule::parse(expression).expect_err(expression);
        assert!(wrong.contains(says), "{expression}: {wrong}");
    }
    assert!(Schedule::parse(&"0".repeat(300)).expect_err("too long").contains("longer"));
}

#[test]
fn the_last_of_a_stretch_is_the_newest_that_was_missed() {
    let (schedule, zone) = (Schedule::parse("0 9 * * *").expect("valid"), zone_named("UTC").expect("a zone"));
    let from = at("2026-11-01T09:00:00Z");
    let last = |until: &str| schedule.last_within(from, at(until), &zone).map(Timestamp::to_rfc3339);
    assert_eq!(last("2026-11-28T08:59:59Z").as_deref(), Some("2026-11-27T09:00:00Z"));
    assert_eq!(last("2026-11-28T09:00:00Z").as_deref(), Some("2026-11-28T09:00:00Z"));
    assert_eq!(last("2026-11-02T08:00:00Z"), None);
    assert_eq!(schedule.last_within(from, from.plus(HOUR), &zone), None);
}

/// The second implementation: croner, which takes the same expressions.
#[test]
fn croner_says_the_same_away_from_changes_of_the_clock() {
    use croner::parser::CronParser;
    let expressions =
        ["0 9 * * *", "*/7 * * * *", "30 8-17 * * mon-fri", "0 0 1 * *", "15 10 13 * 5", "5 4 29 2 *"];
    for expression in expressions {
        let (ours, theirs) = (
            Schedule::parse(expression).expect("valid"),
            CronParser::new().parse(expression).expect("valid for croner"),
        );
        let utc = TimeZone::UTC;
        let mut last = at("2026-01-01T00:00:00Z");
        for _ in 0..200 {
            let seen = jiff::Timestamp::from_microsecond(last.0).expect("in range").to_zoned(utc.clone());
            let Some(next) = ours.next_after(last, &utc).filter(|next| *next < at("2034-01-01T00:00:00Z"))
            else {
                break;
            };
            let oracle = theirs.find_next_occurrence(&seen, false).expect("a next time");
            assert_eq!(
                next.0,
                oracle.timestamp().as_microsecond(),
                "{expression} after {}",
                last.to_rfc3339()
            );
            last = next;
        }
    }
}

/// The table for people, which every row of it has to be true for.
const TABLE: &str = include_str!("README.md");

/// A row of it: the kind of time, what it says, the zone, from when on, and when it comes.
type Row<'a> = (&'a str, &'a str, TimeZone, Timestamp, Vec<Timestamp>);

fn rows() -> Vec<Row<'static>> {
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let row = |cells: Vec<&'static str>| {
        let [zone, _, time, after, comes] = cells[..] else { panic!("five cells: {cells:?}") };
        let (kind, said) = time.split_once(' ').expect("a kind, and what it says");
        let comes = comes.split(", ").map(at).collect();
        (kind, said.trim_matches('`'), zone_named(zone).expect("a zone"), at(after), comes)
    };
    // The first two lines are the head.
    TABLE.lines().filter(|line| line.starts_with('|')).skip(2).map(|line| row(cells(line))).collect()
}

/// What a row says, asked once more from right behind each answer.
fn follow(after: Timestamp, times: usize, next: impl Fn(Timestamp) -> Option<Timestamp>) -> Vec<Timestamp> {
    let mut from = after;
    let found = (0..times).map(|_| {
        let at = next(from).expect("a next time");
        from = at.plus(1);
        at
    });
    found.collect()
}

fn minute_of(clock: &str) -> u16 {
    let (hour, minute) = clock.split_once(':').expect("HH:MM");
    hour.parse::<u16>().expect("hours") * 60 + minute.parse::<u16>().expect("minutes")
}

#[test]
fn every_row_of_the_table_for_people_is_true() {
    let rows = rows();
    let kinds: BTreeSet<&str> = rows.iter().map(|row| row.0).collect();
    assert_eq!(kinds, BTreeSet::from(["cron", "quiet", "until"]));
    for (kind, said, zone, after, comes) in rows {
        let found = match kind {
            "cron" => {
                let schedule = Schedule::parse(said).expect("valid");
                // The next time is one after the instant that is asked for.
                follow(after.plus(1), comes.len(), |from| schedule.next_after(from.plus(-1), &zone))
            }
            "until" => {
                let (clock, days) = said.split_once(' ').unwrap_or((said, ""));
                let days = match days {
                    "" => BTreeSet::new(),
                    "Mo-Fr" => BTreeSet::from([1, 2, 3, 4, 5]),
                    other => panic!("no days: {other}"),
                };
                follow(after, comes.len(), |from| next_time(minute_of(clock), &days, &zone, from))
            }
            "quiet" => {
                let holidays = ["2026-03-09".to_owned()];
                let hours = Hours::compile(said, &holidays, &mut Violations::new()).expect("hours");
                follow(after, comes.len(), |from| hours.within(zone.clone()).next_closed(from))
            }
            other => panic!("no kind of time: {other}"),
        };
        assert_eq!(found, comes, "{kind} {said} after {}", after.to_rfc3339());
    }
}
