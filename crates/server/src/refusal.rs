//! What the engine refuses, as the API says it.

use rekindle_core::violation::Violation;
use rekindle_engine::{EngineError, Invalid, Precondition, ResourceKind};
use rekindle_ports::StoreError;
use rekindle_proto::v1::ErrorReason;

use crate::name::{Collection, revision_name, workspace_name};
use crate::status::ApiError;

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Invalid { reason, violations } => {
                Self::Invalid { reason: invalid(reason), violations }
            }
            EngineError::NotFound { kind: ResourceKind::FunnelTemplate, id } => {
                Self::TemplateNotFound { template: id }
            }
            EngineError::NotFound { kind, id } => {
                Self::NotFound { reason: reasons(kind).0, name: resource_name(kind, &id) }
            }
            EngineError::RequestIdReused { id } => Self::RequestIdReused { request_id: id },
            EngineError::Exists { kind, id } => {
                Self::Exists { reason: reasons(kind).1, name: resource_name(kind, &id) }
            }
            EngineError::StaleEtag { kind, id } => Self::StaleEtag { name: resource_name(kind, &id) },
            EngineError::Precondition { reason, message, metadata } => {
                Self::Precondition { reason: precondition(reason), message, metadata }
            }
            EngineError::Busy { retry_after } => {
                Self::Limited { reason: ErrorReason::IngestLimit, retry_after }
            }
            EngineError::Stopping => Self::Stopping,
            error @ EngineError::Panicked(_) => Self::Internal(Box::new(error)),
            EngineError::Store(error) => store(error),
        }
    }
}

/// Puts a definition's violations under the field of the request that holds the definition.
///
/// The engine names fields from the definition on; `field` is where the request has it.
/// Fields in `beside` stand in the request itself.
pub fn under(field: &str, beside: &[&str]) -> impl Fn(ApiError) -> ApiError {
    move |error| match error {
        ApiError::Invalid { reason, violations } => {
            let placed = |violation: Violation| {
                let root = violation.field.split(['.', '[']).next().unwrap_or_default();
                if beside.contains(&root) {
                    return violation;
                }
                Violation { field: joined(field, &violation.field), message: violation.message }
            };
            ApiError::Invalid { reason, violations: violations.into_iter().map(placed).collect() }
        }
        other => other,
    }
}

/// Names the fields of a definition as those of a request that has them beside each other, and
/// the definition nowhere.
pub fn out_of(field: &'static str) -> impl Fn(ApiError) -> ApiError {
    move |error| match error {
        ApiError::Invalid { reason, violations } => {
            let placed = |violation: Violation| match violation.field.strip_prefix(&format!("{field}.")) {
                Some(inner) => Violation { field: inner.to_owned(), message: violation.message },
                None => violation,
            };
            ApiError::Invalid { reason, violations: violations.into_iter().map(placed).collect() }
        }
        other => other,
    }
}

/// Says which verb a sequence's state refuses; the engine only says that its state does.
pub fn state_refused_as(verb: ErrorReason) -> impl Fn(ApiError) -> ApiError {
    move |error| match error {
        ApiError::Precondition { reason: ErrorReason::SequenceNotUpdatable, message, metadata } => {
            ApiError::Precondition { reason: verb, message, metadata }
        }
        other => other,
    }
}

fn joined(prefix: &str, field: &str) -> String {
    if field.is_empty() { prefix.to_owned() } else { format!("{prefix}.{field}") }
}

fn invalid(reason: Invalid) -> ErrorReason {
    match reason {
        Invalid::Funnel => ErrorReason::FunnelInvalid,
        Invalid::Sequence => ErrorReason::SequenceInvalid,
        Invalid::Destination => ErrorReason::DestinationInvalid,
        Invalid::Field => ErrorReason::FieldInvalid,
    }
}

/// The reasons for a resource that is missing, and for one that is there. Those of which ids
/// are never chosen cannot be there already.
fn reasons(kind: ResourceKind) -> (ErrorReason, ErrorReason) {
    match kind {
        ResourceKind::Funnel => (ErrorReason::FunnelNotFound, ErrorReason::FunnelExists),
        ResourceKind::FunnelRevision => (ErrorReason::FunnelRevisionNotFound, ErrorReason::Conflict),
        ResourceKind::FunnelTemplate => (ErrorReason::TemplateNotFound, ErrorReason::Conflict),
        ResourceKind::Conversation => (ErrorReason::ConversationNotFound, ErrorReason::Conflict),
        ResourceKind::Customer => (ErrorReason::CustomerNotFound, ErrorReason::Conflict),
        ResourceKind::Sequence => (ErrorReason::SequenceNotFound, ErrorReason::SequenceExists),
        ResourceKind::Destination => (ErrorReason::DestinationNotFound, ErrorReason::DestinationExists),
        ResourceKind::Run => (ErrorReason::RunNotFound, ErrorReason::Conflict),
        ResourceKind::Delivery => (ErrorReason::DeliveryNotFound, ErrorReason::Conflict),
        ResourceKind::Suppression => (ErrorReason::SuppressionNotFound, ErrorReason::Conflict),
        ResourceKind::Replay => (ErrorReason::ReplayNotFound, ErrorReason::Conflict),
        ResourceKind::Workspace => (ErrorReason::WorkspaceNotFound, ErrorReason::Conflict),
    }
}

/// The name of a resource; a revision's id is `{funnel}@{revision}`.
fn resource_name(kind: ResourceKind, id: &str) -> String {
    let collection = match kind {
        ResourceKind::Funnel => Collection::Funnels,
        ResourceKind::FunnelRevision => return revision_of(id),
        ResourceKind::FunnelTemplate => return id.to_owned(),
        ResourceKind::Conversation => Collection::Conversations,
        ResourceKind::Customer => Collection::Customers,
        ResourceKind::Sequence => Collection::Sequences,
        ResourceKind::Destination => Collection::Destinations,
        ResourceKind::Run => Collection::Runs,
        ResourceKind::Delivery => Collection::Deliveries,
        ResourceKind::Suppression => Collection::Suppressions,
        ResourceKind::Replay => Collection::Replays,
        ResourceKind::Workspace => return workspace_name(),
    };
    collection.name(id)
}

fn revision_of(id: &str) -> String {
    let parts = id.split_once('@').and_then(|(funnel, number)| Some((funnel, number.parse().ok()?)));
    parts.map_or_else(|| Collection::Funnels.name(id), |(funnel, number)| revision_name(funnel, number))
}

fn precondition(reason: Precondition) -> ErrorReason {
    match reason {
        Precondition::StageInUse => ErrorReason::StageInUse,
        Precondition::StepInUse => ErrorReason::StepInUse,
        Precondition::FillNotCancellable => ErrorReason::FillNotCancellable,
        Precondition::SubjectErased => ErrorReason::SubjectErased,
        Precondition::RunNotCancellable => ErrorReason::RunNotCancellable,
        Precondition::DeliveryNotCancellable => ErrorReason::DeliveryNotCancellable,
        Precondition::DeliveryNotUnknown => ErrorReason::DeliveryNotResolvable,
        Precondition::DeliveryNotReplayable => ErrorReason::DeliveryNotReplayable,
        Precondition::RunNotReplayable => ErrorReason::RunNotReplayable,
        Precondition::ReplayNotCancellable => ErrorReason::ReplayNotCancellable,
        Precondition::DestinationInUse => ErrorReason::DestinationInUse,
        Precondition::DestinationDisabled => ErrorReason::DestinationDisabled,
        Precondition::SequenceNotStartable => ErrorReason::SequenceNotStartable,
        // The verb that was refused says it more exactly where it is called.
        Precondition::SequenceState => ErrorReason::SequenceNotUpdatable,
        Precondition::FunnelInUse => ErrorReason::FunnelInUse,
        Precondition::CalendarInUse => ErrorReason::CalendarInUse,
    }
}

fn store(error: StoreError) -> ApiError {
    match error {
        StoreError::Conflict(_) => ApiError::Conflict,
        StoreError::Unavailable(cause) => {
            tracing::warn!(%cause, "the database is away");
            ApiError::StoreUnavailable
        }
        StoreError::OutOfTime(_) => ApiError::DeadlineExceeded,
        StoreError::Exists(_) | StoreError::Corrupt { .. } | StoreError::Refused(_) => {
            ApiError::Internal(Box::new(error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violation(field: &str) -> Violation {
        Violation { field: field.into(), message: "is wrong".into() }
    }

    #[test]
    fn a_missing_revision_is_named_in_full() {
        let error = EngineError::not_found(ResourceKind::FunnelRevision, "support@7");
        let ApiError::NotFound { reason, name } = error.into() else {
            panic!("not a missing resource");
        };
        assert_eq!(reason, ErrorReason::FunnelRevisionNotFound);
        assert_eq!(name, "workspaces/default/funnels/support/revisions/7");
    }

    #[test]
    fn violations_of_a_definition_stand_under_its_field() {
        let violations = vec![violation("stages[1].id"), violation(""), violation("stageMap.old")];
        let error = ApiError::Invalid { reason: ErrorReason::FunnelInvalid, violations };
        let ApiError::Invalid { violations, .. } = under("funnel", &["stageMap"])(error) else {
            panic!("another kind of error");
        };
        let fields: Vec<_> = violations.into_iter().map(|it| it.field).collect();
        assert_eq!(fields, ["funnel.stages[1].id", "funnel", "stageMap.old"]);
    }

    #[test]
    fn a_panic_is_a_fault_of_ours_under_the_id_of_the_call() {
        let status = ApiError::from(EngineError::panicked(&"index out of range")).into_status("r-7");
        assert_eq!(status.code(), tonic::Code::Internal);
        assert!(status.message().contains("r-7"), "{status}");
        assert!(!status.message().contains("index"), "what it said is in the log alone");
    }

    #[test]
    fn a_row_that_cannot_be_is_a_fault_of_ours() {
        let corrupt = StoreError::Corrupt { table: "events", column: "author", row: "1".into() };
        assert!(matches!(ApiError::from(EngineError::Store(corrupt)), ApiError::Internal(_)));
    }
}
