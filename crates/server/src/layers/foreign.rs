//! Statuses that are not ours: what the library answers when it cannot read a message.
//!
//! A message that is too large or malformed is the client's mistake; the library answers with
//! codes that look like a fault of ours. All statuses of ours carry details, so that those
//! without any can be told apart.

use tonic::codegen::http::Response;
use tonic::{Code, Status, body::Body};

use crate::limits::DECODE_LIMIT;
use crate::status::ApiError;

/// What we say in the place of a status of the library, about a request of at most `limit` bytes;
/// `None` leaves it as it is.
pub fn refusal(status: &Status, limit: usize) -> Option<ApiError> {
    if !status.details().is_empty() {
        return None;
    }
    match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => Some(ApiError::TooLarge { limit }),
        Code::Internal => Some(ApiError::Malformed),
        Code::Cancelled => Some(ApiError::DeadlineExceeded),
        Code::Ok
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unimplemented
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => None,
    }
}

/// The response with a status of ours, where the library's says less.
pub fn replaced(response: Response<Body>, request_id: &str) -> Response<Body> {
    let refusal =
        Status::from_header_map(response.headers()).and_then(|status| refusal(&status, DECODE_LIMIT));
    match refusal {
        Some(refusal) => refusal.into_status(request_id).into_http(),
        None => response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_after(status: Status) -> Code {
        let response = replaced(status.into_http(), "req-1");
        Status::from_header_map(response.headers()).expect("a status").code()
    }

    #[test]
    fn mistakes_of_clients_do_not_look_like_faults_of_ours() {
        assert_eq!(code_after(Status::out_of_range("too long")), Code::ResourceExhausted);
        assert_eq!(code_after(Status::internal("failed to decode")), Code::InvalidArgument);
        assert_eq!(code_after(Status::cancelled("Timeout expired")), Code::DeadlineExceeded);
        assert_eq!(code_after(Status::unimplemented("")), Code::Unimplemented);
    }

    #[test]
    fn a_fault_of_ours_stays_one() {
        let ours = ApiError::Internal("broken".into()).into_status("req-1");
        assert_eq!(code_after(ours), Code::Internal);
    }
}
