//! What funnels, sequences and destinations have in common: an id that a user chose, and an etag.

use rekindle_core::funnel::validate::is_user_id;
use rekindle_core::violation::Violation;

use crate::error::{EngineError, EngineResult, ResourceKind};

/// What is wrong with the id that a user chose for a resource, if anything.
pub(crate) fn wrong_id(id: &str, field: &str) -> Option<Violation> {
    let message = "takes 1 to 63 of a-z, 0-9 and '-', beginning with a letter and not ending with '-'";
    (!is_user_id(id)).then(|| Violation { field: field.into(), message: message.into() })
}

/// Refuses a change of a resource that is not what the caller read; without an etag it does not care.
pub(crate) fn check_etag(kind: ResourceKind, id: &str, etag: &str, read: Option<&str>) -> EngineResult<()> {
    match read {
        Some(read) if read != etag => Err(EngineError::StaleEtag { kind, id: id.to_owned() }),
        _ => Ok(()),
    }
}
