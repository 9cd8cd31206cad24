//! Destinations. Secrets go in; only what tells two apart comes out.

use std::fmt::Write;

use rekindle_core::Timestamp;
use rekindle_core::violation::{Violation, Violations};
use rekindle_engine::destinations::{DISABLED_BY_OPERATOR, DestinationDraft};
use rekindle_ports::resources::{DestinationKind, DestinationRow, SecretValue, SmtpTls};
use rekindle_proto::v1;
use rekindle_proto::v1::destination::{DisableReason, Kind, State};
use sha2::{Digest, Sha256};

use super::path::{named, within};
use super::workspace::{mailbox, to_mailbox};
use super::{choice, time};
use crate::name::Collection;

/// Bytes of a secret's digest that a hint shows.
const HINT: usize = 4;

/// Reads a destination. Output-only fields are ignored; the name for people is `id` unless the
/// message says otherwise. Without secrets, those that are there are kept.
pub fn destination(message: &v1::Destination, id: &str) -> Result<DestinationDraft, Vec<Violation>> {
    let mut v = Violations::new();
    let (kind, secrets) = match &message.kind {
        Some(Kind::Smtp(smtp)) => within(&mut v, "smtp", |v| read_smtp(smtp, v)),
        Some(Kind::Webhook(webhook)) => read_webhook(webhook),
        None => {
            v.add("", "takes smtp or webhook");
            read_webhook(&v1::WebhookDestination::default())
        }
    };
    let display_name = named(&message.display_name, id);
    let secrets = (!secrets.is_empty()).then_some(secrets);
    v.into_result(DestinationDraft { display_name, kind, secrets })
}

/// A destination as it is at `now`, without its secrets.
pub fn to_destination(row: &DestinationRow, now: Timestamp) -> v1::Destination {
    let (since, reason) = row.disabled.clone().unzip();
    v1::Destination {
        name: Collection::Destinations.name(&row.id),
        display_name: row.display_name.clone(),
        kind: Some(to_kind(row, now)),
        state: if since.is_some() { State::Disabled } else { State::Enabled }.into(),
        disable_reason: reason.as_deref().map(to_reason).unwrap_or_default().into(),
        disable_time: since.map(time::to_instant),
        etag: row.etag.clone(),
        create_time: Some(time::to_instant(row.created_at)),
        update_time: Some(time::to_instant(row.updated_at)),
    }
}

fn read_smtp(message: &v1::SmtpDestination, v: &mut Violations) -> (DestinationKind, Vec<String>) {
    let (tls, usual) = match choice::known(message.tls, "tls", v) {
        v1::SmtpTls::Unspecified | v1::SmtpTls::Implicit => (SmtpTls::Implicit, 465),
        v1::SmtpTls::Starttls => (SmtpTls::StartTls, 587),
        v1::SmtpTls::PlaintextLoopback => (SmtpTls::PlaintextLoopback, 25),
    };
    let port = u16::try_from(message.port).ok();
    v.require(port.is_some(), "port", "takes 1 to 65535");
    let kind = DestinationKind::Smtp {
        host: message.host.clone(),
        port: port.filter(|port| *port > 0).unwrap_or(usual),
        tls,
        username: message.username.clone(),
        sender: message.sender.as_ref().map(mailbox),
    };
    let password = (!message.password.is_empty()).then(|| message.password.clone());
    (kind, password.into_iter().collect())
}

fn read_webhook(message: &v1::WebhookDestination) -> (DestinationKind, Vec<String>) {
    let kind = DestinationKind::Webhook {
        url: message.url.clone(),
        headers: message.headers.clone().into_iter().collect(),
        allow_http: message.allow_http,
    };
    (kind, message.secrets.clone())
}

fn to_kind(row: &DestinationRow, now: Timestamp) -> Kind {
    match &row.kind {
        DestinationKind::Smtp { host, port, tls, username, sender } => Kind::Smtp(v1::SmtpDestination {
            host: host.clone(),
            port: (*port).into(),
            tls: match tls {
                SmtpTls::Implicit => v1::SmtpTls::Implicit,
                SmtpTls::StartTls => v1::SmtpTls::Starttls,
                SmtpTls::PlaintextLoopback => v1::SmtpTls::PlaintextLoopback,
            }
            .into(),
            username: username.clone(),
            password: String::new(),
            password_set: !row.live_secrets(now).is_empty(),
            sender: sender.as_ref().map(to_mailbox),
        }),
        DestinationKind::Webhook { url, headers, allow_http } => Kind::Webhook(v1::WebhookDestination {
            url: url.clone(),
            secrets: Vec::new(),
            secret_hints: row.live_secrets(now).into_iter().map(to_hint).collect(),
            headers: headers.clone().into_iter().collect(),
            allow_http: *allow_http,
        }),
    }
}

fn to_hint(secret: &SecretValue) -> v1::SecretHint {
    let digest = Sha256::digest(secret.value.as_bytes());
    let fingerprint = digest.iter().take(HINT).fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    });
    v1::SecretHint {
        fingerprint,
        create_time: Some(time::to_instant(secret.created_at)),
        expire_time: secret.expires_at.map(time::to_instant),
    }
}

/// Operators disable with one text of theirs; all else was disabled because the receiver is gone.
fn to_reason(kept: &str) -> DisableReason {
    if kept == DISABLED_BY_OPERATOR { DisableReason::Operator } else { DisableReason::Gone }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: DestinationKind, secrets: &[&str]) -> DestinationRow {
        let at = Timestamp::EARLIEST;
        let secret =
            |value: &&str| SecretValue { value: (*value).to_owned(), created_at: at, expires_at: None };
        DestinationRow {
            id: "relay".into(),
            display_name: "Relay".into(),
            kind,
            secrets: secrets.iter().map(secret).collect(),
            disabled: Some((at, "the receiver is gone: 410".into())),
            etag: "e".into(),
            created_at: at,
            updated_at: at,
        }
    }

    fn smtp() -> DestinationKind {
        DestinationKind::Smtp {
            host: "mail.example.com".into(),
            port: 2_525,
            tls: SmtpTls::StartTls,
            username: "shop".into(),
            sender: None,
        }
    }

    fn webhook() -> DestinationKind {
        DestinationKind::Webhook {
            url: "https://example.com/hook".into(),
            headers: [("x-shop".to_owned(), "1".to_owned())].into(),
            allow_http: true,
        }
    }

    #[test]
    fn what_it_is_survives_the_message_and_its_secrets_do_not() {
        for kind in [smtp(), webhook()] {
            let message = to_destination(&row(kind.clone(), &["hunter2"]), Timestamp::EARLIEST);
            assert!(!format!("{message:?}").contains("hunter2"));
            assert_eq!(message.disable_reason(), DisableReason::Gone);
            let draft = destination(&message, "relay").expect("our own message");
            assert_eq!((draft.display_name.as_str(), draft.kind, draft.secrets), ("Relay", kind, None));
        }
    }

    #[test]
    fn a_hint_tells_two_secrets_apart() {
        let message = to_destination(&row(webhook(), &["one", "two"]), Timestamp::EARLIEST);
        let Some(Kind::Webhook(webhook)) = message.kind else {
            panic!("no webhook");
        };
        let hints: Vec<_> = webhook.secret_hints.iter().map(|hint| hint.fingerprint.as_str()).collect();
        // The first digits of SHA-256 of "one" and of "two".
        assert_eq!(hints, ["7692c3ad", "3fc4ccfe"]);
    }

    #[test]
    fn the_port_follows_the_protection() {
        for (tls, port) in [
            (v1::SmtpTls::Unspecified, 465),
            (v1::SmtpTls::Starttls, 587),
            (v1::SmtpTls::PlaintextLoopback, 25),
        ] {
            let smtp = v1::SmtpDestination { tls: tls.into(), ..Default::default() };
            let message = v1::Destination { kind: Some(Kind::Smtp(smtp)), ..Default::default() };
            let draft = destination(&message, "relay").expect("readable");
            assert!(matches!(draft.kind, DestinationKind::Smtp { port: of, .. } if of == port));
        }
    }

    #[test]
    fn a_port_beyond_the_last_is_named() {
        let smtp = v1::SmtpDestination { port: 70_000, ..Default::default() };
        let message = v1::Destination { kind: Some(Kind::Smtp(smtp)), ..Default::default() };
        assert_eq!(destination(&message, "relay").expect_err("too high")[0].field, "smtp.port");
    }
}
