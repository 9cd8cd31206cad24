//! Why a command did not work, and the exit code that says so.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Why a command did not work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command or its input is wrong. Exit code 2.
    #[error("{0}")]
    Invalid(String),
    /// Something broke on the way. Exit code 1.
    #[error("{0}")]
    Failed(String),
    /// Nobody answers. Exit code 3.
    #[error("no server answers at {address}: {reason}")]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// What the transport said.
        reason: String,
    },
    /// The server refused. Exit code 2 for invalid arguments, 3 when it is unavailable, else 1.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Standard output could not be written. Exit code 1, or 0 when its reader went away.
    #[error("cannot write: {0}")]
    Output(#[from] io::Error),
}

/// What a server answered instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub code: Code,
    /// The message for people.
    pub message: String,
    /// `reason` of the `ErrorInfo`, such as `FUNNEL_INVALID`.
    pub reason: Option<String>,
    /// What else the `ErrorInfo` says, by key.
    pub metadata: Vec<(String, String)>,
    /// Every wrong field and what is wrong with it.
    pub violations: Vec<(String, String)>,
    /// After how long the server asks to try again.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// The exit code that says so.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid(_) => 2,
            Self::Failed(_) => 1,
            Self::Unreachable { .. } => 3,
            Self::Refused(refusal) => match refusal.code {
                Code::InvalidArgument => 2,
                Code::Unavailable => 3,
                _ => 1,
            },
            Self::Output(error) => u8::from(error.kind() != io::ErrorKind::BrokenPipe),
        }
    }

    /// Says it on stderr. A reader of stdout that went away is no news.
    pub fn report(&self) {
        if self.exit_code() != 0 {
            anstream::eprintln!("error: {self}");
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(Refusal::from(&status)))
    }
}

impl From<&Status> for Refusal {
    fn from(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let mut metadata: Vec<(String, String)> =
            info.map(|info| info.metadata.clone().into_iter().collect()).unwrap_or_default();
        metadata.sort();
        let violations = details
            .bad_request()
            .map(|bad| {
                bad.field_violations
                    .iter()
                    .map(|violation| (violation.field.clone(), violation.description.clone()))
                    .collect()
            })
            .unwrap_or_default();
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            reason: info.map(|info| info.reason.clone()),
            metadata,
            violations,
            retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let message = if self.message.is_empty() { self.code.description() } else { &self.message };
        f.write_str(message)?;
        if let Some(reason) = &self.reason {
            write!(f, " ({reason})")?;
        }
        for (key, value) in &self.metadata {
            write!(f, "\n  {key}: {value}")?;
        }
        for (field, description) in &self.violations {
            write!(f, "\n  {field}: {description}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;

    fn invalid_funnel() -> Status {
        let mut details = ErrorDetails::new();
        details.set_error_info("FUNNEL_INVALID", "rekindle.dev", HashMap::new()).set_bad_request(vec![
            FieldViolation::new("stages[0].id", "is empty"),
            FieldViolation::new("stages[1].window", "is negative"),
        ]);
        Status::with_error_details(Code::InvalidArgument, "the funnel is invalid", details)
    }

    #[test]
    fn a_refusal_is_told_with_its_reason_and_a_line_for_every_field() {
        let failure = Failure::from(invalid_funnel());
        assert_eq!(
            failure.to_string(),
            "the funnel is invalid (FUNNEL_INVALID)\n  stages[0].id: is empty\n  stages[1].window: is negative"
        );
        assert_eq!(failure.exit_code(), 2);
    }

    #[test]
    fn a_status_without_details_is_told_by_its_message_or_its_code() {
        assert_eq!(Failure::from(Status::not_found("no such run")).to_string(), "no such run");
        let bare = Failure::from(Status::new(Code::Unavailable, ""));
        assert!(!bare.to_string().is_empty());
        assert_eq!(bare.exit_code(), 3);
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(gone.exit_code(), 0);
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.exit_code(), 1);
    }
}
