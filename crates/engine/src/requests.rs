//! Creates that are safe to repeat: a request id is answered once, and the same ever after.

use rekindle_core::Timestamp;
use rekindle_ports::resources::{RequestKind, RequestRow};
use rekindle_ports::{StoreError, Tx};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use crate::error::{EngineError, EngineResult};

/// How a resource is to be created.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Creation {
    /// Makes the call safe to repeat: with the same content it is answered as the first time,
    /// with other content by [`EngineError::RequestIdReused`].
    pub request_id: Option<String>,
    /// Only says whether it would do.
    pub validate_only: bool,
}

impl Creation {
    /// A create that only says whether it would do.
    pub fn check_only() -> Self {
        Self { validate_only: true, ..Self::default() }
    }

    /// A create that is safe to repeat.
    pub fn once(request_id: &str) -> Self {
        Self { request_id: Some(request_id.to_owned()), ..Self::default() }
    }
}

/// A create, with the digest of all that it says.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    kind: RequestKind,
    how: Creation,
    digest: Uuid,
}

impl Asked {
    pub fn new(kind: RequestKind, how: Creation, content: &str) -> Self {
        Self { kind, how, digest: Uuid::from_u128(xxh3_128(content.as_bytes())) }
    }

    /// Whether it only asks whether it would do.
    pub fn is_check(&self) -> bool {
        self.how.validate_only
    }

    /// What was kept of the same request when it was answered first.
    pub async fn before(&self, tx: &mut dyn Tx) -> EngineResult<Option<RequestRow>> {
        let Some(id) = &self.how.request_id else {
            return Ok(None);
        };
        match tx.request(self.kind, id).await? {
            Some(row) if row.digest != self.digest => Err(EngineError::RequestIdReused { id: id.clone() }),
            found => Ok(found),
        }
    }

    /// Keeps what the answer says, in the transaction that creates.
    pub async fn keep(&self, tx: &mut dyn Tx, answer: String, now: Timestamp) -> EngineResult<()> {
        if let (Some(id), false) = (&self.how.request_id, self.how.validate_only) {
            let (kind, id, digest) = (self.kind, id.clone(), self.digest);
            tx.insert_request(&RequestRow { kind, id, digest, answer, created_at: now }).await?;
        }
        Ok(())
    }
}

/// What was kept of a request cannot be read.
pub(crate) fn corrupt(row: &RequestRow) -> EngineError {
    StoreError::Corrupt { table: "requests", column: "answer", row: row.id.clone() }.into()
}
