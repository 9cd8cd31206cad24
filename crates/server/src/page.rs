//! Pages: sizes, and tokens that nobody can forge or use for another question.
//!
//! A token is the base64url (RFC 4648, without padding) of 16 bytes of an HMAC-SHA-256 and the
//! cursor in JSON. What is signed is the method, the request without its page fields, and the
//! cursor, so that a token of another question is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;

use crate::status::ApiError;

/// Entries on a page when the request does not say.
pub const DEFAULT_SIZE: u32 = 50;
/// Most entries on a page.
pub const MOST: u32 = 1_000;
/// Bytes of the signature that a token keeps.
const TAG: usize = 16;
/// Longest token that is looked at, in bytes.
const LONGEST: usize = 4_096;

/// Reads and writes page tokens with one key.
#[derive(Clone)]
pub struct Pager {
    key: [u8; 32],
}

/// A request for a page, and what its token said.
pub struct Page<C> {
    /// Entries asked for: 1 to [`MOST`].
    pub size: u32,
    /// Where the page starts; `None` for the first.
    pub after: Option<C>,
    signer: Hmac<Sha256>,
}

/// A request whose answer comes in pages.
pub trait Paged: Message + Clone {
    /// The page size that was asked for.
    fn size(&self) -> i32;
    /// The token of the page before.
    fn token(&self) -> &str;
    /// The same question without its page fields.
    #[must_use]
    fn question(&self) -> Self;
}

/// Implements [`Paged`] for messages with `page_size` and `page_token`.
macro_rules! paged {
    ($($message:ident),+ $(,)?) => {$(
        impl $crate::page::Paged for rekindle_proto::v1::$message {
            fn size(&self) -> i32 {
                self.page_size
            }
            fn token(&self) -> &str {
                &self.page_token
            }
            fn question(&self) -> Self {
                Self { page_size: 0, page_token: String::new(), ..self.clone() }
            }
        }
    )+};
}
pub(crate) use paged;

impl Pager {
    /// A pager that signs with `key`; replicas behind one address share it.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    /// Reads the page fields of a request to `method`.
    ///
    /// Answers `FIELD_INVALID` for a negative size and `PAGE_TOKEN_INVALID` for a token that
    /// is not ours or belongs to another question.
    pub fn read<C: DeserializeOwned>(&self, method: &str, request: &impl Paged) -> Result<Page<C>, ApiError> {
        let size = page_size(request.size())?;
        let signer = self.signer(method, &request.question().encode_to_vec());
        let token = request.token();
        let after =
            if token.is_empty() { None } else { Some(open(&signer, token).ok_or(ApiError::PageToken)?) };
        Ok(Page { size, after, signer })
    }

    fn signer(&self, method: &str, question: &[u8]) -> Hmac<Sha256> {
        // HMAC takes keys of any length (RFC 2104, section 3).
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length");
        for part in [method.as_bytes(), question] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part);
        }
        mac
    }
}

impl<C: Serialize> Page<C> {
    /// The token of the next page, which starts after `cursor`.
    pub fn token(&self, cursor: &C) -> String {
        // Cursors are structs of texts and numbers, which JSON always writes.
        let body = serde_json::to_vec(cursor).unwrap_or_default();
        let mut signer = self.signer.clone();
        signer.update(&body);
        let mut token = signer.finalize().into_bytes()[..TAG].to_vec();
        token.extend_from_slice(&body);
        URL_SAFE_NO_PAD.encode(token)
    }

    /// The token after `cursor`, or the empty one when there is no more.
    pub fn next(&self, cursor: Option<&C>) -> String {
        cursor.map_or_else(String::new, |cursor| self.token(cursor))
    }

    /// Cuts entries that were read one beyond the page, and gives the next page's token from
    /// the last entry that stays.
    pub fn cut<T>(&self, entries: &mut Vec<T>, cursor: impl FnOnce(&T) -> C) -> String {
        let size = self.size as usize;
        if entries.len() <= size {
            return String::new();
        }
        entries.truncate(size);
        entries.last().map_or_else(String::new, |last| self.token(&cursor(last)))
    }
}

/// The page size that counts: 50 for 0, never above 1000; negative ones are refused.
fn page_size(asked: i32) -> Result<u32, ApiError> {
    match u32::try_from(asked) {
        Ok(0) => Ok(DEFAULT_SIZE),
        Ok(size) => Ok(size.min(MOST)),
        Err(_) => Err(ApiError::field("pageSize", "cannot be negative")),
    }
}

fn open<C: DeserializeOwned>(signer: &Hmac<Sha256>, token: &str) -> Option<C> {
    if token.len() > LONGEST {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (tag, body) = bytes.split_at_checked(TAG)?;
    let mut signer = signer.clone();
    signer.update(body);
    signer.verify_truncated_left(tag).ok()?;
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests {
    use rekindle_proto::v1::ListFunnelsRequest;

    use super::*;

    fn ask(size: i32, token: &str) -> ListFunnelsRequest {
        ListFunnelsRequest { parent: "workspaces/default".into(), page_size: size, page_token: token.into() }
    }

    fn read(request: &ListFunnelsRequest) -> Result<Page<String>, ApiError> {
        Pager::new([7; 32]).read("ListFunnels", request)
    }

    fn first_token() -> String {
        read(&ask(0, "")).expect("the first page").token(&"support".to_owned())
    }

    #[test]
    fn sizes_default_to_50_and_stop_at_1000() {
        for (asked, counts) in [(0, 50), (1, 1), (1_000, 1_000), (5_000, 1_000)] {
            assert_eq!(read(&ask(asked, "")).expect("a valid size").size, counts);
        }
    }

    #[test]
    fn a_negative_size_is_named() {
        let Err(ApiError::Invalid { violations, .. }) = read(&ask(-1, "")) else {
            panic!("a negative size was taken");
        };
        assert_eq!(violations[0].field, "pageSize");
    }

    #[test]
    fn a_token_holds_for_its_question_with_any_page_size() {
        let page = read(&ask(10, &first_token())).expect("our own token");
        assert_eq!(page.after.as_deref(), Some("support"));
    }

    #[test]
    fn a_token_of_another_question_method_or_key_is_refused() {
        let token = first_token();
        let other = ListFunnelsRequest { parent: "workspaces/other".into(), ..ask(0, &token) };
        assert!(matches!(read(&other), Err(ApiError::PageToken)));
        let pager = Pager::new([7; 32]);
        let method = pager.read::<String>("ListSequences", &ask(0, &token));
        assert!(matches!(method, Err(ApiError::PageToken)));
        let key = Pager::new([8; 32]).read::<String>("ListFunnels", &ask(0, &token));
        assert!(matches!(key, Err(ApiError::PageToken)));
    }

    #[test]
    fn a_token_that_was_tampered_with_is_refused() {
        let token = first_token();
        for wrong in ["x", "AAAA", &token[1..], &format!("{token}AAAA"), &"A".repeat(5_000)] {
            assert!(matches!(read(&ask(0, wrong)), Err(ApiError::PageToken)), "{wrong}");
        }
    }

    #[test]
    fn only_a_page_with_more_behind_it_has_a_token() {
        let page = read(&ask(2, "")).expect("the first page");
        let mut whole = vec!["a", "b"];
        assert_eq!(page.cut(&mut whole, |last| (*last).to_owned()), "");
        let mut more = vec!["a", "b", "c"];
        let token = page.cut(&mut more, |last| (*last).to_owned());
        assert_eq!(more, ["a", "b"]);
        assert_eq!(read(&ask(2, &token)).expect("our own token").after.as_deref(), Some("b"));
    }
}
