//! Addresses we can write to: `local@domain`, plain ASCII on the wire.

use std::fmt;

use url::Host;

use super::{EmailError, no_controls};

/// Most bytes of a whole address (RFC 5321 §4.5.3.1.3, less the angle brackets).
const ADDRESS_BYTES: usize = 254;
/// Most bytes before the `@` (RFC 5321 §4.5.3.1.1).
const LOCAL_BYTES: usize = 64;

/// A checked address: a dot-atom, `@`, and a domain name in ASCII form.
///
/// Quoted local parts, address literals and internationalised local parts are
/// refused; an internationalised domain is written in its ASCII form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    local: String,
    domain: String,
}

impl Address {
    /// Parses an address; errors name the `field` it came from.
    pub fn parse(field: &'static str, text: &str) -> Result<Self, EmailError> {
        no_controls(field, text)?;
        let invalid = |reason| EmailError::Address { field, reason };
        let (local, domain) = text.rsplit_once('@').ok_or_else(|| invalid("it has no @"))?;
        if local.len() > LOCAL_BYTES {
            return Err(invalid("more than 64 bytes before the @"));
        }
        if !local.split('.').all(is_atom) {
            return Err(invalid("not letters, digits and dots before the @"));
        }
        let domain = ascii_domain(domain).ok_or_else(|| invalid("not a domain name after the @"))?;
        if local.len() + 1 + domain.len() > ADDRESS_BYTES {
            return Err(invalid("more than 254 bytes"));
        }
        Ok(Self { local: local.to_owned(), domain })
    }

    /// What stands before the `@`.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// What stands after the `@`, lower case, ASCII.
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

/// `atext` of RFC 5322 §3.2.3.
fn is_atom(part: &str) -> bool {
    let atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    !part.is_empty() && part.bytes().all(atext)
}

fn ascii_domain(domain: &str) -> Option<String> {
    if domain.contains('%') {
        // `url` would decode it.
        return None;
    }
    match Host::parse(domain) {
        Ok(Host::Domain(name)) if name.split('.').all(is_label) => Some(name),
        _ => None,
    }
}

/// Whether a text can stand between the dots of a domain name.
pub(crate) fn is_label(label: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(inside)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn usual_addresses_are_taken() {
        for (text, shown) in [
            ("ann@example.com", "ann@example.com"),
            ("Ann.B+tag@Example.COM", "Ann.B+tag@example.com"),
            ("o'neil@mail.example.invalid", "o'neil@mail.example.invalid"),
            ("ann@bücher.example", "ann@xn--bcher-kva.example"),
            ("root@localhost", "root@localhost"),
        ] {
            let address = Address::parse("to", text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(address.to_string(), shown);
        }
    }

    #[test]
    fn hostile_addresses_are_refused_by_name() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long = format!("a@{}.com", "a.".repeat(130));
        let cases = [
            "",
            "ann",
            "@example.com",
            "ann@",
            "ann@@example.com",
            "a b@example.com",
            "ann@exa mple.com",
            "ann@example.com>",
            "<ann@example.com>",
            "ann@example.com,bob@example.com",
            "ann@[127.0.0.1]",
            "ann@127.0.0.1",
            "ann@2130706433",
            "ann@[::1]",
            "\"a b\"@example.com",
            "ann.@example.com",
            ".ann@example.com",
            "a..b@example.com",
            "ann@-example.com",
            "ann@example-.com",
            "ann@example..com",
            "ann@example.com.",
            "ann@exam_ple.com",
            "ann@exa%6dple.com",
            "ünal@example.com",
            "ann@example.com\r\nRCPT TO:<eve@example.com>",
            "ann\r\n@example.com",
            "ann\0@example.com",
            "ann@example.com\u{202e}",
            "ann@exa\u{85}mple.com",
            &long_local,
            &long,
        ];
        for text in cases {
            let error = Address::parse("to", text).expect_err(text);
            assert!(error.to_string().starts_with("to "), "{error}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_taken_is_one_printable_word(text in ".{0,80}") {
            if let Ok(address) = Address::parse("to", &text) {
                let shown = address.to_string();
                prop_assert!(shown.bytes().all(|b| b.is_ascii_graphic() && b != b'<' && b != b'>'));
                prop_assert!(shown.len() <= ADDRESS_BYTES);
            }
        }

        #[test]
        fn whatever_is_taken_is_taken_by_the_mime_writer(local in "[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,20}", domain in "[a-z0-9.-]{1,20}") {
            if let Ok(address) = Address::parse("to", &format!("{local}@{domain}")) {
                prop_assert!(lettre::Address::new(address.local(), address.domain()).is_ok() || !domain.contains('.') || domain.len() < 4, "{}", address);
            }
        }
    }
}
