//! The id of a call: in its answer, in its errors, and in the log.

use std::sync::Arc;

use rekindle_ports::Minter;
use tonic::codegen::http::{Extensions, HeaderMap};

/// The header that carries it, both ways.
pub const HEADER: &str = "x-request-id";

/// The id of one call: the client's own when it is plain, else a fresh one.
#[derive(Debug, Clone)]
pub struct CallId(Arc<str>);

impl CallId {
    /// The id that the client sent, if it is 1 to 64 of `A-Za-z0-9._-`; else a fresh one.
    pub fn read(headers: &HeaderMap, minter: &dyn Minter) -> Self {
        let sent = headers.get(HEADER).and_then(|value| value.to_str().ok()).filter(|id| is_plain(id));
        Self(sent.map_or_else(|| minter.mint().simple().to_string().into(), Into::into))
    }

    /// The id that the gate put beside the request; empty outside the gate.
    pub fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_else(|| Self("".into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=64).contains(&id.len()) && id.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    struct Fixed;

    impl Minter for Fixed {
        fn mint(&self) -> Uuid {
            Uuid::from_u128(7)
        }
    }

    fn read(sent: &'static str) -> String {
        let headers = [(HEADER.parse().expect("a header name"), sent.parse().expect("a header value"))];
        CallId::read(&headers.into_iter().collect(), &Fixed).as_str().to_owned()
    }

    #[test]
    fn a_plain_id_of_the_client_is_kept_and_anything_else_replaced() {
        assert_eq!(read("order-7_a.b"), "order-7_a.b");
        let of_65 = "a-id-of-sixty-five-characters-is-one-too-many-for-us-to-take-it-x";
        assert_eq!(of_65.len(), 65);
        for wrong in ["", "a b", "x;y", "\t", of_65] {
            assert_eq!(read(wrong), "00000000000000000000000000000007", "{wrong:?}");
        }
    }
}
