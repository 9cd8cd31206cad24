//! Requests, read to their end before they are let in.
//!
//! A client that sends a byte a second holds nothing but its own stream: a call counts from when
//! its message is there. What is read is counted over all calls, so that many large requests at
//! once are refused and not stored up.

use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use prost::bytes::{Bytes, BytesMut};
use rekindle_proto::v1::ErrorReason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::codegen::http::Request;

use super::gate::COME_AGAIN;
use crate::limits::DECODE_LIMIT;
use crate::status::ApiError;

/// A compression flag and a length go before every message.
const PREFIX: usize = 5;

/// Reads a request's body to its end. Its bytes are counted in `memory` until the permit goes.
///
/// # Errors
/// When it is larger than any message may be, or there is no memory for it now.
pub async fn read(
    request: Request<Body>,
    memory: &Arc<Semaphore>,
) -> Result<(Request<Body>, Option<OwnedSemaphorePermit>), ApiError> {
    let (head, mut body) = request.into_parts();
    let mut held: Option<OwnedSemaphorePermit> = None;
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::Malformed)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > DECODE_LIMIT + PREFIX {
            return Err(ApiError::TooLarge { limit: DECODE_LIMIT });
        }
        let permit = Arc::clone(memory).try_acquire_many_owned(data.len() as u32);
        let permit = permit
            .map_err(|_| ApiError::Limited { reason: ErrorReason::Overloaded, retry_after: COME_AGAIN })?;
        match &mut held {
            Some(held) => held.merge(permit),
            None => held = Some(permit),
        }
        bytes.extend_from_slice(&data);
    }
    let body = Body::new(Full::<Bytes>::new(bytes.freeze()));
    Ok((Request::from_parts(head, body), held))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(size: usize) -> Request<Body> {
        Request::new(Body::new(Full::new(Bytes::from(vec![7; size]))))
    }

    #[tokio::test]
    async fn what_is_read_is_counted_until_the_call_is_over() {
        let memory = Arc::new(Semaphore::new(1_000));
        let (whole, held) = read(request(900), &memory).await.expect("there is room");
        assert_eq!(memory.available_permits(), 100);
        let refused = read(request(101), &memory).await;
        assert!(matches!(refused, Err(ApiError::Limited { reason: ErrorReason::Overloaded, .. })));
        assert_eq!(memory.available_permits(), 100, "what is refused is not kept");
        drop(held);
        assert_eq!(memory.available_permits(), 1_000);
        let bytes = whole.into_body().collect().await.expect("in memory").to_bytes();
        assert_eq!(bytes, vec![7; 900]);
    }

    #[tokio::test]
    async fn what_no_message_can_be_is_refused_before_it_is_there() {
        let memory = Arc::new(Semaphore::new(2 * DECODE_LIMIT));
        assert!(read(request(DECODE_LIMIT + PREFIX), &memory).await.is_ok());
        let refused = read(request(DECODE_LIMIT + PREFIX + 1), &memory).await;
        assert!(matches!(refused, Err(ApiError::TooLarge { limit: DECODE_LIMIT })));
    }
}
