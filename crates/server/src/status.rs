//! What a call is refused with: one error type, and the one table that makes a gRPC status of it.
//!
//! Every status carries exactly one `google.rpc.ErrorInfo` with a reason of
//! [`ErrorReason`], and a `google.rpc.RequestInfo` with the id under which the log knows the
//! call. Faults of ours say nothing else: their cause is in the log alone. No status is larger
//! than clients take, whatever was sent: texts are cut, and fields are named as far as they fit.

use std::error::Error;
use std::time::Duration;

use rekindle_core::violation::Violation;
use rekindle_proto::v1::ErrorReason;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

mod size;
mod table;

use table::{Extra, Refusal, describe};

/// The domain of every reason.
pub const DOMAIN: &str = "rekindle.dev";

/// Why a call is refused.
#[derive(Debug)]
pub enum ApiError {
    /// Fields are wrong; `reason` says whether it is a definition or a plain request.
    Invalid {
        /// One of the `…_INVALID` reasons.
        reason: ErrorReason,
        /// Every wrong field, by its path in the request.
        violations: Vec<Violation>,
    },
    /// The page token is not ours, or belongs to another question.
    PageToken,
    /// Only `workspaces/default` exists.
    WorkspaceNotFound {
        /// The name as sent.
        name: String,
    },
    /// There is no such resource.
    NotFound {
        /// One of the `…_NOT_FOUND` reasons.
        reason: ErrorReason,
        /// Name of the resource.
        name: String,
    },
    /// There is no such template of a funnel.
    TemplateNotFound {
        /// Id as sent.
        template: String,
    },
    /// The id is taken.
    Exists {
        /// One of the `…_EXISTS` reasons.
        reason: ErrorReason,
        /// Name of the resource.
        name: String,
    },
    /// The request id was used for another request.
    RequestIdReused {
        /// As sent.
        request_id: String,
    },
    /// Somebody else changed the resource.
    StaleEtag {
        /// Name of the resource.
        name: String,
    },
    /// The resource is in a state that does not allow it.
    Precondition {
        /// Which rule.
        reason: ErrorReason,
        /// The same for people.
        message: String,
        /// Facts for machines, such as `currentState`.
        metadata: Vec<(String, String)>,
    },
    /// More than the server takes now.
    Limited {
        /// `INGEST_LIMIT` or `OVERLOADED`.
        reason: ErrorReason,
        /// When to try again.
        retry_after: Duration,
    },
    /// The message is larger than the method takes.
    TooLarge {
        /// Most bytes.
        limit: usize,
    },
    /// The call has more metadata entries than a call may have.
    TooManyEntries {
        /// Most entries.
        limit: usize,
    },
    /// The answer would be larger than is answered at once.
    ResultTooLarge {
        /// Most rows.
        limit: usize,
    },
    /// The answer would be a larger message than clients read.
    AnswerTooLarge {
        /// Most bytes.
        limit: usize,
    },
    /// The message is no message of the method.
    Malformed,
    /// The sequence of a batch does not increase.
    StreamSequence {
        /// As sent.
        sequence: i64,
        /// That of the batch before; 0 when there is none.
        previous: i64,
    },
    /// No batch came for too long.
    StreamIdle {
        /// Everything up to here is durable.
        committed: i64,
    },
    /// The server stops.
    Stopping,
    /// The database is away.
    StoreUnavailable,
    /// Others changed the same subjects more often than the server tries.
    Conflict,
    /// Less time is left than any answer takes.
    DeadlineTooShort {
        /// What is left.
        left: Duration,
    },
    /// The time was up before the answer.
    DeadlineExceeded,
    /// A fault of ours.
    Internal(Box<dyn Error + Send + Sync>),
}

impl ApiError {
    /// One wrong field of a request.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::fields(vec![Violation { field: field.to_owned(), message: message.into() }])
    }

    /// Wrong fields of a request.
    pub fn fields(violations: Vec<Violation>) -> Self {
        Self::Invalid { reason: ErrorReason::FieldInvalid, violations }
    }

    /// The status for the call with this id. Faults of ours are logged here, once.
    pub fn into_status(self, request_id: &str) -> Status {
        if let Self::Internal(cause) = &self {
            tracing::error!(request_id, cause = %chain(cause.as_ref()), "a call failed by a fault of ours");
        }
        let Refusal { code, reason, message, metadata, details } = describe(self, request_id);
        let message = size::text(message);
        let mut all = ErrorDetails::with_error_info(reason_name(reason), DOMAIN, size::facts(metadata));
        all.set_request_info(request_id, "");
        let mut trailers = MetadataMap::new();
        match details {
            Extra::None => {}
            Extra::Fields(violations) => {
                let fields = size::fields(violations).into_iter();
                let fields = fields.map(|v| FieldViolation::new(v.field, v.message));
                all.set_bad_request(fields.collect::<Vec<_>>());
            }
            Extra::Resource { kind, name } => {
                all.set_resource_info(kind, size::text(name), "", message.as_str());
            }
            Extra::Precondition { subject } => {
                all.add_precondition_failure_violation(reason_name(reason), subject, message.as_str());
            }
            Extra::Retry(delay) => retry(delay, &mut all, &mut trailers),
            Extra::Quota { delay, subject } => {
                all.add_quota_failure_violation(subject, message.as_str());
                retry(delay, &mut all, &mut trailers);
            }
        }
        Status::with_error_details_and_metadata(code, message, all, trailers)
    }
}

/// Says when to try again.
fn retry(delay: Duration, details: &mut ErrorDetails, trailers: &mut MetadataMap) {
    details.set_retry_info(Some(delay));
    // gRFC A6: the client waits as long as the server says.
    trailers.insert("grpc-retry-pushback-ms", (delay.as_millis() as u64).into());
}

/// The name of a reason as clients see it: without the prefix of the enum.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// An error and what is behind it, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn details(error: ApiError) -> (Status, ErrorDetails) {
        let status = error.into_status("req-1");
        let details = status.get_error_details();
        (status, details)
    }

    #[test]
    fn every_wrong_field_is_in_one_bad_request() {
        let violations = ["funnel.stages[1].id", "funnelId"]
            .map(|field| Violation { field: field.into(), message: "is wrong".into() });
        let error = ApiError::Invalid { reason: ErrorReason::FunnelInvalid, violations: violations.into() };
        let (status, details) = details(error);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "funnel.stages[1].id: is wrong (and 1 more)");
        let fields = details.bad_request().expect("a bad request").field_violations.clone();
        let fields: Vec<_> = fields.into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["funnel.stages[1].id", "funnelId"]);
        let info = details.error_info().expect("an error info");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("FUNNEL_INVALID", DOMAIN));
    }

    #[test]
    fn no_refusal_is_larger_than_clients_take() {
        let long = |size: usize| "\u{1}é".repeat(size);
        let violation = || Violation { field: long(1_000), message: long(1_000_000) };
        let violations = (0..1_000).map(|_| violation()).collect();
        let errors = [
            ApiError::fields(violations),
            ApiError::TemplateNotFound { template: long(1_000_000) },
            ApiError::NotFound { reason: ErrorReason::FunnelNotFound, name: long(1_000_000) },
            ApiError::RequestIdReused { request_id: long(1_000_000) },
        ];
        for error in errors {
            let response = error.into_status("req-1").into_http::<()>();
            let size: usize =
                response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
            assert!(size < 8 * 1_024, "{size} bytes");
        }
    }

    #[test]
    fn a_missing_resource_is_named_twice() {
        let name = "workspaces/default/funnels/support/revisions/7".to_owned();
        let error = ApiError::NotFound { reason: ErrorReason::FunnelRevisionNotFound, name: name.clone() };
        let (status, details) = details(error);
        assert_eq!(status.code(), Code::NotFound);
        let resource = details.resource_info().expect("a resource info");
        assert_eq!(resource.resource_type, "rekindle.v1.FunnelRevision");
        assert_eq!(resource.resource_name, name);
        assert_eq!(details.error_info().expect("an error info").metadata["name"], name);
    }

    #[test]
    fn what_can_be_tried_again_says_when() {
        for error in [ApiError::StoreUnavailable, ApiError::Stopping] {
            let (status, details) = details(error);
            assert_eq!(status.code(), Code::Unavailable);
            let delay = details.retry_info().and_then(|info| info.retry_delay);
            assert_eq!(delay, Some(std::time::Duration::from_secs(1)));
            assert!(status.metadata().contains_key("grpc-retry-pushback-ms"));
        }
    }

    #[test]
    fn what_is_too_much_names_the_quota_and_says_when_there_is_more() {
        let cases = [
            (ErrorReason::IngestLimit, "workspaces/default/events"),
            (ErrorReason::Overloaded, "workspaces/default/calls"),
        ];
        for (reason, subject) in cases {
            let error = ApiError::Limited { reason, retry_after: Duration::from_millis(250) };
            let (status, details) = details(error);
            assert_eq!(status.code(), Code::ResourceExhausted);
            let delay = details.retry_info().and_then(|info| info.retry_delay);
            assert_eq!(delay, Some(Duration::from_millis(250)));
            assert_eq!(status.metadata().get("grpc-retry-pushback-ms").expect("a trailer"), "250");
            let quota = details.quota_failure().expect("a quota failure");
            assert_eq!(quota.violations[0].subject, subject);
            assert_eq!(details.error_info().expect("a reason").reason, reason_name(reason));
        }
    }

    #[test]
    fn a_fault_of_ours_tells_its_id_and_nothing_else() {
        let (status, details) = details(ApiError::Internal("secret table broke".into()));
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("secret"));
        assert!(!String::from_utf8_lossy(status.details()).contains("secret"));
        assert_eq!(details.error_info().expect("an error info").metadata["requestId"], "req-1");
        assert_eq!(details.request_info().expect("a request info").request_id, "req-1");
    }

    #[test]
    fn an_illegal_transition_says_the_current_state() {
        let error = ApiError::Precondition {
            reason: ErrorReason::RunNotCancellable,
            message: "the run is over".into(),
            metadata: vec![("currentState".into(), "COMPLETED".into())],
        };
        let (status, details) = details(error);
        assert_eq!(status.code(), Code::FailedPrecondition);
        assert_eq!(details.error_info().expect("an error info").metadata["currentState"], "COMPLETED");
        assert!(details.has_precondition_failure_violations());
    }
}
