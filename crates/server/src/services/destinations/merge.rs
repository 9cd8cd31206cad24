//! Changing some fields of a destination, those of its kind included.

use pbjson_types::FieldMask;
use rekindle_core::violation::Violations;
use rekindle_proto::v1::destination::Kind;
use rekindle_proto::v1::{Destination, SmtpDestination, WebhookDestination};

use crate::mask::{Mask, take};

/// The fields that an update can touch.
const FIELDS: [&str; 13] = [
    "display_name",
    "smtp",
    "smtp.host",
    "smtp.port",
    "smtp.tls",
    "smtp.username",
    "smtp.password",
    "smtp.sender",
    "webhook",
    "webhook.url",
    "webhook.secrets",
    "webhook.headers",
    "webhook.allow_http",
];

/// Reads the mask of an update.
pub fn read(mask: Option<&FieldMask>, v: &mut Violations) -> Mask {
    Mask::read(mask, &FIELDS, v)
}

/// Whether the change says that there is no password any more: the mask names it, and it is empty.
pub fn takes_password_away(mask: &Mask, change: &Destination) -> bool {
    let named = matches!(mask, Mask::Named(paths) if paths.iter().any(|path| path == "smtp.password"));
    let empty = !matches!(&change.kind, Some(Kind::Smtp(smtp)) if !smtp.password.is_empty());
    named && empty
}

/// The present destination with the fields of the change that the mask covers. Secrets are not
/// in the present one; where the change has none either, they stay as they are.
pub fn merge(mut current: Destination, change: Destination, mask: &Mask) -> Destination {
    take!(mask, change => current { display_name });
    current.kind = match (current.kind, change.kind) {
        (Some(Kind::Smtp(current)), Some(Kind::Smtp(change))) => {
            Some(Kind::Smtp(smtp(current, change, mask)))
        }
        (Some(Kind::Webhook(current)), Some(Kind::Webhook(change))) => {
            Some(Kind::Webhook(webhook(current, change, mask)))
        }
        // Another kind is refused where the destination is known.
        (_, Some(change)) if mask.covers(field_of(&change), true) => Some(change),
        (Some(Kind::Smtp(current)), None) => {
            Some(Kind::Smtp(smtp(current, SmtpDestination::default(), mask)))
        }
        (Some(Kind::Webhook(current)), None) => {
            Some(Kind::Webhook(webhook(current, WebhookDestination::default(), mask)))
        }
        (current, _) => current,
    };
    current
}

fn field_of(kind: &Kind) -> &'static str {
    match kind {
        Kind::Smtp(_) => "smtp",
        Kind::Webhook(_) => "webhook",
    }
}

fn smtp(mut current: SmtpDestination, change: SmtpDestination, mask: &Mask) -> SmtpDestination {
    if whole(mask, "smtp") {
        return change;
    }
    take!(mask, "smtp.", change => current { host, port, tls, username, password, sender });
    current
}

fn webhook(mut current: WebhookDestination, change: WebhookDestination, mask: &Mask) -> WebhookDestination {
    if whole(mask, "webhook") {
        return change;
    }
    take!(mask, "webhook.", change => current { url, secrets, headers, allow_http });
    current
}

/// Whether the mask replaces the kind as a whole.
fn whole(mask: &Mask, field: &str) -> bool {
    match mask {
        Mask::All => true,
        Mask::Populated => false,
        Mask::Named(paths) => paths.iter().any(|path| path == field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(host: &str, username: &str, password: &str) -> Destination {
        let smtp = SmtpDestination {
            host: host.into(),
            username: username.into(),
            password: password.into(),
            ..Default::default()
        };
        Destination { kind: Some(Kind::Smtp(smtp)), ..Default::default() }
    }

    fn named(paths: &[&str]) -> Mask {
        Mask::Named(paths.iter().map(|path| (*path).to_owned()).collect())
    }

    #[test]
    fn a_field_of_the_kind_changes_alone() {
        let current = relay("old", "shop", "");
        let by_mask = merge(current.clone(), relay("new", "other", ""), &named(&["smtp.host"]));
        assert_eq!(by_mask, relay("new", "shop", ""));
        let populated = merge(current.clone(), relay("new", "", "secret"), &Mask::Populated);
        assert_eq!(populated, relay("new", "shop", "secret"));
        assert_eq!(merge(current, relay("new", "", ""), &Mask::All), relay("new", "", ""));
    }

    #[test]
    fn a_password_goes_only_when_the_mask_names_it() {
        assert!(takes_password_away(&named(&["smtp.password"]), &relay("h", "u", "")));
        assert!(!takes_password_away(&named(&["smtp.password"]), &relay("h", "u", "new")));
        assert!(!takes_password_away(&Mask::All, &relay("h", "u", "")));
    }
}
