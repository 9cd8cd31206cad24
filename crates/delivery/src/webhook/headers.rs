//! Headers that the owner of an endpoint may add to its calls.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// Most headers per endpoint.
const HEADERS: usize = 20;
/// Most bytes of a name.
const NAME_BYTES: usize = 128;
/// Most bytes of a value.
const VALUE_BYTES: usize = 1024;
/// Names that frame or route the request.
const RESERVED: [&str; 11] = [
    "host",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "http2-settings",
    "via",
    "forwarded",
];
/// Beginnings of names that are ours, the body's, or a proxy's.
const RESERVED_PREFIXES: [&str; 4] = ["content-", "webhook-", "proxy-", ":"];

/// Why a header is refused; the name is as given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not a token of at most 128 bytes.
    #[error("{0:?} is not a header name")]
    Name(String),
    /// A line break, a control, or more than 1 KiB.
    #[error("the value of header {0} is not allowed")]
    Value(String),
    /// A header that only we may set.
    #[error("header {0} cannot be set")]
    Reserved(String),
    /// More than 20.
    #[error("more than 20 headers")]
    TooMany,
}

/// Checks headers when an endpoint is defined; every wrong one is named.
pub fn check_headers(headers: &[(String, String)]) -> Result<(), Vec<HeaderError>> {
    let mut errors: Vec<HeaderError> =
        headers.iter().filter_map(|(name, value)| pair(name, value).err()).collect();
    if headers.len() > HEADERS {
        errors.push(HeaderError::TooMany);
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// The same check at the time of a call; the first wrong one is named.
pub(super) fn parse(headers: &[(String, String)]) -> Result<HeaderMap, HeaderError> {
    if headers.len() > HEADERS {
        return Err(HeaderError::TooMany);
    }
    let mut map = HeaderMap::with_capacity(headers.len() + 4);
    for (name, value) in headers {
        let (name, value) = pair(name, value)?;
        map.append(name, value);
    }
    Ok(map)
}

/// Sets a header of ours.
pub(super) fn put(map: &mut HeaderMap, name: &str, value: &str) -> Result<(), HeaderError> {
    let (name, value) = token(name, value)?;
    map.insert(name, value);
    Ok(())
}

fn pair(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), HeaderError> {
    let (token, value) = token(name, value)?;
    let lower = token.as_str();
    let reserved =
        RESERVED.contains(&lower) || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
    if reserved {
        return Err(HeaderError::Reserved(name.to_owned()));
    }
    Ok((token, value))
}

fn token(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), HeaderError> {
    let fits = (name.len() <= NAME_BYTES).then_some(name.as_bytes());
    let parsed = fits.and_then(|name| HeaderName::from_bytes(name).ok());
    let parsed = parsed.ok_or_else(|| HeaderError::Name(crate::text::excerpt(name)))?;
    if value.len() > VALUE_BYTES || value.chars().any(crate::text::is_unsafe) {
        return Err(HeaderError::Value(name.to_owned()));
    }
    let value = HeaderValue::from_str(value).map_err(|_| HeaderError::Value(name.to_owned()))?;
    Ok((parsed, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(name: &str, value: &str) -> Result<(), Vec<HeaderError>> {
        check_headers(&[(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn headers_of_an_endpoints_own_pass() {
        for name in ["authorization", "X-Api-Key", "x-webhook", "user-agent", "hostname"] {
            assert_eq!(verdict(name, "Bearer abc"), Ok(()), "{name}");
        }
    }

    #[test]
    fn framing_and_signature_headers_cannot_be_overridden() {
        for name in [
            "Host",
            "HOST",
            "content-length",
            "Content-Type",
            "content-encoding",
            "Transfer-Encoding",
            "webhook-id",
            "Webhook-Signature",
            "webhook-timestamp",
            "webhook-x",
            "connection",
            "TE",
            "proxy-authorization",
            "Expect",
            "upgrade",
        ] {
            assert_eq!(verdict(name, "x"), Err(vec![HeaderError::Reserved(name.to_owned())]), "{name}");
        }
    }

    #[test]
    fn line_breaks_and_strange_names_are_refused() {
        for (name, value) in [
            ("x\r\ny", "v"),
            ("", "v"),
            ("x y", "v"),
            ("x:", "v"),
            ("é", "v"),
            ("x", "a\r\nHost: b"),
            ("x", "a\nb"),
            ("x", "a\0b"),
            ("x", "\u{7f}"),
        ] {
            assert!(verdict(name, value).is_err(), "{name:?} {value:?}");
        }
        assert!(verdict("x", &"v".repeat(5000)).is_err());
        let many: Vec<(String, String)> = (0..21).map(|i| (format!("x-{i}"), String::new())).collect();
        assert_eq!(check_headers(&many), Err(vec![HeaderError::TooMany]));
    }
}
