//! Why the engine could not do what it was asked; the caller's next move is in the variant.

use std::any::Any;
use std::time::Duration;

use rekindle_core::violation::Violation;
use rekindle_ports::StoreError;

/// What was invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// A funnel definition.
    Funnel,
    /// A sequence definition.
    Sequence,
    /// A destination.
    Destination,
    /// Any other argument.
    Field,
}

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceKind {
    /// A funnel.
    Funnel,
    /// A revision of a funnel.
    FunnelRevision,
    /// A template.
    FunnelTemplate,
    /// A conversation.
    Conversation,
    /// A customer.
    Customer,
    /// A sequence.
    Sequence,
    /// A destination.
    Destination,
    /// A run.
    Run,
    /// A delivery.
    Delivery,
    /// An entry of the suppression list.
    Suppression,
    /// A replay.
    Replay,
    /// A workspace.
    Workspace,
}

/// What stands in the way of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// A sequence names a stage that the revision removes.
    StageInUse,
    /// Runs stand in a step that the revision removes.
    StepInUse,
    /// The fill is over.
    FillNotCancellable,
    /// The subject was erased.
    SubjectErased,
    /// The run is over.
    RunNotCancellable,
    /// The delivery is over, or being sent at this moment.
    DeliveryNotCancellable,
    /// The delivery's outcome is known.
    DeliveryNotUnknown,
    /// The delivery did not fail, or belongs to no run.
    DeliveryNotReplayable,
    /// Nothing failed in the run.
    RunNotReplayable,
    /// The replay is through.
    ReplayNotCancellable,
    /// Sequences use the destination.
    DestinationInUse,
    /// The destination is disabled.
    DestinationDisabled,
    /// The sequence cannot be started as it is.
    SequenceNotStartable,
    /// The sequence is in another state than the operation needs.
    SequenceState,
    /// Something still uses the funnel.
    FunnelInUse,
    /// A funnel names the calendar that would go.
    CalendarInUse,
}

/// Everything that can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Arguments are wrong; all of them are named.
    #[error("invalid {reason:?}")]
    Invalid {
        /// What they describe.
        reason: Invalid,
        /// Every wrong field.
        violations: Vec<Violation>,
    },
    /// There is no such resource.
    #[error("no {kind:?} {id:?}")]
    NotFound {
        /// Kind.
        kind: ResourceKind,
        /// Id.
        id: String,
    },
    /// There is such a resource already.
    #[error("{kind:?} {id:?} exists")]
    Exists {
        /// Kind.
        kind: ResourceKind,
        /// Id.
        id: String,
    },
    /// The request id was used for another request.
    #[error("the request id {id:?} was used before")]
    RequestIdReused {
        /// The request's id.
        id: String,
    },
    /// The resource changed since the caller read it.
    #[error("{kind:?} {id:?} has changed")]
    StaleEtag {
        /// Kind.
        kind: ResourceKind,
        /// Id.
        id: String,
    },
    /// The resource's state stands in the way.
    #[error("{message}")]
    Precondition {
        /// What stands in the way.
        reason: Precondition,
        /// The same for people.
        message: String,
        /// Facts for machines.
        metadata: Vec<(String, String)>,
    },
    /// Too much is waiting: try again later.
    #[error("too many events are waiting to be stored")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The process is shutting down.
    #[error("the service is stopping")]
    Stopping,
    /// Our own code panicked; nothing of the unit of work is kept.
    #[error("a unit of work panicked: {0}")]
    Panicked(String),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
}

impl EngineError {
    /// Invalid arguments.
    pub fn invalid(reason: Invalid, violations: Vec<Violation>) -> Self {
        Self::Invalid { reason, violations }
    }

    /// One invalid argument.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::invalid(Invalid::Field, vec![Violation { field: field.into(), message: message.into() }])
    }

    /// No such resource.
    pub fn not_found(kind: ResourceKind, id: impl Into<String>) -> Self {
        Self::NotFound { kind, id: id.into() }
    }

    /// A panic, with what it said.
    pub fn panicked(payload: &(dyn Any + Send)) -> Self {
        let said = payload.downcast_ref::<&str>().copied();
        let said = said.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::Panicked(said.unwrap_or("without a word").to_owned())
    }

    /// Whether the same unit of work may succeed when it is done again at once.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

/// What the engine answers with.
pub type EngineResult<T> = Result<T, EngineError>;
