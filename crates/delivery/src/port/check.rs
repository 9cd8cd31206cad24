//! What is wrong with a destination or a message before anything is sent.

use std::collections::BTreeMap;

use rekindle_ports::ledger::Message;
use rekindle_ports::resources::{DestinationKind, DestinationRow, MailboxSpec, SmtpTls};
use url::Host;

use super::{mail, post};
use crate::email::{self, Address, is_label};
use crate::ssrf::{Blocked, Egress};
use crate::text::is_unsafe;
use crate::webhook::{BODY_BYTES, WebhookSecret, check_headers};

/// Most bytes of a relay's name.
const HOST_BYTES: usize = 253;
/// Most bytes of a relay's user name or password.
const LOGIN_BYTES: usize = 255;
/// Most secrets of a webhook.
const SECRETS: usize = 2;
/// Most bytes of a name for people.
const NAME_BYTES: usize = 256;

/// Everything that is wrong with a destination: field and message.
pub(super) fn destination(egress: &Egress, destination: &DestinationRow) -> Vec<(String, String)> {
    let mut wrong = Wrong::default();
    match &destination.kind {
        DestinationKind::Smtp { host, port, tls, username, sender } => {
            relay(host, *port, *tls, &mut wrong);
            login(username, destination, &mut wrong);
            if let Some(sender) = sender {
                mailbox(sender, &mut wrong);
            }
        }
        DestinationKind::Webhook { url, headers, allow_http } => {
            endpoint(egress, url, *allow_http, &mut wrong);
            further_headers(headers, &mut wrong);
            secrets(destination, &mut wrong);
        }
    }
    wrong.0
}

/// What is wrong with a message, if anything: a mail is built, a body measured and read.
pub(super) fn message(message: &Message) -> Result<(), String> {
    match message {
        // It is sent to nobody.
        Message::Event { .. } => Ok(()),
        Message::Webhook { body, .. } if body.len() > BODY_BYTES => {
            Err("the body is larger than 256 KiB".into())
        }
        Message::Webhook { body, .. } => {
            serde_json::from_str::<serde_json::Value>(body)
                .map_err(|error| format!("the body is no JSON: {error}"))?;
            Ok(())
        }
        Message::Email { .. } => {
            let inputs = mail::inputs(message).ok_or("the message is no mail")?;
            email::build(&inputs).map(|_| ()).map_err(|error| error.to_string())
        }
    }
}

/// Wrong fields as they are found.
#[derive(Default)]
struct Wrong(Vec<(String, String)>);

impl Wrong {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push((field.into(), message.into()));
    }
}

fn relay(host: &str, port: u16, tls: SmtpTls, wrong: &mut Wrong) {
    let inside = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let literal = inside.unwrap_or(host).parse::<std::net::IpAddr>().ok();
    // The parser of URLs takes names with empty labels, and decodes escapes.
    let is_name = matches!(Host::parse(host), Ok(Host::Domain(name)) if name.split('.').all(is_label));
    if host.is_empty() || host.len() > HOST_BYTES || !(is_name || literal.is_some()) {
        wrong.add("smtp.host", "not the name or address of a host, of at most 253 bytes");
    }
    if port == 0 {
        wrong.add("smtp.port", "takes 1 to 65535");
    }
    // Names are resolved, and refused unless they are a loopback, at every attempt.
    let is_remote = literal.is_some_and(|address| !address.to_canonical().is_loopback());
    if tls == SmtpTls::PlaintextLoopback && is_remote {
        wrong.add("smtp.tls", "mail without TLS goes to hosts on the loopback only");
    }
}

fn login(username: &str, destination: &DestinationRow, wrong: &mut Wrong) {
    if username.len() > LOGIN_BYTES || username.chars().any(is_unsafe) {
        wrong.add("smtp.username", "takes at most 255 bytes without control characters");
    }
    if destination.secrets.len() > 1 {
        wrong.add("smtp.password", "a mail server takes one password");
    }
    let unfit =
        |value: &str| value.is_empty() || value.len() > LOGIN_BYTES || value.contains(['\0', '\r', '\n']);
    if destination.secrets.iter().any(|secret| unfit(&secret.value)) {
        wrong.add("smtp.password", "takes 1 to 255 bytes without line breaks");
    }
    if !username.is_empty() && destination.secrets.is_empty() {
        wrong.add("smtp.password", "a user name needs a password");
    }
}

fn mailbox(sender: &MailboxSpec, wrong: &mut Wrong) {
    if sender.name.len() > NAME_BYTES || sender.name.chars().any(is_unsafe) {
        wrong.add("smtp.sender.displayName", "takes at most 256 bytes without control characters");
    }
    if let Err(error) = Address::parse("the sender", &sender.address) {
        wrong.add("smtp.sender.address", error.to_string());
    }
}

fn endpoint(egress: &Egress, url: &str, allow_http: bool, wrong: &mut Wrong) {
    match egress.check_url(url) {
        Ok(_) if post::is_allowed(url, allow_http) => {}
        Ok(_) | Err(Blocked::Scheme) => wrong.add("webhook.url", scheme(egress, allow_http)),
        Err(blocked) => wrong.add("webhook.url", blocked.to_string()),
    }
}

/// Who would have to allow the scheme.
fn scheme(egress: &Egress, allow_http: bool) -> &'static str {
    match (allow_http, egress.allow_http) {
        (false, _) => "the scheme is not allowed: takes https, or http with allowHttp",
        (true, false) => "the scheme is not allowed: this server takes https only",
        (true, true) => "the scheme is not allowed: takes https or http",
    }
}

fn further_headers(headers: &BTreeMap<String, String>, wrong: &mut Wrong) {
    let pairs: Vec<(String, String)> =
        headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    for error in check_headers(&pairs).err().unwrap_or_default() {
        wrong.add("webhook.headers", error.to_string());
    }
}

fn secrets(destination: &DestinationRow, wrong: &mut Wrong) {
    let lasting = destination.secrets.iter().filter(|secret| secret.expires_at.is_none()).count();
    if destination.secrets.is_empty() {
        wrong.add("webhook.secrets", "a webhook needs a secret");
    }
    if lasting > SECRETS {
        wrong.add("webhook.secrets", "takes at most 2 secrets");
    }
    for (place, secret) in destination.secrets.iter().enumerate() {
        if let Err(error) = WebhookSecret::parse(&secret.value) {
            wrong.add(format!("webhook.secrets[{place}]"), error.to_string());
        }
    }
}
