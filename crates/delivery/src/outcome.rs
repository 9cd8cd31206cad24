//! What became of one attempt to deliver.
//!
//! The variant is the caller's next move; every text is one line of at most
//! [`EXCERPT_BYTES`](crate::text::EXCERPT_BYTES) bytes, fit for a log and a row.

use std::fmt;
use std::time::Duration;

use crate::text::excerpt;

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The other side took responsibility.
    Delivered {
        /// SMTP reply or HTTP status.
        code: u16,
        /// The beginning of what it answered.
        response: String,
        /// All that was read of it; empty for mail.
        answer: String,
    },
    /// Certainly not delivered; a later attempt may succeed.
    Retry {
        /// Where it ended.
        phase: Phase,
        /// SMTP reply or HTTP status, if there was one.
        code: Option<u16>,
        /// The beginning of what it answered, or what went wrong.
        response: String,
        /// How long the other side asked us to wait, at most 24 hours.
        after: Option<Duration>,
    },
    /// Certainly not delivered; the same attempt would fail again.
    Rejected {
        /// Where it ended.
        phase: Phase,
        /// SMTP reply or HTTP status; `None` when we refused ourselves.
        code: Option<u16>,
        /// The beginning of what it answered, or what we refused.
        response: String,
        /// The recipient's address does not exist (RFC 3463 class 5.1):
        /// never write to it again.
        suppress: bool,
        /// The destination asked to be left alone (HTTP 410).
        disable_destination: bool,
    },
    /// The message left and no answer came: it may or may not have arrived.
    Unknown {
        /// Where it ended.
        phase: Phase,
        /// What went wrong.
        detail: String,
    },
}

impl Outcome {
    /// Delivered, with the reply cut to an excerpt.
    pub fn delivered(code: u16, response: &str) -> Self {
        Self::Delivered { code, response: excerpt(response), answer: String::new() }
    }

    /// Not delivered, try later on the caller's schedule.
    pub fn retry(phase: Phase, code: Option<u16>, response: &str) -> Self {
        Self::Retry { phase, code, response: excerpt(response), after: None }
    }

    /// Not delivered and never will be; neither suppresses nor disables.
    pub fn rejected(phase: Phase, code: Option<u16>, response: &str) -> Self {
        Self::Rejected {
            phase,
            code,
            response: excerpt(response),
            suppress: false,
            disable_destination: false,
        }
    }

    /// Sent, without an answer.
    pub fn unknown(phase: Phase, detail: &str) -> Self {
        Self::Unknown { phase, detail: excerpt(detail) }
    }
}

/// The step of a delivery at which it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Before any packet: the inputs or the destination were refused.
    Check,
    /// Looking up the host.
    Resolve,
    /// Opening the TCP connection; for HTTP also its TLS.
    Connect,
    /// TLS handshake of a mail relay.
    Tls,
    /// SMTP greeting.
    Greeting,
    /// SMTP `EHLO`.
    Ehlo,
    /// SMTP `STARTTLS`.
    StartTls,
    /// SMTP `AUTH`.
    Auth,
    /// SMTP `MAIL FROM`.
    MailFrom,
    /// SMTP `RCPT TO`.
    RcptTo,
    /// SMTP `DATA`.
    Data,
    /// Writing the message, up to and with its final dot.
    Body,
    /// Waiting for the reply to the final dot.
    FinalReply,
    /// HTTP request sent, or being sent; waiting for the status.
    Response,
}

impl Phase {
    /// The stable name used in attempts, logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Greeting => "greeting",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::Auth => "auth",
            Self::MailFrom => "mail_from",
            Self::RcptTo => "rcpt_to",
            Self::Data => "data",
            Self::Body => "body",
            Self::FinalReply => "final_reply",
            Self::Response => "response",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
