//! Cron schedules on the clock of a zone.
//!
//! `cron` reads the expression and walks a wall clock that knows no zone; what a zone does to it is
//! decided here. Of a schedule at fixed hours every time comes once: one that the zone skips at the
//! first instant after the gap, one that it repeats at the first of the two. A schedule of every hour
//! (`*` or `*/n` in the field of hours) goes by time that passes: it skips what the zone skips, and
//! comes twice where the zone repeats (Vixie cron's rules, `semantics.md` Q9).

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use jiff::tz::TimeZone;

use crate::calendar::{instant_of, local_of};
use crate::time::{DAY, Timestamp};

mod fields;

/// How far ahead a next time is looked for.
const HORIZON: i64 = 366 * 9 * DAY;
/// Times on the wall that are tried for one instant: those of a gap all come to its end.
const MOST_TRIED: usize = 1_500;

/// A cron expression of five fields: minute, hour, day of the month, month, day of the week.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// One for the days of the month and one for those of the week, where both are named: a day
    /// that either names counts.
    walls: Vec<cron::Schedule>,
    goes_by_hours: bool,
}

/// What is wrong with an expression, for people.
pub type Wrong = String;

impl Schedule {
    /// Reads `minute hour day month weekday`; names of months and days are taken, Sunday is 0 or 7.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(expression: &str) -> Result<Self, Wrong> {
        let fields::Fields { alternatives, goes_by_hours } = fields::read(expression)?;
        let read = |text: &String| cron::Schedule::from_str(text);
        let walls: Result<Vec<_>, _> = alternatives.iter().map(read).collect();
        let walls = walls.map_err(|_| "is no cron expression such as `0 9 * * mon-fri`".to_owned())?;
        let schedule = Self { walls, goes_by_hours };
        match schedule.next_wall(NaiveDateTime::default()) {
            Some(_) => Ok(schedule),
            None => Err("names a day that never comes".into()),
        }
    }

    /// The first instant after `at` at which it comes in a zone; `None` when there is none.
    pub fn next_after(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        if self.goes_by_hours { self.next_by_time(at, zone) } else { self.next_by_the_wall(at, zone) }
    }

    /// The last instant at or before `until` and after `from`; `None` when there is none.
    pub fn last_within(&self, from: Timestamp, until: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        // Halving finds a stretch with few times in it, whatever the schedule.
        let (mut after, mut last) = (from, self.next_after(from, zone).filter(|at| *at <= until)?);
        let mut before = until;
        while before.since(after) > DAY {
            let middle = after.plus(before.since(after) / 2);
            match self.next_after(middle, zone).filter(|at| *at <= until) {
                Some(found) => (after, last) = (middle, found),
                None => before = middle,
            }
        }
        while let Some(next) = self.next_after(last, zone).filter(|at| *at <= until) {
            last = next;
        }
        Some(last)
    }

    /// Each time on the wall once, wherever the zone puts it.
    fn next_by_the_wall(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut wall = local_of(at, zone)?;
        for _ in 0..MOST_TRIED {
            wall = self.next_wall(wall)?;
            let instant = instant_of(civil(wall)?, zone)?;
            if instant > at {
                return Some(instant);
            }
        }
        None
    }

    /// Every instant at which the wall shows a time of it.
    fn next_by_time(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut from = at;
        while from.since(at) < HORIZON {
            let now = jiff::Timestamp::from_microsecond(from.0).ok()?;
            let change =
                zone.following(now).next().map(|change| Timestamp(change.timestamp().as_microsecond()));
            let wall = local_of(from, zone)?;
            let ahead = self.next_wall(wall)?.signed_duration_since(wall).num_microseconds()?;
            let found = from.plus(ahead);
            match change {
                Some(change) if found >= change => {
                    // The wall jumps there: it is asked anew for what it shows from then on.
                    let shown = local_of(change, zone)?;
                    if self.shows(shown) {
                        return Some(change);
                    }
                    from = change;
                }
                _ => return Some(found),
            }
        }
        None
    }

    fn next_wall(&self, wall: NaiveDateTime) -> Option<NaiveDateTime> {
        let after = DateTime::<Utc>::from_naive_utc_and_offset(wall, Utc);
        let next = self.walls.iter().filter_map(|walls| walls.after(&after).next());
        next.min().map(|next| next.naive_utc())
    }

    fn shows(&self, wall: NaiveDateTime) -> bool {
        let at = DateTime::<Utc>::from_naive_utc_and_offset(wall, Utc);
        self.walls.iter().any(|walls| walls.includes(at))
    }
}

/// The same on jiff's wall.
fn civil(wall: NaiveDateTime) -> Option<jiff::civil::DateTime> {
    let midnight = NaiveDate::from_ymd_opt(1970, 1, 1)?.and_hms_opt(0, 0, 0)?;
    let span = wall.signed_duration_since(midnight).num_microseconds()?;
    jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0).checked_add(jiff::SignedDuration::from_micros(span)).ok()
}

#[cfg(test)]
mod tests;
