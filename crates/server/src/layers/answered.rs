//! Answers, written whole and counted until the client has taken them.
//!
//! A client that asks and does not read leaves its answers with us. Each peer may leave so many
//! bytes and no more; what it asks for beyond that is refused.

use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use prost::bytes::Bytes;
use rekindle_proto::v1::ErrorReason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Response};
use tonic::{Code, Status};

use super::gate::COME_AGAIN;
use crate::limits::ENCODE_LIMIT;
use crate::status::ApiError;

/// The bytes of answers that a peer may still leave with us; put beside each of its requests.
#[derive(Debug, Clone)]
pub struct Unsent(Arc<Semaphore>);

impl Unsent {
    /// A peer that may leave this many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }
}

/// Bytes that are counted until they are dropped, which the transport does when they are sent.
struct Counted {
    bytes: Bytes,
    _held: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes an answer to its end.
///
/// # Errors
/// When it is larger than clients read, or the peer has not taken its earlier answers.
pub async fn write(response: Response<Body>, unsent: Option<Unsent>) -> Result<Response<Body>, ApiError> {
    let (head, body) = response.into_parts();
    let whole = body.collect().await.map_err(|status| ApiError::Internal(Box::new(status)))?;
    let trailers = whole.trailers().cloned();
    if trailers.as_ref().is_some_and(is_too_large) {
        return Err(ApiError::AnswerTooLarge { limit: ENCODE_LIMIT });
    }
    let bytes = whole.to_bytes();
    if bytes.is_empty() && trailers.is_none() {
        // A refusal is headers alone. A stream that ends in an empty DATA frame after them is
        // no gRPC to clients that are strict: they see UNKNOWN in place of what was refused.
        return Ok(Response::from_parts(head, Body::empty()));
    }
    let bytes = counted(bytes, unsent)?;
    let body = Full::new(bytes).with_trailers(std::future::ready(trailers.map(Ok)));
    Ok(Response::from_parts(head, Body::new(body)))
}

fn counted(bytes: Bytes, unsent: Option<Unsent>) -> Result<Bytes, ApiError> {
    let Some(Unsent(unsent)) = unsent else {
        return Ok(bytes);
    };
    let held = unsent
        .try_acquire_many_owned(bytes.len() as u32)
        .map_err(|_| ApiError::Limited { reason: ErrorReason::Overloaded, retry_after: COME_AGAIN })?;
    Ok(Bytes::from_owner(Counted { bytes, _held: held }))
}

/// The library says that a message is larger than [`ENCODE_LIMIT`] as if it were a fault of ours.
fn is_too_large(trailers: &HeaderMap) -> bool {
    let theirs = Status::from_header_map(trailers).filter(|status| status.details().is_empty());
    theirs.is_some_and(|status| status.code() == Code::OutOfRange)
}

#[cfg(test)]
mod tests {
    use tonic::codegen::Body as _;

    use super::*;

    fn answer(size: usize) -> Response<Body> {
        Response::new(Body::new(Full::new(Bytes::from(vec![7; size]))))
    }

    #[tokio::test]
    async fn an_answer_is_counted_until_it_is_sent() {
        let unsent = Unsent::new(1_000);
        let first = write(answer(900), Some(unsent.clone())).await.expect("there is room");
        let refused = write(answer(101), Some(unsent.clone())).await;
        assert!(matches!(refused, Err(ApiError::Limited { reason: ErrorReason::Overloaded, .. })));
        let sent = first.into_body().collect().await.expect("in memory").to_bytes();
        assert_eq!(sent, vec![7; 900]);
        assert_eq!(unsent.0.available_permits(), 100, "the transport still has it");
        drop(sent);
        assert_eq!(unsent.0.available_permits(), 1_000);
    }

    #[tokio::test]
    async fn a_refusal_ends_with_its_headers() {
        let refusal = Status::not_found("nobody").into_http::<Body>();
        let written = write(refusal, None).await.expect("no limit");
        assert!(written.body().is_end_stream());
        assert_eq!(Status::from_header_map(written.headers()).expect("a status").code(), Code::NotFound);
    }

    #[tokio::test]
    async fn an_answer_of_which_nobody_is_known_is_not_counted() {
        let answer = write(answer(5), None).await.expect("no limit").into_body();
        assert_eq!(answer.collect().await.expect("in memory").to_bytes(), vec![7; 5]);
    }
}
