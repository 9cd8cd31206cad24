//! The five fields of an expression, in the words of the parser behind it.
//!
//! Where the two differ, what users of cron expect is meant: days of the week count from Sunday, 0 or 7,
//! and of a day of the month and a day of the week either will do.

use std::collections::BTreeSet;

use super::Wrong;

/// Names of the days, as the parser knows them.
const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
/// Most bytes of an expression.
const MOST: usize = 256;

/// An expression, read.
#[derive(Debug)]
pub(super) struct Fields {
    /// Expressions of six fields, any of which will do.
    pub alternatives: Vec<String>,
    /// Whether it is for every hour, or every so many.
    pub goes_by_hours: bool,
}

/// Reads the five fields.
pub(super) fn read(expression: &str) -> Result<Fields, Wrong> {
    if expression.len() > MOST {
        return Err(format!("is longer than {MOST} bytes"));
    }
    let fields: Vec<&str> = expression.split_ascii_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields[..] else {
        return Err(format!("has {} fields; takes five: minute hour day month weekday", fields.len()));
    };
    let weekdays = weekdays(weekday)?;
    let of = |day: &str, weekday: &str| format!("0 {minute} {hour} {day} {month} {weekday}");
    let alternatives = match (is_any(day), is_any(weekday)) {
        (_, true) => vec![of(day, "*")],
        (true, false) => vec![of("*", &weekdays)],
        (false, false) => vec![of(day, "*"), of("*", &weekdays)],
    };
    Ok(Fields { alternatives, goes_by_hours: hour.starts_with('*') })
}

fn is_any(field: &str) -> bool {
    field == "*" || field == "?"
}

/// Days of the week by their names.
fn weekdays(field: &str) -> Result<String, Wrong> {
    let mut named = BTreeSet::new();
    for item in field.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, step.parse().ok().filter(|step| (1..=7).contains(step))),
            None => (item, Some(1)),
        };
        let wrong = || format!("{item:?} is no day of the week: takes 0 to 7, or sun to sat");
        let step: usize = step.ok_or_else(wrong)?;
        let (first, last) = match range.split_once('-') {
            _ if is_any(range) => (0, 6),
            Some((first, last)) => (weekday(first).ok_or_else(wrong)?, weekday(last).ok_or_else(wrong)?),
            // From a day on, where there is a step; else the day alone.
            None if item.contains('/') => (weekday(range).ok_or_else(wrong)?, 6),
            None => {
                let day = weekday(range).ok_or_else(wrong)?;
                (day, day)
            }
        };
        // Over the end of the week: `fri-mon` is five to eight, `5-7` five to seven.
        let last = if last < first { last + 7 } else { last };
        named.extend((first..=last).step_by(step).map(|day| DAYS[day % 7]));
    }
    Ok(named.into_iter().collect::<Vec<_>>().join(","))
}

/// The number of a day: 0 to 7, or its name.
fn weekday(word: &str) -> Option<usize> {
    let number = word.parse().ok().filter(|number| *number <= 7 && word.len() == 1);
    number.or_else(|| DAYS.iter().position(|day| day.eq_ignore_ascii_case(word)))
}
