//! How often a customer may be written to, over all sequences.

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::metrics::bucket::{Granularity, TrendSpec};
use crate::time::{DAY, Timestamp};
use crate::violation::Violations;

/// Most limits of a workspace.
pub const MOST_LIMITS: usize = 5;
/// Most messages of a limit.
pub const MOST_MESSAGES: u32 = 1_000;
/// The longest time that a limit counts over, in microseconds: no month is longer.
pub const LONGEST: i64 = 31 * DAY;
/// How long a message is worth sending, in microseconds: one that would wait longer is left out.
pub const WORTH_SENDING: i64 = 5 * DAY;

/// The time that a limit counts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitPeriod {
    /// So many microseconds back from now.
    Rolling(i64),
    /// The calendar day of the customer's zone.
    Day,
    /// The week of the customer's zone, from Monday.
    Week,
    /// The calendar month of the customer's zone.
    Month,
}

/// So many messages in a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactLimit {
    /// How many at the most.
    pub count: u32,
    /// Over which time.
    pub period: LimitPeriod,
}

/// What becomes of a message that would be one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitPolicy {
    /// It waits until there is room.
    #[default]
    Defer,
    /// It is left out, and the run goes on.
    Skip,
}

/// Checks limits; notes every wrong field below `limits[n]`.
pub fn validate(limits: &[ContactLimit], v: &mut Violations) {
    v.require(limits.len() <= MOST_LIMITS, "contactLimits", "more than 5 limits");
    for (place, limit) in limits.iter().enumerate().take(MOST_LIMITS) {
        v.within(format!("contactLimits[{place}]"), |v| {
            v.require((1..=MOST_MESSAGES).contains(&limit.count), "count", "takes 1 to 1000");
            let fits = match limit.period {
                LimitPeriod::Rolling(span) => (1..=LONGEST).contains(&span),
                LimitPeriod::Day | LimitPeriod::Week | LimitPeriod::Month => true,
            };
            v.require(fits, "rolling", "takes a duration above 0 and of at most 31 days");
        });
    }
}

/// When there is room for one more message; now, where that is `now` itself.
///
/// `past` are the instants of the messages before, in order, as far back as [`LONGEST`]. The
/// answer is the earliest instant at which every limit has room, if nothing else is sent
/// meanwhile; it is asked again then.
pub fn room_at(limits: &[ContactLimit], zone: &TimeZone, past: &[Timestamp], now: Timestamp) -> Timestamp {
    let mut at = now;
    // A limit can only move it on, and each at most once for every message: it ends.
    loop {
        let next = limits.iter().filter_map(|limit| limit.full_until(zone, past, at)).max();
        match next {
            Some(next) if next > at => at = next,
            _ => return at,
        }
    }
}

impl ContactLimit {
    /// Until when there is no room, seen from `at`.
    fn full_until(&self, zone: &TimeZone, past: &[Timestamp], at: Timestamp) -> Option<Timestamp> {
        let count = self.count.max(1) as usize;
        if let LimitPeriod::Rolling(span) = self.period {
            // Half-open: a message leaves the window when it is `span` old.
            let within: Vec<_> = past.iter().filter(|sent| at.since(**sent) < span).collect();
            let last_but = within.len().checked_sub(count)?;
            return Some(within[last_but].plus(span));
        }
        let granularity = match self.period {
            LimitPeriod::Week => Granularity::Week,
            LimitPeriod::Month => Granularity::Month,
            LimitPeriod::Day | LimitPeriod::Rolling(_) => Granularity::Day,
        };
        let spec = TrendSpec { granularity, zone: zone.clone() };
        let bucket = spec.bucket(spec.date_of(at));
        let within = past.iter().filter(|sent| (bucket.starts_at..bucket.ends_at).contains(*sent));
        (within.count() >= count).then_some(bucket.ends_at)
    }

    /// The limit, for people.
    pub fn words(&self) -> String {
        match self.period {
            LimitPeriod::Rolling(span) => format!("{} in {}", self.count, crate::detect::human_span(span)),
            LimitPeriod::Day => format!("{} a day", self.count),
            LimitPeriod::Week => format!("{} a week", self.count),
            LimitPeriod::Month => format!("{} a month", self.count),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::calendar::zone_named;
    use crate::time::HOUR;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("a valid instant")
    }

    fn zone(name: &str) -> TimeZone {
        zone_named(name).expect("a zone")
    }

    fn rolling(count: u32, span: i64) -> ContactLimit {
        ContactLimit { count, period: LimitPeriod::Rolling(span) }
    }

    #[test]
    fn a_rolling_window_has_room_when_the_oldest_that_fills_it_has_left() {
        let now = at("2026-03-10T12:00:00Z");
        let past = [now.plus(-30 * HOUR), now.plus(-23 * HOUR), now.plus(-HOUR)];
        let room = |limit| room_at(&[limit], &TimeZone::UTC, &past, now);
        assert_eq!(room(rolling(3, DAY)), now);
        assert_eq!(room(rolling(2, DAY)), now.plus(HOUR));
        assert_eq!(room(rolling(1, DAY)), now.plus(23 * HOUR));
        // What is exactly a day old has left.
        assert_eq!(room_at(&[rolling(1, DAY)], &TimeZone::UTC, &[now.plus(-DAY)], now), now);
    }

    #[test]
    fn a_calendar_day_is_that_of_the_customer_and_may_have_23_hours() {
        let day = ContactLimit { count: 1, period: LimitPeriod::Day };
        // One in the morning in Berlin, on the day that clocks go forward there.
        let (now, past) = (at("2026-03-29T20:00:00Z"), [at("2026-03-29T00:00:00Z")]);
        assert_eq!(room_at(&[day], &zone("Europe/Berlin"), &past, now), at("2026-03-29T22:00:00Z"));
        assert_eq!(room_at(&[day], &zone("America/New_York"), &past, now), now);
        let week = ContactLimit { count: 1, period: LimitPeriod::Week };
        assert_eq!(room_at(&[week], &TimeZone::UTC, &past, now), at("2026-03-30T00:00:00Z"));
        let month = ContactLimit { count: 1, period: LimitPeriod::Month };
        assert_eq!(room_at(&[month], &TimeZone::UTC, &past, now), at("2026-04-01T00:00:00Z"));
    }

    proptest! {
        /// There is room where it says so, and nowhere before.
        #[test]
        fn room_is_found_at_the_first_instant_that_has_it(
            hours in vec(0..400_i64, 0..12),
            count in 1..4_u32,
            span in 1..60_i64,
            day in any::<bool>(),
        ) {
            let begin = at("2026-03-20T00:30:00Z");
            let mut past: Vec<Timestamp> = hours.iter().map(|hour| begin.plus(hour * HOUR)).collect();
            past.sort();
            let now = begin.plus(400 * HOUR);
            let mut limits = vec![rolling(count, span * HOUR)];
            if day {
                limits.push(ContactLimit { count, period: LimitPeriod::Day });
            }
            let zone = zone("Europe/Berlin");
            let has_room = |at: Timestamp| limits.iter().all(|limit| limit.full_until(&zone, &past, at).is_none());
            let room = room_at(&limits, &zone, &past, now);
            prop_assert!(has_room(room));
            let mut before = now;
            while before < room {
                prop_assert!(!has_room(before));
                before = before.plus(HOUR / 2);
            }
        }
    }
}
