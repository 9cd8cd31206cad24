//! Database errors as the engine understands them.

use rekindle_ports::StoreError;
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{DbErr, RuntimeErr, SqlErr};

/// `query_canceled`: what `statement_timeout` ends a statement with.
const CANCELLED: &str = "57014";

/// Sorts a database error by what the caller can do about it.
pub fn sort(error: DbErr) -> StoreError {
    if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) {
        return StoreError::Conflict(error.to_string());
    }
    match &error {
        DbErr::ConnectionAcquire(_) | DbErr::Conn(_) => return StoreError::Unavailable(Box::new(error)),
        DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner)) => {
            if let Some(code) = inner.as_database_error().and_then(DatabaseError::code) {
                if is_transient(&code) {
                    return StoreError::Conflict(error.to_string());
                }
                if code == CANCELLED {
                    return StoreError::OutOfTime(Box::new(error));
                }
                if is_outage(&code) {
                    return StoreError::Unavailable(Box::new(error));
                }
            } else if inner.as_database_error().is_none() {
                return StoreError::Unavailable(Box::new(error));
            }
        }
        _ => {}
    }
    StoreError::Refused(Box::new(error))
}

/// Serialization failure, deadlock, lock timeout; SQLite's busy and locked.
fn is_transient(code: &str) -> bool {
    matches!(code, "40001" | "40P01" | "55P03" | "5" | "6" | "261" | "517" | "773")
}

/// Connection failures, shutdowns, too many connections, out of space; a session that the server
/// ended because its transaction stood still, as that of a process that was stopped does.
fn is_outage(code: &str) -> bool {
    code.starts_with("08")
        || code.starts_with("57P")
        || code.starts_with("53")
        || matches!(code, "25P03" | "25P04" | "13" | "14" | "10")
}
