//! The table: code, reason, words and details of every refusal.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rekindle_core::violation::Violation;
use rekindle_proto::v1::ErrorReason;
use tonic::Code;

use super::{ApiError, reason_name};

/// How soon a caller may try again when the database is away or the server stops.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a refusal says.
pub(super) fn describe(error: ApiError, request_id: &str) -> Refusal {
    match error {
        ApiError::Invalid { reason, violations } => {
            let violations = by_field(violations);
            let message = first_of(&violations);
            Refusal::new(Code::InvalidArgument, reason, message).with(Extra::Fields(violations))
        }
        ApiError::PageToken => page_token(),
        ApiError::WorkspaceNotFound { name } => not_found(ErrorReason::WorkspaceNotFound, name),
        ApiError::NotFound { reason, name } => not_found(reason, name),
        ApiError::TemplateNotFound { template } => template_not_found(template),
        ApiError::Exists { reason, name } => exists(reason, name),
        ApiError::RequestIdReused { request_id } => {
            let message = format!("the request id {request_id} was used for another request");
            Refusal::new(Code::AlreadyExists, ErrorReason::RequestIdReused, message)
                .saying("requestId", request_id)
        }
        ApiError::StaleEtag { name } => {
            let message = format!("{name} was changed by somebody else; read it and try again");
            Refusal::new(Code::Aborted, ErrorReason::StaleEtag, message).saying("name", name)
        }
        ApiError::Precondition { reason, message, metadata } => {
            let subject = metadata.iter().find(|(key, _)| key == "name");
            let subject = subject.map_or_else(String::new, |(_, name)| name.clone());
            let refusal = Refusal::new(Code::FailedPrecondition, reason, message);
            let refusal = metadata.into_iter().fold(refusal, |it, (key, value)| it.saying(&key, value));
            refusal.with(Extra::Precondition { subject })
        }
        ApiError::Limited { reason, retry_after } => limited(reason, retry_after),
        ApiError::TooLarge { limit } => {
            let message = format!("the message is larger than {limit} bytes");
            Refusal::new(Code::ResourceExhausted, ErrorReason::RequestTooLarge, message)
                .saying("limitBytes", limit.to_string())
        }
        ApiError::TooManyEntries { limit } => {
            let message = format!("the call has more than {limit} metadata entries");
            Refusal::new(Code::ResourceExhausted, ErrorReason::RequestTooLarge, message)
                .saying("limitEntries", limit.to_string())
        }
        ApiError::AnswerTooLarge { limit } => {
            let message = format!("the answer would be larger than {limit} bytes; ask for less");
            Refusal::new(Code::InvalidArgument, ErrorReason::ResultTooLarge, message)
                .saying("limitBytes", limit.to_string())
        }
        ApiError::ResultTooLarge { limit } => {
            let message = format!("the answer would have more than {limit} rows; ask for less");
            Refusal::new(Code::InvalidArgument, ErrorReason::ResultTooLarge, message)
                .saying("limitRows", limit.to_string())
        }
        ApiError::Malformed => {
            let message = "the message is no protobuf message of the method";
            Refusal::new(Code::InvalidArgument, ErrorReason::RequestMalformed, message)
        }
        ApiError::StreamSequence { sequence, previous } => {
            let message = format!("the sequence {sequence} is not higher than {previous}");
            Refusal::new(Code::InvalidArgument, ErrorReason::StreamSequenceInvalid, message)
                .saying("sequence", sequence.to_string())
                .saying("previousSequence", previous.to_string())
        }
        ApiError::StreamIdle { committed } => {
            let message = "no batch came for too long; open a new stream";
            Refusal::new(Code::Aborted, ErrorReason::StreamIdle, message)
                .saying("committedSequence", committed.to_string())
        }
        ApiError::Stopping => {
            let message = "the server stops; try again";
            Refusal::new(Code::Unavailable, ErrorReason::ShuttingDown, message)
                .with(Extra::Retry(RETRY_AFTER))
        }
        ApiError::StoreUnavailable => {
            let message = "the database is away; try again";
            Refusal::new(Code::Unavailable, ErrorReason::StoreUnavailable, message)
                .with(Extra::Retry(RETRY_AFTER))
        }
        ApiError::Conflict => {
            let message = "others changed the same subjects at the same time; try again";
            Refusal::new(Code::Aborted, ErrorReason::Conflict, message)
        }
        ApiError::DeadlineTooShort { left } => {
            let message = "less time is left than any answer takes; nothing was done";
            Refusal::new(Code::DeadlineExceeded, ErrorReason::DeadlineTooShort, message)
                .saying("leftMillis", left.as_millis().to_string())
        }
        ApiError::DeadlineExceeded => {
            let message = "the time was up before the answer; a write may have been committed all the same";
            Refusal::new(Code::DeadlineExceeded, ErrorReason::DeadlineExceeded, message)
        }
        ApiError::Internal(_) => {
            let message = format!("a fault of ours; the log has more under {request_id}");
            Refusal::new(Code::Internal, ErrorReason::Internal, message)
                .saying("requestId", request_id.to_owned())
        }
    }
}

/// A status before it is encoded.
pub(super) struct Refusal {
    pub code: Code,
    pub reason: ErrorReason,
    pub message: String,
    pub metadata: HashMap<String, String>,
    pub details: Extra,
}

/// The detail that goes with a kind of refusal.
pub(super) enum Extra {
    None,
    Fields(Vec<Violation>),
    Resource { kind: &'static str, name: String },
    Precondition { subject: String },
    Retry(Duration),
    Quota { delay: Duration, subject: &'static str },
}

impl Refusal {
    fn new(code: Code, reason: ErrorReason, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), metadata: HashMap::new(), details: Extra::None }
    }

    fn saying(mut self, key: &str, value: String) -> Self {
        self.metadata.insert(key.to_owned(), value);
        self
    }

    fn with(mut self, details: Extra) -> Self {
        self.details = details;
        self
    }
}

fn limited(reason: ErrorReason, retry_after: Duration) -> Refusal {
    let (subject, message) = match reason {
        ErrorReason::IngestLimit => {
            ("workspaces/default/events", "more events than the server takes now; try again later")
        }
        _ => ("workspaces/default/calls", "more calls than the server takes now; try again later"),
    };
    Refusal::new(Code::ResourceExhausted, reason, message).with(Extra::Quota { delay: retry_after, subject })
}

fn not_found(reason: ErrorReason, name: String) -> Refusal {
    let message = format!("there is no {name}");
    Refusal::new(Code::NotFound, reason, message)
        .saying("name", name.clone())
        .with(Extra::Resource { kind: resource_type(reason), name })
}

fn template_not_found(template: String) -> Refusal {
    let (reason, message) = (ErrorReason::TemplateNotFound, format!("there is no template {template}"));
    Refusal::new(Code::NotFound, reason, message)
        .saying("template", template.clone())
        .with(Extra::Resource { kind: resource_type(reason), name: template })
}

fn exists(reason: ErrorReason, name: String) -> Refusal {
    Refusal::new(Code::AlreadyExists, reason, format!("{name} exists already"))
        .saying("name", name.clone())
        .with(Extra::Resource { kind: resource_type(reason), name })
}

fn page_token() -> Refusal {
    let message = "the page token is not one of ours, or belongs to another question";
    let violation = Violation { field: "pageToken".into(), message: message.into() };
    Refusal::new(Code::InvalidArgument, ErrorReason::PageTokenInvalid, message)
        .with(Extra::Fields(vec![violation]))
}

/// The message type of the resource that a reason speaks of.
fn resource_type(reason: ErrorReason) -> &'static str {
    let name = reason_name(reason);
    let types = [
        ("FUNNEL_REVISION_", "rekindle.v1.FunnelRevision"),
        ("FUNNEL_", "rekindle.v1.Funnel"),
        ("TEMPLATE_", "rekindle.v1.FunnelTemplate"),
        ("CONVERSATION_", "rekindle.v1.Conversation"),
        ("CUSTOMER_", "rekindle.v1.Customer"),
        ("SEQUENCE_", "rekindle.v1.Sequence"),
        ("RUN_", "rekindle.v1.Run"),
        ("DELIVERY_", "rekindle.v1.Delivery"),
        ("DESTINATION_", "rekindle.v1.Destination"),
        ("SUPPRESSION_", "rekindle.v1.Suppression"),
        ("REPLAY_", "rekindle.v1.Replay"),
        ("WORKSPACE_", "rekindle.v1.Workspace"),
    ];
    let found = types.iter().find(|(prefix, _)| name.starts_with(prefix));
    found.map_or("", |(_, kind)| kind)
}

/// The first violation of each field: what follows from it says nothing new.
fn by_field(violations: Vec<Violation>) -> Vec<Violation> {
    let mut seen = HashSet::new();
    violations.into_iter().filter(|violation| seen.insert(violation.field.clone())).collect()
}

/// The first violation in one line, and how many there are.
fn first_of(violations: &[Violation]) -> String {
    let Some(first) = violations.first() else {
        return "the request is wrong".to_owned();
    };
    match violations.len() {
        1 => format!("{}: {}", first.field, first.message),
        count => format!("{}: {} (and {} more)", first.field, first.message, count - 1),
    }
}
