//! What each header input may be (reliability rule E6), one check per kind.

use url::Url;

use super::{Address, EmailError, Mailbox, no_controls};

/// Most bytes of a header input; folding needs room on the line.
const HEADER_BYTES: usize = 900;
/// Most bytes of one word, which cannot be folded.
const WORD_BYTES: usize = 900;
/// Most bytes of a message id.
const ID_BYTES: usize = 200;

/// A free text for a header.
pub(super) fn header(field: &'static str, text: &str) -> Result<String, EmailError> {
    no_controls(field, text)?;
    if text.len() > HEADER_BYTES {
        return Err(EmailError::TooLong { field, limit: HEADER_BYTES });
    }
    Ok(text.to_owned())
}

/// A name and an address as lettre takes them.
pub(super) fn mailbox(
    field: &'static str,
    mailbox: &Mailbox,
) -> Result<lettre::message::Mailbox, EmailError> {
    let name = mailbox.name.as_deref().map(|name| header(field, name)).transpose()?;
    let address = Address::parse(field, &mailbox.address)?;
    let address = lettre::Address::new(address.local(), address.domain())
        .map_err(|_| EmailError::Address { field, reason: "the mail writer does not take it" })?;
    Ok(lettre::message::Mailbox::new(name.filter(|n| !n.is_empty()), address))
}

/// `left@right` in angle brackets.
pub(super) fn message_id(id: &str) -> Result<String, EmailError> {
    let field = "message_id";
    no_controls(field, id)?;
    if id.len() > ID_BYTES {
        return Err(EmailError::TooLong { field, limit: ID_BYTES });
    }
    let graphic = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && !b"<>@,;\"\\".contains(&b))
    };
    match id.split_once('@') {
        Some((left, right)) if graphic(left) && graphic(right) => Ok(format!("<{id}>")),
        _ => Err(EmailError::Invalid { field, reason: "not of the form left@right" }),
    }
}

/// The value of `List-Unsubscribe`.
pub(super) fn unsubscribe(url: &str, mailto: Option<&str>) -> Result<String, EmailError> {
    let field = "list_unsubscribe_url";
    no_controls(field, url)?;
    if url.len() > WORD_BYTES {
        return Err(EmailError::TooLong { field, limit: WORD_BYTES });
    }
    let parsed = Url::parse(url).ok().filter(|u| matches!(u.scheme(), "https" | "http"));
    let parsed = parsed.ok_or(EmailError::Invalid { field, reason: "not a web address" })?;
    let plain = parsed.as_str().bytes().all(|b| b.is_ascii_graphic() && !b"<>,".contains(&b));
    if !plain || parsed.as_str().len() > WORD_BYTES {
        return Err(EmailError::Invalid { field, reason: "cannot stand in a header" });
    }
    let mailto = mailto.map(|m| Address::parse("unsubscribe_mailto", m)).transpose()?;
    Ok(match mailto {
        None => format!("<{parsed}>"),
        Some(address) => format!("<{parsed}>, <mailto:{address}>"),
    })
}
