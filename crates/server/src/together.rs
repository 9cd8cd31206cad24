//! Several checks of one request, refused together: every wrong field in one answer.

use rekindle_core::violation::Violation;
use rekindle_proto::v1::ErrorReason;

use crate::status::ApiError;

/// Checks that stand for themselves, each with its value.
pub trait Together {
    /// The values.
    type Values;

    /// All values, or all wrong fields. A refusal that is about no field stands alone:
    /// `NOT_FOUND` for a workspace, say.
    fn together(self) -> Result<Self::Values, ApiError>;
}

macro_rules! together {
    ($($value:ident $place:ident),+) => {
        impl<$($value),+> Together for ($(Result<$value, ApiError>,)+) {
            type Values = ($($value,)+);

            fn together(self) -> Result<Self::Values, ApiError> {
                match self {
                    ($(Ok($place),)+) => Ok(($($place,)+)),
                    ($($place,)+) => Err(merged([$($place.err()),+])),
                }
            }
        }
    };
}

together!(A a, B b);
together!(A a, B b, C c);
together!(A a, B b, C c, D d);

/// One refusal of several; the reason of a definition goes before that of plain fields.
fn merged<const N: usize>(errors: [Option<ApiError>; N]) -> ApiError {
    let mut reason = ErrorReason::FieldInvalid;
    let mut found: Vec<Violation> = Vec::new();
    for error in errors.into_iter().flatten() {
        match error {
            ApiError::Invalid { reason: of, violations } => {
                if of != ErrorReason::FieldInvalid {
                    reason = of;
                }
                found.extend(violations);
            }
            other => return other,
        }
    }
    ApiError::Invalid { reason, violations: found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_fields_of_one_request_are_named_together() {
        let definition: Result<(), _> = Err(ApiError::Invalid {
            reason: ErrorReason::FunnelInvalid,
            violations: vec![Violation { field: "funnel.stages".into(), message: "is empty".into() }],
        });
        let id: Result<(), _> = Err(ApiError::field("funnelId", "is wrong"));
        let Err(ApiError::Invalid { reason, violations }) = (id, Ok(7), definition).together() else {
            panic!("nothing was refused");
        };
        assert_eq!(reason, ErrorReason::FunnelInvalid);
        let fields: Vec<_> = violations.into_iter().map(|it| it.field).collect();
        assert_eq!(fields, ["funnelId", "funnel.stages"]);
    }

    #[test]
    fn a_missing_workspace_stands_alone() {
        let missing: Result<(), _> = Err(ApiError::WorkspaceNotFound { name: "workspaces/other".into() });
        let wrong: Result<(), _> = Err(ApiError::field("funnelId", "is wrong"));
        assert!(matches!((wrong, missing).together(), Err(ApiError::WorkspaceNotFound { .. })));
    }

    #[test]
    fn values_come_back_when_nothing_is_wrong() {
        assert_eq!((Ok(1), Ok("two")).together().expect("nothing is wrong"), (1, "two"));
    }
}
