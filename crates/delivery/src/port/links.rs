//! Unsubscribe links: one click, no login, no expiry, nothing stored (RFC 8058).
//!
//! A token is `base64url(workspace ‖ customer ‖ tag)` without padding: 8 bytes,
//! big-endian, 16 bytes, and the first 16 bytes of an HMAC-SHA-256 over both.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use url::Url;
use uuid::Uuid;

/// What the tag is for: a tag of another purpose under the same key is not ours.
const PURPOSE: &[u8] = b"rekindle unsubscribe 1\0";
/// Bytes of the workspace and the customer.
const NAMED: usize = 24;
/// Bytes of the tag.
const TAG: usize = 16;

/// Writes unsubscribe links.
pub struct UnsubscribeLinks {
    /// Without a slash at its end.
    base: String,
    key: [u8; 32],
}

impl UnsubscribeLinks {
    /// Links under a web address; `None` when it is not one.
    pub fn new(public_url: &str, key: [u8; 32]) -> Option<Self> {
        let url = Url::parse(public_url).ok()?;
        let usable =
            matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none();
        usable.then(|| Self { base: url.as_str().trim_end_matches('/').to_owned(), key })
    }

    /// The link of a customer.
    pub fn url(&self, workspace: i64, customer: Uuid) -> String {
        format!("{}/u/{}", self.base, token(&self.key, workspace, customer))
    }
}

impl fmt::Debug for UnsubscribeLinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnsubscribeLinks").field("base", &self.base).finish_non_exhaustive()
    }
}

/// The workspace and the customer of a token, if it was signed under this key.
/// Takes the same time for every wrong tag.
pub fn open_token(key: &[u8; 32], token: &str) -> Option<(i64, Uuid)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == NAMED + TAG)?;
    let (named, tag) = bytes.split_at(NAMED);
    mac(key, named).verify_truncated_left(tag).ok()?;
    let (workspace, customer) = named.split_at(8);
    Some((i64::from_be_bytes(workspace.try_into().ok()?), Uuid::from_slice(customer).ok()?))
}

fn token(key: &[u8; 32], workspace: i64, customer: Uuid) -> String {
    let mut bytes = Vec::with_capacity(NAMED + TAG);
    bytes.extend(workspace.to_be_bytes());
    bytes.extend(customer.as_bytes());
    let tag = mac(key, &bytes).finalize().into_bytes();
    bytes.extend(&tag[..TAG]);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn mac(key: &[u8; 32], named: &[u8]) -> Hmac<Sha256> {
    // HMAC takes a key of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    mac.update(PURPOSE);
    mac.update(named);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn customer() -> Uuid {
        Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef)
    }

    #[test]
    fn a_token_opens_to_what_it_was_made_of() {
        for workspace in [0, 1, i64::MAX, -1] {
            let token = token(&KEY, workspace, customer());
            assert_eq!(open_token(&KEY, &token), Some((workspace, customer())));
        }
    }

    #[test]
    fn no_change_of_a_single_character_opens() {
        let token = token(&KEY, 42, customer());
        for place in 0..token.len() {
            let mut forged = token.clone().into_bytes();
            forged[place] = if forged[place] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert_eq!(open_token(&KEY, &forged), None, "{forged}");
        }
    }

    #[test]
    fn what_is_no_token_of_ours_does_not_open() {
        let token = token(&KEY, 42, customer());
        let padded = format!("{token}=");
        let longer = format!("{token}AAAA");
        for wrong in ["", "AAAA", "!!!!", &token[..token.len() - 2], &padded, &longer] {
            assert_eq!(open_token(&KEY, wrong), None, "{wrong}");
        }
        assert_eq!(open_token(&[8; 32], &token), None, "another key");
    }

    #[test]
    fn links_begin_with_the_public_address() {
        for base in ["https://mail.example.com", "https://mail.example.com/"] {
            let links = UnsubscribeLinks::new(base, KEY).expect("a web address");
            let url = links.url(42, customer());
            let token = url.strip_prefix("https://mail.example.com/u/").expect("its beginning");
            assert_eq!(open_token(&KEY, token), Some((42, customer())));
        }
        let below = UnsubscribeLinks::new("http://127.0.0.1:8080/rekindle", KEY).expect("a web address");
        assert!(below.url(1, customer()).starts_with("http://127.0.0.1:8080/rekindle/u/"));
        for wrong in ["", "mail.example.com", "ftp://example.com", "https://example.com/?a=1"] {
            assert!(UnsubscribeLinks::new(wrong, KEY).is_none(), "{wrong}");
        }
    }
}
