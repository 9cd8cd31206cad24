//! Why the store could not do what it was asked.

use std::error::Error;

/// The caller's next move is in the variant.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something changed under the unit of work: do the whole unit again.
    #[error("the unit of work met a conflict: {0}")]
    Conflict(String),
    /// A resource with this name exists.
    #[error("{0} exists already")]
    Exists(String),
    /// The database cannot be reached or does not answer: try again later.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// A statement took longer than it was given, or than any may take.
    #[error("the database took too long")]
    OutOfTime(#[source] Box<dyn Error + Send + Sync>),
    /// A row says something that cannot be.
    #[error("the row {row} of {table} holds an impossible {column}")]
    Corrupt {
        /// Table.
        table: &'static str,
        /// Column.
        column: &'static str,
        /// Key of the row.
        row: String,
    },
    /// A statement failed for a reason that is ours.
    #[error("the database refused a statement")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Whether the same unit of work may succeed when it is done again at once.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }
}

/// What the store answers with.
pub type StoreResult<T> = Result<T, StoreError>;
