//! Our words in those of the port.

use rekindle_ports::deliver::{SendOutcome, TemplateError, TemplateKind};

use crate::{Outcome, template};

/// An outcome as the port says it.
pub(super) fn translate(outcome: Outcome) -> SendOutcome {
    match outcome {
        Outcome::Delivered { code, response, answer } => {
            SendOutcome::Delivered { code: code.into(), response, answer }
        }
        Outcome::Retry { phase, code, response, after } => {
            SendOutcome::Retry { phase: phase.name().into(), code: code.map(i32::from), response, after }
        }
        Outcome::Rejected { phase, code, response, suppress, disable_destination } => SendOutcome::Rejected {
            phase: phase.name().into(),
            code: code.map(i32::from),
            response,
            suppress,
            disable_destination,
        },
        Outcome::Unknown { phase, detail } => SendOutcome::Unknown { phase: phase.name().into(), detail },
    }
}

/// A kind of template as the renderer names it.
pub(super) fn kind(kind: TemplateKind) -> template::Kind {
    match kind {
        TemplateKind::Subject => template::Kind::Subject,
        TemplateKind::Text => template::Kind::Text,
        TemplateKind::Html => template::Kind::Html,
        TemplateKind::Json => template::Kind::Json,
        TemplateKind::Address => template::Kind::Address,
    }
}

/// A template's fault with its line.
#[expect(clippy::needless_pass_by_value, reason = "used as a conversion of errors")]
pub(super) fn template_error(error: template::TemplateError) -> TemplateError {
    TemplateError { message: error.to_string() }
}
