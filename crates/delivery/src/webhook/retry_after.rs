//! `Retry-After` (RFC 9110 §10.2.3): seconds, or an HTTP date.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::HeaderValue;

/// The longest wait honoured.
const LONGEST: Duration = Duration::from_hours(24);

/// How long to wait, at most 24 hours; `None` if absent or unreadable. A date
/// is read against `now`, in seconds since 1970; one in the past is no wait.
///
/// Of the three date formats only the one that may be sent today is read.
pub(super) fn read(value: Option<&HeaderValue>, now: i64) -> Option<Duration> {
    let text = value?.to_str().ok()?.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => u64::MAX,
        Err(_) => {
            let date = DateTimeParser::new().parse_timestamp(text).ok()?;
            u64::try_from(date.as_second().saturating_sub(now)).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(text: &str) -> Option<u64> {
        let value = HeaderValue::from_str(text).expect("a header value");
        // Sun, 06 Nov 1994 08:49:37 GMT
        read(Some(&value), 784_111_777).map(|d| d.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_read_and_capped() {
        assert_eq!(wait("0"), Some(0));
        assert_eq!(wait(" 120 "), Some(120));
        assert_eq!(wait("999999"), Some(86_400));
        assert_eq!(wait("99999999999999999999999"), Some(86_400));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(wait("Sun, 06 Nov 1994 08:48:37 GMT"), Some(0));
        assert_eq!(wait("Fri, 01 Jan 2100 00:00:00 GMT"), Some(86_400));
    }

    #[test]
    fn what_cannot_be_read_is_no_advice() {
        for text in ["", "soon", "-5", "1.5", "0x10", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(wait(text), None, "{text}");
        }
        assert_eq!(read(None, 0), None);
    }
}
