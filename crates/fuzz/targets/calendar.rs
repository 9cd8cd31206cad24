//! Opening hours: whatever is written is refused, or measures time that never runs backwards.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rekindle_core::Timestamp;
use rekindle_core::calendar::{Calendar, CalendarSpec};
use rekindle_core::time::{DAY, HOUR};
use rekindle_core::violation::Violations;

const ZONES: [&str; 4] = ["UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"];

fuzz_target!(|input: (u8, u32, &str)| {
    let (zone, day, hours) = input;
    let (hours, holiday) = hours.split_once('|').unwrap_or((hours, "2026-05-01"));
    let zone = ZONES[usize::from(zone) % ZONES.len()].to_owned();
    let spec = CalendarSpec { hours: hours.into(), holidays: vec![holiday.into()], zone };
    let mut violations = Violations::new();
    let Some(calendar) = Calendar::compile(&spec, &mut violations) else {
        assert!(!violations.is_empty(), "refused without a word");
        return;
    };
    let start = Timestamp::EARLIEST.plus(i64::from(day % 35_000) * DAY + i64::from(day % 86_399) * 1_000_000);
    let mut before = start;
    for span in [1, HOUR, 9 * HOUR, 10 * DAY] {
        let Some(due) = calendar.add(start, span) else {
            return;
        };
        assert!(due >= before && due.since(start) >= span, "{span} after {start:?} is {due:?}");
        before = due;
    }
});
