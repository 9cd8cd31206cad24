//! The bytes of a message, the same for the same inputs.
//!
//! A retry after an unknown outcome must be the same mail, so nothing here is
//! drawn or read: the `Message-ID` and the `Date` are given, and the MIME
//! boundary is a hash of the inputs. lettre writes MIME; everything it is given
//! has been checked first, as it panics on a line break in a display name (F5).

use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{MessageBuilder, MultiPart, SinglePart};
use sha2::{Digest, Sha256};

use crate::text::is_unsafe;

mod address;
mod checks;

pub use address::Address;
pub(crate) use address::is_label;

/// Longest line allowed, without its line end (RFC 5322 §2.1.1).
const LINE_BYTES: usize = 998;

/// What a message is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailInputs {
    /// `left@right`, without angle brackets, unique and stable for the delivery.
    pub message_id: String,
    /// Seconds since 1970, written as the `Date`.
    pub date: i64,
    /// The author.
    pub from: Mailbox,
    /// Where answers go, if not to the author.
    pub reply_to: Option<Mailbox>,
    /// The one recipient.
    pub to: Mailbox,
    /// One line.
    pub subject: String,
    /// The plain text, always present.
    pub text: String,
    /// The same as HTML, if the recipient shows it.
    pub html: Option<String>,
    /// Where a POST unsubscribes at once (RFC 8058); empty for mail to our own side.
    pub list_unsubscribe_url: String,
    /// An address that unsubscribes whoever writes to it (RFC 2369).
    pub unsubscribe_mailto: Option<String>,
}

/// A name and an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    /// Shown instead of the address.
    pub name: Option<String>,
    /// `user@example.com`.
    pub address: String,
}

/// Why a message cannot be built; `field` names the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    /// A line break, a control or a bidirectional control in a header.
    #[error("{field} contains a control character")]
    Control {
        /// The input.
        field: &'static str,
    },
    /// Not an address we can write to.
    #[error("{field} is not a usable address: {reason}")]
    Address {
        /// The input.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Longer than a header line can carry.
    #[error("{field} is longer than {limit} bytes")]
    TooLong {
        /// The input.
        field: &'static str,
        /// The most bytes it may have.
        limit: usize,
    },
    /// Malformed in another way.
    #[error("{field}: {reason}")]
    Invalid {
        /// The input.
        field: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// The message as bytes: ASCII, lines of at most 998 bytes ended by CRLF,
/// identical for identical inputs.
pub fn build(inputs: &EmailInputs) -> Result<Vec<u8>, EmailError> {
    let builder = headers(inputs)?;
    let text = part(ContentType::TEXT_PLAIN, &inputs.text);
    let message = match &inputs.html {
        None => builder.singlepart(text),
        Some(html) => builder.multipart(
            MultiPart::alternative()
                .boundary(boundary(inputs))
                .singlepart(text)
                .singlepart(part(ContentType::TEXT_HTML, html)),
        ),
    };
    let message =
        message.map_err(|_| EmailError::Invalid { field: "message", reason: "cannot be assembled" })?;
    let bytes = message.formatted();
    check_lines(&bytes)?;
    Ok(bytes)
}

fn headers(inputs: &EmailInputs) -> Result<MessageBuilder, EmailError> {
    let mut builder = Message::builder()
        .message_id(Some(checks::message_id(&inputs.message_id)?))
        .date(date(inputs.date)?)
        .from(checks::mailbox("from", &inputs.from)?)
        .to(checks::mailbox("to", &inputs.to)?)
        .subject(checks::header("subject", &inputs.subject)?);
    if let Some(reply_to) = &inputs.reply_to {
        builder = builder.reply_to(checks::mailbox("reply_to", reply_to)?);
    }
    if !inputs.list_unsubscribe_url.is_empty() {
        let unsubscribe =
            checks::unsubscribe(&inputs.list_unsubscribe_url, inputs.unsubscribe_mailto.as_deref())?;
        builder = builder
            .raw_header(raw("List-Unsubscribe", unsubscribe))
            .raw_header(raw("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned()));
    }
    Ok(builder.raw_header(raw("Auto-Submitted", "auto-generated".to_owned())))
}

/// Years 1970–9999, what an RFC 5322 date can say.
fn date(seconds: i64) -> Result<SystemTime, EmailError> {
    const LAST: u64 = 253_402_300_799;
    match u64::try_from(seconds) {
        Ok(seconds) if seconds <= LAST => Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
        _ => Err(EmailError::Invalid { field: "date", reason: "outside the years 1970 to 9999" }),
    }
}

fn raw(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

fn part(content_type: ContentType, body: &str) -> SinglePart {
    SinglePart::builder().header(content_type).body(clean_body(body))
}

/// Line ends made one, controls other than tab and line feed removed.
fn clean_body(body: &str) -> String {
    let unix = body.replace("\r\n", "\n").replace('\r', "\n");
    unix.chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

/// Stable for the message, and in no part of it: a text cannot contain its own hash.
fn boundary(inputs: &EmailInputs) -> String {
    let mut hash = Sha256::new();
    let html = inputs.html.as_deref().unwrap_or_default();
    for part in [inputs.message_id.as_str(), &inputs.text, html] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut boundary = String::from("rk_");
    for byte in &digest[..16] {
        use std::fmt::Write;
        // Writing to a `String` cannot fail.
        let _ = write!(boundary, "{byte:02x}");
    }
    boundary
}

/// The last word on injection and length, over what is really sent.
fn check_lines(bytes: &[u8]) -> Result<(), EmailError> {
    let too_long = |line: &[u8]| line.len() > LINE_BYTES + 1;
    if bytes.split(|b| *b == b'\n').any(too_long) {
        return Err(EmailError::TooLong { field: "a line of the message", limit: LINE_BYTES });
    }
    if !bytes.is_ascii() || bytes.contains(&0) {
        return Err(EmailError::Invalid { field: "message", reason: "not seven-bit text" });
    }
    Ok(())
}

/// Refuses what no header may contain.
fn no_controls(field: &'static str, text: &str) -> Result<(), EmailError> {
    if text.chars().any(is_unsafe) {
        return Err(EmailError::Control { field });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
