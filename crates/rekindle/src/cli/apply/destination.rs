//! Applies a destination. Secrets go in, and never appear in a difference.

use rekindle_proto::v1;
use rekindle_proto::v1::destination::Kind as Way;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::change::{Action, Change, definition};
use super::{Applying, found};
use crate::cli::Failure;
use crate::cli::kind::Kind;

/// Creates the destination, or changes it. Secrets that the file does not give stay.
pub(super) async fn apply(
    applying: &Applying<'_>,
    id: &str,
    wanted: &v1::Destination,
) -> Result<Change, Failure> {
    let name = applying.name(Kind::Destination, id);
    let mut client = applying.connection.destinations();
    let current = found(client.get_destination(v1::GetDestinationRequest { name: name.clone() }).await)?;
    let current = current.and_then(|answer| answer.destination);
    let before = current.as_ref().map(|current| comparable(id, current, wanted)).transpose()?;
    let after = comparable(id, wanted, wanted)?;
    let change = Change::between(Kind::Destination, name.clone(), before, after);
    if applying.dry_run {
        return Ok(change);
    }
    if change.action == Action::Create {
        let request = v1::CreateDestinationRequest {
            parent: applying.connection.parent(),
            destination_id: id.to_owned(),
            destination: Some(wanted.clone()),
            ..Default::default()
        };
        client.create_destination(request).await?;
    } else if change.action == Action::Update || gives_password(wanted) {
        let request = v1::UpdateDestinationRequest {
            destination: Some(v1::Destination { name, ..wanted.clone() }),
            update_mask: Some(pbjson_types::FieldMask { paths: vec!["*".to_owned()] }),
        };
        client.update_destination(request).await?;
    }
    Ok(change)
}

/// A password cannot be compared with the one that is stored, so it is always sent.
fn gives_password(destination: &v1::Destination) -> bool {
    matches!(&destination.kind, Some(Way::Smtp(smtp)) if !smtp.password.is_empty())
}

/// A destination as both sides can have it: defaults written out, secrets as fingerprints, and
/// secrets of which `wanted` says nothing left out.
fn comparable(id: &str, destination: &v1::Destination, wanted: &v1::Destination) -> Result<Value, Failure> {
    let mut plain = destination.clone();
    if plain.display_name.is_empty() {
        id.clone_into(&mut plain.display_name);
    }
    let mut secrets = Vec::new();
    match &mut plain.kind {
        Some(Way::Smtp(smtp)) => {
            if smtp.tls() == v1::SmtpTls::Unspecified {
                smtp.set_tls(v1::SmtpTls::Implicit);
            }
            if smtp.port == 0 {
                smtp.port = default_port(smtp.tls());
            }
            smtp.password.clear();
            smtp.password_set = false;
        }
        Some(Way::Webhook(webhook)) => {
            secrets = webhook.secrets.drain(..).map(|secret| fingerprint(&secret)).collect();
            let hints = webhook.secret_hints.drain(..);
            secrets.extend(hints.map(|hint| hint.fingerprint));
            secrets.sort();
        }
        None => {}
    }
    let mut value = definition(&plain)?;
    if let Some(Way::Webhook(webhook)) = &wanted.kind
        && !webhook.secrets.is_empty()
    {
        value["webhook"]["secrets"] = json!(secrets);
    }
    Ok(value)
}

const fn default_port(tls: v1::SmtpTls) -> i32 {
    match tls {
        v1::SmtpTls::Unspecified | v1::SmtpTls::Implicit => 465,
        v1::SmtpTls::Starttls => 587,
        v1::SmtpTls::PlaintextLoopback => 25,
    }
}

/// The first 8 hexadecimal digits of the SHA-256 of a secret, as `SecretHint.fingerprint` has it.
fn fingerprint(secret: &str) -> String {
    use std::fmt::Write;
    Sha256::digest(secret.as_bytes()).iter().take(4).fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn webhook(secrets: &[&str], hints: &[&str]) -> v1::Destination {
        v1::Destination {
            kind: Some(Way::Webhook(v1::WebhookDestination {
                url: "https://h.invalid/".to_owned(),
                secrets: secrets.iter().map(|&secret| secret.to_owned()).collect(),
                secret_hints: hints
                    .iter()
                    .map(|&hint| v1::SecretHint { fingerprint: hint.to_owned(), ..Default::default() })
                    .collect(),
                ..Default::default()
            })),
            ..Default::default()
        }
    }

    #[test]
    fn a_secret_is_compared_by_its_fingerprint_and_never_shown() {
        let wanted = webhook(&["whsec_abc"], &[]);
        let stored = webhook(&[], &[&fingerprint("whsec_abc")]);
        let ours = comparable("hook", &wanted, &wanted).expect("JSON");
        assert_eq!(ours, comparable("hook", &stored, &wanted).expect("JSON"));
        assert!(!ours.to_string().contains("whsec"));
        let other = webhook(&[], &["00000000"]);
        assert_ne!(ours, comparable("hook", &other, &wanted).expect("JSON"));
    }

    #[test]
    fn defaults_and_secrets_of_which_the_file_says_nothing_are_no_change() {
        let smtp = |port, password: &str, password_set| v1::Destination {
            kind: Some(Way::Smtp(v1::SmtpDestination {
                host: "mx.invalid".to_owned(),
                port,
                password: password.to_owned(),
                password_set,
                ..Default::default()
            })),
            ..Default::default()
        };
        let wanted = smtp(0, "s3cret", false);
        let stored = v1::Destination { display_name: "mail".to_owned(), ..smtp(465, "", true) };
        let ours = comparable("mail", &wanted, &wanted).expect("JSON");
        assert_eq!(ours, comparable("mail", &stored, &wanted).expect("JSON"));
        assert!(!ours.to_string().contains("s3cret"));
        let silent = webhook(&[], &[]);
        let stored = webhook(&[], &["0a1b2c3d"]);
        assert_eq!(
            comparable("hook", &silent, &silent).expect("JSON"),
            comparable("hook", &stored, &silent).expect("JSON")
        );
    }

    #[test]
    fn a_fingerprint_is_the_beginning_of_the_digest() {
        // SHA-256 of "abc", FIPS 180-2, appendix B.1.
        assert_eq!(fingerprint("abc"), "ba7816bf");
    }
}
