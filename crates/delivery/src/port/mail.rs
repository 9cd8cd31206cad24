//! A mail as the port describes it, for the builder and the dialogue.

use rekindle_core::Timestamp;
use rekindle_ports::ledger::Message;
use rekindle_ports::resources::{DestinationKind, DestinationRow, MailboxSpec, SmtpTls};
use secrecy::SecretString;

use crate::email::{EmailInputs, Mailbox};
use crate::smtp::{Envelope, SmtpConfig, SmtpTimeouts, Tls};

/// What a mail is made of; `None` when the message is no mail.
pub(super) fn inputs(message: &Message) -> Option<EmailInputs> {
    let Message::Email {
        message_id,
        date,
        from,
        reply_to,
        to,
        subject,
        text,
        html,
        unsubscribe_url,
        unsubscribe_mailto,
    } = message
    else {
        return None;
    };
    Some(EmailInputs {
        message_id: message_id.clone(),
        date: *date,
        from: mailbox(from),
        reply_to: reply_to.as_ref().map(mailbox),
        to: Mailbox { name: None, address: to.clone() },
        subject: subject.clone(),
        text: text.clone(),
        html: html.clone(),
        list_unsubscribe_url: unsubscribe_url.clone(),
        unsubscribe_mailto: filled(unsubscribe_mailto),
    })
}

/// Who the relay is told a mail is from and for.
pub(super) fn envelope(inputs: &EmailInputs) -> Envelope {
    Envelope { from: inputs.from.address.clone(), to: inputs.to.address.clone() }
}

/// How to reach a relay; `None` when the destination is none.
pub(super) fn config(destination: &DestinationRow, hello: &str, now: Timestamp) -> Option<SmtpConfig> {
    let DestinationKind::Smtp { host, port, tls, username, .. } = &destination.kind else {
        return None;
    };
    let password =
        destination.live_secrets(now).first().map(|secret| SecretString::from(secret.value.clone()));
    Some(SmtpConfig {
        host: host.clone(),
        port: *port,
        tls: match tls {
            SmtpTls::Implicit => Tls::Implicit,
            SmtpTls::StartTls => Tls::StartTls,
            SmtpTls::PlaintextLoopback => Tls::PlaintextLoopback,
        },
        username: filled(username),
        password,
        hello: hello.to_owned(),
        timeouts: SmtpTimeouts::default(),
        ca_pem: None,
    })
}

/// A mailbox as the builder takes it.
pub(super) fn mailbox(spec: &MailboxSpec) -> Mailbox {
    Mailbox { name: filled(&spec.name), address: spec.address.clone() }
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
