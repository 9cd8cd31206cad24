//! How long a call may take.

use std::time::Duration;

use tonic::codegen::http::HeaderMap;

use crate::limits::CallLimits;
use crate::status::ApiError;

/// The time until an answer is due, by the header `grpc-timeout`.
///
/// For a stream it is the time until its first answer head; a stream has limits of its own.
pub fn read(headers: &HeaderMap, limits: &CallLimits) -> Result<Duration, ApiError> {
    let sent = headers.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(parse);
    match sent {
        None => Ok(limits.deadline),
        Some(left) if left < limits.shortest => Err(ApiError::DeadlineTooShort { left }),
        Some(left) => Ok(left.min(limits.longest)),
    }
}

/// Reads the gRPC spelling: at most 8 digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &'static str) -> Result<Duration, ApiError> {
        let name = "grpc-timeout".parse().expect("a header name");
        let headers = [(name, text.parse().expect("a header value"))].into_iter().collect();
        read(&headers, &CallLimits::default())
    }

    #[test]
    fn every_unit_of_the_protocol_is_read() {
        let cases = [("1S", 1_000), ("2M", 120_000), ("250m", 250), ("90000u", 90), ("99999999n", 99)];
        for (text, millis) in cases {
            assert_eq!(parse(text).map(|it| it.as_millis()), Some(millis), "{text}");
        }
        for wrong in ["", "S", "1", "1x", "123456789S", "-1S", "1é"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn no_call_runs_longer_than_the_longest_or_starts_with_too_little_left() {
        let missing = read(&HeaderMap::new(), &CallLimits::default());
        assert_eq!(missing.expect("the default"), Duration::from_secs(10));
        assert_eq!(read_text("1H").expect("cut down"), Duration::from_secs(30));
        assert_eq!(read_text("7S").expect("as it is"), Duration::from_secs(7));
        assert!(matches!(read_text("19m"), Err(ApiError::DeadlineTooShort { .. })));
        assert!(read_text("20m").is_ok());
    }
}
