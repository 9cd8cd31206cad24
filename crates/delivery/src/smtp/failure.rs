//! Why a dialogue ended before the message was out, and what that means.

use crate::outcome::{Outcome, Phase};

use super::reply::Reply;

/// A dialogue that ended before the final dot was fully written: nothing was sent.
#[derive(Debug)]
pub(super) enum Failure {
    /// The relay answered, but not with what the step needs.
    Refused { phase: Phase, reply: Reply },
    /// The connection, the relay's grammar or our settings are at fault.
    Broken { phase: Phase, detail: String },
    /// The message cannot be sent to this relay as it is.
    Unsendable { detail: &'static str },
}

impl Failure {
    pub(super) fn broken(phase: Phase, detail: &(impl ToString + ?Sized)) -> Self {
        Self::Broken { phase, detail: detail.to_string() }
    }

    /// What the caller may do next.
    pub(super) fn into_outcome(self) -> Outcome {
        match self {
            Self::Refused { phase, reply } => judge(phase, &reply),
            Self::Broken { phase, detail } => Outcome::retry(phase, None, &detail),
            Self::Unsendable { detail } => Outcome::rejected(Phase::Check, None, detail),
        }
    }
}

/// What a negative reply means for this message.
///
/// A permanent refusal before `MAIL` (a greeting of 554, a wrong password) is
/// about the relay and its settings, not about the message: it is retried, so
/// that a rotated password does not kill a queue.
pub(super) fn judge(phase: Phase, reply: &Reply) -> Outcome {
    let code = Some(reply.code);
    let about_message = matches!(phase, Phase::MailFrom | Phase::RcptTo | Phase::Data | Phase::FinalReply);
    if about_message && (500..600).contains(&reply.code) {
        return Outcome::Rejected {
            phase,
            code,
            response: crate::text::excerpt(&reply.text()),
            suppress: phase != Phase::MailFrom && names_no_one(reply),
            disable_destination: false,
        };
    }
    Outcome::retry(phase, code, &reply.text())
}

/// Enhanced code 5.1.x: a bad recipient address. 5.1.7 and 5.1.8 are about the sender's.
fn names_no_one(reply: &Reply) -> bool {
    matches!(reply.enhanced(), Some((5, 1, detail)) if detail != 7 && detail != 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(phase: Phase, line: &str) -> Outcome {
        judge(phase, &Reply::from_line(line))
    }

    fn suppresses(phase: Phase, line: &str) -> bool {
        match judged(phase, line) {
            Outcome::Rejected { suppress, .. } => suppress,
            other => panic!("not rejected: {other:?}"),
        }
    }

    #[test]
    fn an_address_that_does_not_exist_is_suppressed() {
        assert!(suppresses(Phase::RcptTo, "550 5.1.1 no such user"));
        assert!(suppresses(Phase::FinalReply, "550 5.1.10 null mx"));
    }

    #[test]
    fn a_policy_refusal_does_not_suppress_the_person() {
        assert!(!suppresses(Phase::RcptTo, "550 5.7.1 blocked"));
        assert!(!suppresses(Phase::RcptTo, "552 5.2.2 mailbox full"));
        assert!(!suppresses(Phase::RcptTo, "550 user unknown"));
        assert!(!suppresses(Phase::RcptTo, "550 5.1.8 bad sender domain"));
        assert!(!suppresses(Phase::MailFrom, "550 5.1.1 odd place"));
    }

    #[test]
    fn a_refusal_of_the_relay_itself_is_retried() {
        for phase in [Phase::Greeting, Phase::Ehlo, Phase::StartTls, Phase::Auth] {
            let outcome = judged(phase, "535 5.7.8 bad credentials");
            assert!(matches!(outcome, Outcome::Retry { code: Some(535), .. }), "{outcome:?}");
        }
    }

    #[test]
    fn a_relay_that_is_closing_is_retried_in_every_phase() {
        for phase in [Phase::MailFrom, Phase::RcptTo, Phase::Data, Phase::FinalReply] {
            let outcome = judged(phase, "421 4.3.2 closing");
            assert!(matches!(outcome, Outcome::Retry { code: Some(421), .. }), "{outcome:?}");
        }
    }
}
