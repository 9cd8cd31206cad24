//! One message to one recipient over one SMTP connection.
//!
//! The dialogue is ours, from the socket to `QUIT`, because what matters is
//! *when* it ended: a connection lost after `RCPT` has sent nothing, one lost
//! after the final dot may have sent everything, and a client library gives
//! the same error for both. Owning it also settles five hazards of lettre
//! 0.11.23 at once:
//!
//! - its pool hands the late reply of one message to the next (F3): here a
//!   connection serves one message and any doubt closes it;
//! - its reads and writes never time out (F4): here every step does;
//! - it writes the message and the final dot apart and leaves Nagle on, 44 ms a
//!   mail (F8): here the dot leaves with the last block, on a no-delay socket;
//! - its connection takes a socket of ours only in plain text: implicit TLS
//!   opens its own;
//! - it logs `AUTH` at debug level, and keeps bytes that were buffered before
//!   `STARTTLS` (an attacker's words, read as the server's after the upgrade).
//!
//! lettre still builds the message (`email`). Protocol: RFC 5321; time limits:
//! RFC 5321 §4.5.3.2; enhanced codes: RFC 3463.

use std::time::Duration;

use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::email::Address;
use crate::outcome::{Outcome, Phase};

mod connect;
mod dialogue;
mod failure;
mod reply;
mod session;
mod stuffing;
#[cfg(test)]
mod tests;

/// Reads the reply that a step needs: nothing when it is the `expected` one (a class such as `2`,
/// or a whole code), else what that means for the message. What [`send`] does with every reply,
/// over a stream that need not be a socket.
pub async fn read_reply(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    phase: Phase,
    expected: u16,
) -> Option<Outcome> {
    let limit = SmtpTimeouts::default().command;
    let reply = dialogue::Dialogue::new(stream).expect(phase, expected, limit).await;
    reply.err().map(failure::Failure::into_outcome)
}

/// Sends one message to one recipient and says what became of it.
///
/// `bytes` is the whole message as [`email::build`](crate::email::build) made
/// it. Never fails otherwise than in its outcome, never retries, and returns
/// within the sum of the configured time limits.
pub async fn send(config: &SmtpConfig, envelope: &Envelope, bytes: &[u8]) -> Outcome {
    let (from, to) = match envelope.checked() {
        Ok(addresses) => addresses,
        Err(refusal) => return refusal,
    };
    let mail = session::Mail { from: &from, to: &to, bytes };
    match session::run(config, &mail).await {
        Ok(outcome) => outcome,
        Err(failure) => failure.into_outcome(),
    }
}

/// How to reach a mail relay.
#[derive(Debug, Clone)]
pub struct SmtpConfig {
    /// Host name or address; under TLS the certificate must carry it.
    pub host: String,
    /// Usually 465 (implicit TLS) or 587 (`STARTTLS`).
    pub port: u16,
    /// How the connection is protected.
    pub tls: Tls,
    /// Logs in with it and `password`, by `PLAIN` or else `LOGIN`.
    pub username: Option<String>,
    /// Never logged, never shown.
    pub password: Option<SecretString>,
    /// The name we give in `EHLO`: a domain name or `[address]`.
    pub hello: String,
    /// How long each step may take.
    pub timeouts: SmtpTimeouts,
    /// Certificates in PEM trusted besides the public ones, for a relay with
    /// a private authority.
    pub ca_pem: Option<String>,
}

/// How the connection to a relay is protected. Never opportunistic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// TLS from the first byte (RFC 8314).
    Implicit,
    /// `STARTTLS`, and nothing is sent if the relay does not offer it.
    StartTls,
    /// No TLS; refused unless every address of the host is a loopback.
    PlaintextLoopback,
}

/// How long each step may take. The defaults are those of RFC 5321 §4.5.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmtpTimeouts {
    /// Looking up and reaching the host (all its addresses), and again for the TLS handshake.
    pub connect: Duration,
    /// The greeting.
    pub greeting: Duration,
    /// The reply to each of `EHLO`, `STARTTLS`, `AUTH`, `MAIL` and `RCPT`.
    pub command: Duration,
    /// The reply to `DATA`.
    pub data: Duration,
    /// Writing each block of the message.
    pub block: Duration,
    /// The reply to the final dot. Shorter than 10 minutes makes duplicates.
    pub final_reply: Duration,
    /// The farewell, after the outcome is known.
    pub quit: Duration,
}

impl Default for SmtpTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            greeting: Duration::from_mins(5),
            command: Duration::from_mins(5),
            data: Duration::from_mins(2),
            block: Duration::from_mins(3),
            final_reply: Duration::from_mins(10),
            quit: Duration::from_secs(2),
        }
    }
}

/// Who the relay is told the message is from and for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Where bounces go.
    pub from: String,
    /// The one recipient.
    pub to: String,
}

impl Envelope {
    /// Both addresses parsed, or the refusal that names the wrong one.
    fn checked(&self) -> Result<(Address, Address), Outcome> {
        let parse = |field: &'static str, text: &str| {
            Address::parse(field, text).map_err(|e| Outcome::rejected(Phase::Check, None, &e.to_string()))
        };
        Ok((parse("envelope from", &self.from)?, parse("envelope to", &self.to)?))
    }
}
