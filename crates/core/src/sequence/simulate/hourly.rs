//! Messages by the hour.

use std::collections::BTreeMap;

use crate::time::{HOUR, Timestamp};

/// Most hours that are told one by one: those of a leap year.
pub const MOST_HOURS: usize = 366 * 24;

/// How many messages went in which hour, in UTC; hours without any are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hourly {
    hours: BTreeMap<Timestamp, i64>,
    later: i64,
}

impl Hourly {
    /// Counts a message.
    pub fn add(&mut self, at: Timestamp) {
        let hour = Timestamp(at.0 - at.0.rem_euclid(HOUR));
        *self.hours.entry(hour).or_default() += 1;
        if self.hours.len() > MOST_HOURS
            && let Some((_, surplus)) = self.hours.pop_last()
        {
            self.later += surplus;
        }
    }

    /// The earliest [`MOST_HOURS`] hours that have messages, in order: begin and number.
    pub fn hours(&self) -> impl Iterator<Item = (Timestamp, i64)> {
        self.hours.iter().map(|(hour, sent)| (*hour, *sent))
    }

    /// Messages in hours after those.
    pub fn later(&self) -> i64 {
        self.later
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_hours_are_told_and_all_messages_are_counted() {
        let mut hourly = Hourly::default();
        let hour = |number: usize| Timestamp(number as i64 * HOUR);
        // Backwards, so that the first to come are the first to go.
        for number in (0..MOST_HOURS + 10).rev() {
            hourly.add(hour(number).plus(1));
            hourly.add(hour(number).plus(HOUR - 1));
        }
        hourly.add(hour(MOST_HOURS + 3));
        assert_eq!(hourly.hours().count(), MOST_HOURS);
        assert_eq!(hourly.hours().next(), Some((hour(0), 2)));
        assert_eq!(hourly.hours().last(), Some((hour(MOST_HOURS - 1), 2)));
        assert_eq!(hourly.later(), 21);
    }

    #[test]
    fn an_hour_before_the_epoch_begins_before_it_too() {
        let mut hourly = Hourly::default();
        hourly.add(Timestamp(-1));
        assert_eq!(hourly.hours().next(), Some((Timestamp(-HOUR), 1)));
    }
}
