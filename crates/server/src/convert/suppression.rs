//! Suppressions. The id in a name is the kind and the value: `address:ada@example.com`.

use rekindle_core::violation::Violations;
use rekindle_engine::suppressions::NewSuppression;
use rekindle_ports::resources::{SuppressionKind, SuppressionReason, SuppressionRow};
use rekindle_proto::v1;
use rekindle_proto::v1::suppression::Target;

use super::{choice, time};
use crate::name::Collection;

/// Reads an entry to add; notes what cannot be read of it.
pub fn suppression(message: v1::Suppression, v: &mut Violations) -> NewSuppression {
    let reason = reason(message.reason, "reason", v).unwrap_or(SuppressionReason::Manual);
    let (kind, value) = target(message.target, v);
    NewSuppression { kind, value, reason, note: message.note }
}

/// An entry as a message.
pub fn to_suppression(row: &SuppressionRow) -> v1::Suppression {
    let target = match row.kind {
        SuppressionKind::Address => Target::Address(row.value.clone()),
        SuppressionKind::Domain => Target::Domain(row.value.clone()),
        SuppressionKind::Customer => Target::Customer(Collection::Customers.name(&row.value)),
    };
    v1::Suppression {
        name: Collection::Suppressions.name(&id(row.kind, &row.value)),
        target: Some(target),
        reason: to_reason(row.reason).into(),
        note: row.note.clone(),
        create_time: Some(time::to_instant(row.created_at)),
    }
}

/// The id of an entry, as it stands in its name.
pub fn id(kind: SuppressionKind, value: &str) -> String {
    format!("{}:{value}", word(kind))
}

/// Reads the id in a name; nothing when it is of no kind.
pub fn parse_id(id: &str) -> Option<(SuppressionKind, String)> {
    let (found, value) = id.split_once(':')?;
    let kinds = [SuppressionKind::Address, SuppressionKind::Domain, SuppressionKind::Customer];
    let kind = kinds.into_iter().find(|kind| word(*kind) == found)?;
    Some((kind, value.to_owned()))
}

/// Reads why; nothing when it is not said.
pub fn reason(number: i32, field: &str, v: &mut Violations) -> Option<SuppressionReason> {
    match choice::known(number, field, v) {
        v1::SuppressionReason::Unspecified => None,
        v1::SuppressionReason::Unsubscribed => Some(SuppressionReason::Unsubscribed),
        v1::SuppressionReason::HardBounce => Some(SuppressionReason::HardBounce),
        v1::SuppressionReason::Complaint => Some(SuppressionReason::Complaint),
        v1::SuppressionReason::Operator => Some(SuppressionReason::Manual),
    }
}

fn word(kind: SuppressionKind) -> &'static str {
    match kind {
        SuppressionKind::Address => "address",
        SuppressionKind::Domain => "domain",
        SuppressionKind::Customer => "customer",
    }
}

fn target(message: Option<Target>, v: &mut Violations) -> (SuppressionKind, String) {
    match message {
        Some(Target::Address(address)) => (SuppressionKind::Address, address),
        Some(Target::Domain(domain)) => (SuppressionKind::Domain, domain),
        Some(Target::Customer(name)) => {
            (SuppressionKind::Customer, Collection::Customers.parse_within(&name, "customer", v))
        }
        None => {
            v.add("", "takes an address, a domain or a customer");
            (SuppressionKind::Address, String::new())
        }
    }
}

fn to_reason(reason: SuppressionReason) -> v1::SuppressionReason {
    match reason {
        SuppressionReason::Unsubscribed => v1::SuppressionReason::Unsubscribed,
        SuppressionReason::HardBounce => v1::SuppressionReason::HardBounce,
        SuppressionReason::Complaint => v1::SuppressionReason::Complaint,
        SuppressionReason::Manual => v1::SuppressionReason::Operator,
    }
}

#[cfg(test)]
mod tests {
    use rekindle_core::Timestamp;

    use super::*;

    #[test]
    fn entries_survive_the_message_and_their_names_say_what_they_are() {
        let kinds = [
            (SuppressionKind::Address, "ada@example.com"),
            (SuppressionKind::Domain, "example.com"),
            (SuppressionKind::Customer, "a:b/c"),
        ];
        for (kind, value) in kinds {
            let row = SuppressionRow {
                kind,
                value: value.into(),
                reason: SuppressionReason::Complaint,
                note: "by phone".into(),
                created_at: Timestamp::EARLIEST,
            };
            let message = to_suppression(&row);
            let (_, id) = Collection::Suppressions.parse(&message.name, "name").expect("our own name");
            assert_eq!(parse_id(&id), Some((kind, value.to_owned())));
            let mut v = Violations::new();
            let read = suppression(message, &mut v);
            assert_eq!((read.kind, read.value, read.reason), (row.kind, row.value, row.reason));
            assert!(v.is_empty());
        }
    }

    #[test]
    fn an_entry_that_names_nobody_is_refused() {
        let mut v = Violations::new();
        let wrong = [None, Some(Target::Customer("ada".into()))];
        for target in wrong {
            suppression(v1::Suppression { target, ..Default::default() }, &mut v);
        }
        let fields: Vec<_> = v.into_vec().into_iter().map(|it| it.field).collect();
        assert_eq!(fields, ["", "customer"]);
    }
}
