//! Faults of ours, panics among them: each is answered, logged and counted.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tonic::codegen::http::HeaderMap;
use tonic::{Code, Status};

use crate::status::ApiError;

/// How many calls ended with `INTERNAL`; all handles share the count. It must stay 0.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<AtomicU64>);

impl Faults {
    /// So far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts the last word of a stream, if it is a fault of ours.
    pub fn note(&self, status: &Status) {
        if status.code() == Code::Internal {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts an answer, if its head says that it is a fault of ours.
    pub fn note_head(&self, head: &HeaderMap) {
        let code = head.get(Status::GRPC_STATUS).map(|code| Code::from_bytes(code.as_bytes()));
        if code == Some(Code::Internal) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What the caller of a handler that panicked is told. The panic's own message was printed where
/// it happened.
pub fn panicked(_: Box<dyn Any + Send>) -> ApiError {
    ApiError::Internal("a handler panicked".into())
}
