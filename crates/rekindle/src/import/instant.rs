//! Instants as files and people write them.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Reads an instant: by `format` (as in strptime) if there is one; else RFC 3339; a date with or
/// without a time of day, in `zone`; or seconds, milliseconds, microseconds or nanoseconds since
/// 1970, told apart by their size within the years 2000 to 2099.
///
/// A time of day that a zone skips is read as after the gap, one that it repeats as the first.
/// The error says what is wrong, to follow the text in question.
pub fn parse(text: &str, zone: &TimeZone, format: Option<&str>) -> Result<Timestamp, String> {
    let text = text.trim();
    if let Some(format) = format {
        return formatted(text, zone, format);
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(instant);
    }
    if let Some(instant) = epoch(text) {
        return instant;
    }
    let local: DateTime = text.parse().map_err(|_| "is no time; try 2026-01-31T08:00:00Z".to_owned())?;
    zoned(local, zone)
}

/// The same as the protos have it.
pub fn to_proto(instant: Timestamp) -> pbjson_types::Timestamp {
    // A proto counts nanoseconds forwards from the second before, also before 1970.
    let nanos = instant.as_nanosecond();
    pbjson_types::Timestamp {
        seconds: nanos.div_euclid(1_000_000_000) as i64,
        nanos: nanos.rem_euclid(1_000_000_000) as i32,
    }
}

fn formatted(text: &str, zone: &TimeZone, format: &str) -> Result<Timestamp, String> {
    let parts = strtime::parse(format, text).map_err(|_| format!("does not look like `{format}`"))?;
    if let Ok(instant) = parts.to_timestamp() {
        return Ok(instant);
    }
    let local = parts
        .to_datetime()
        .or_else(|_| parts.to_date().map(DateTime::from))
        .map_err(|_| format!("has no date by `{format}`"))?;
    zoned(local, zone)
}

fn zoned(local: DateTime, zone: &TimeZone) -> Result<Timestamp, String> {
    local.to_zoned(zone.clone()).map(|zoned| zoned.timestamp()).map_err(|_| "is out of range".to_owned())
}

/// A number since 1970. `None` if the text is no number.
fn epoch(text: &str) -> Option<Result<Timestamp, String>> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    // Nanoseconds in one unit, by how many digits a number of the years 2000 to 2099 has.
    let unit: i128 = match whole.len() {
        9 | 10 => 1_000_000_000,
        12 | 13 => 1_000_000,
        15 | 16 => 1_000,
        18 | 19 => 1,
        _ => return Some(Err("is no time since 1970 in the years 2000 to 2099".to_owned())),
    };
    let whole: i128 = whole.parse().ok()?;
    Some(from_nanoseconds(whole * unit + part(fraction, unit)))
}

/// The digits after the point, in nanoseconds.
fn part(fraction: &str, unit: i128) -> i128 {
    fraction
        .bytes()
        .scan(unit, |place, digit| {
            *place /= 10;
            Some(i128::from(digit - b'0') * *place)
        })
        .sum()
}

fn from_nanoseconds(nanos: i128) -> Result<Timestamp, String> {
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000));
    let rest = nanos.rem_euclid(1_000_000_000) as i32;
    seconds
        .ok()
        .and_then(|seconds| Timestamp::UNIX_EPOCH.checked_add(SignedDuration::new(seconds, rest)).ok())
        .ok_or_else(|| "is out of range".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> String {
        parse(text, &TimeZone::UTC, None).map_or_else(|fault| fault, |instant| instant.to_string())
    }

    #[test]
    fn rfc_3339_is_read_with_a_t_or_a_space_and_any_offset() {
        assert_eq!(utc("2010-01-13T08:40:25Z"), "2010-01-13T08:40:25Z");
        assert_eq!(utc("2010-01-13 08:40:25+00:00"), "2010-01-13T08:40:25Z");
        assert_eq!(utc("2010-01-13T10:40:25.5+02:00"), "2010-01-13T08:40:25.5Z");
    }

    #[test]
    fn dates_and_local_times_are_read_in_the_zone() {
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        let read = |text| parse(text, &berlin, None).expect("a time").to_string();
        assert_eq!(utc("2018-02-01"), "2018-02-01T00:00:00Z");
        assert_eq!(read("2018-02-01"), "2018-01-31T23:00:00Z");
        assert_eq!(read("2018-07-01 12:00:00"), "2018-07-01T10:00:00Z");
        // 02:30 is skipped on this night: read as 03:30.
        assert_eq!(read("2018-03-25 02:30:00"), "2018-03-25T01:30:00Z");
        // 02:30 happens twice on this night: read as the first.
        assert_eq!(read("2018-10-28 02:30:00"), "2018-10-28T00:30:00Z");
    }

    #[test]
    fn numbers_are_told_apart_by_their_size() {
        assert_eq!(utc("1262304000"), "2010-01-01T00:00:00Z");
        assert_eq!(utc("1262304000.25"), "2010-01-01T00:00:00.25Z");
        assert_eq!(utc("1262304000123"), "2010-01-01T00:00:00.123Z");
        assert_eq!(utc("1262304000123456"), "2010-01-01T00:00:00.123456Z");
        assert_eq!(utc("1262304000123456789"), "2010-01-01T00:00:00.123456789Z");
        assert!(utc("20180201").contains("no time since 1970"));
        assert!(utc("12").contains("no time since 1970"));
    }

    #[test]
    fn a_format_is_followed_to_the_letter() {
        let read =
            |text, format| parse(text, &TimeZone::UTC, Some(format)).map(|instant| instant.to_string());
        assert_eq!(read("31/12/2020 23:59", "%d/%m/%Y %H:%M").expect("a time"), "2020-12-31T23:59:00Z");
        assert_eq!(read("31.12.2020", "%d.%m.%Y").expect("a date"), "2020-12-31T00:00:00Z");
        assert_eq!(
            read("2020-12-31 01:00 +0100", "%Y-%m-%d %H:%M %z").expect("a time"),
            "2020-12-31T00:00:00Z"
        );
        assert!(read("2020-12-31", "%d.%m.%Y").is_err());
    }

    #[test]
    fn words_are_no_times() {
        assert!(utc("yesterday").starts_with("is no time"));
        assert!(utc("").starts_with("is no time"));
        assert!(utc("1e9").starts_with("is no time"));
    }

    #[test]
    fn instants_before_1970_count_nanoseconds_forwards() {
        let instant = "1969-12-31T23:59:59.5Z".parse().expect("an instant");
        let proto = to_proto(instant);
        assert_eq!((proto.seconds, proto.nanos), (-1, 500_000_000));
    }
}
