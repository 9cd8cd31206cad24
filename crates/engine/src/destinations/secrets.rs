//! The life of secrets.

use rekindle_core::Timestamp;
use rekindle_core::time::DAY;
use rekindle_ports::resources::{DestinationRow, SecretValue};

/// How long a secret goes on being used beside the one that replaces it.
const OVERLAP: i64 = DAY;

/// The secrets that are given, newest first; one that is there already keeps its date.
pub(super) fn replaced(known: &[SecretValue], given: &[String], now: Timestamp) -> Vec<SecretValue> {
    let kept = |value: &String| known.iter().find(|secret| secret.value == *value);
    given
        .iter()
        .map(|value| SecretValue {
            value: value.clone(),
            created_at: kept(value).map_or(now, |secret| secret.created_at),
            expires_at: None,
        })
        .collect()
}

/// The secrets that are still used; those that have ended are forgotten.
pub(super) fn live(row: &DestinationRow, now: Timestamp) -> Vec<SecretValue> {
    row.live_secrets(now).into_iter().cloned().collect()
}

/// A new secret, and the one before it for a while.
pub(super) fn rotated(row: &DestinationRow, secret: &str, now: Timestamp) -> Vec<SecretValue> {
    let mut secrets = vec![SecretValue { value: secret.to_owned(), created_at: now, expires_at: None }];
    let before = live(row, now).into_iter().find(|before| before.value != secret);
    secrets.extend(before.map(|before| {
        let end = now.plus(OVERLAP);
        SecretValue { expires_at: Some(before.expires_at.map_or(end, |sooner| sooner.min(end))), ..before }
    }));
    secrets
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rekindle_ports::resources::DestinationKind;

    use super::*;

    fn row(secrets: Vec<SecretValue>) -> DestinationRow {
        let kind =
            DestinationKind::Webhook { url: String::new(), headers: BTreeMap::new(), allow_http: false };
        DestinationRow {
            id: "hook".into(),
            display_name: String::new(),
            kind,
            secrets,
            disabled: None,
            etag: String::new(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    fn values(secrets: &[&SecretValue]) -> Vec<String> {
        secrets.iter().map(|secret| secret.value.clone()).collect()
    }

    #[test]
    fn at_most_two_secrets_are_live_and_the_old_one_ends_in_a_day() {
        let (first, second, third) = (Timestamp(0), Timestamp(10), Timestamp(20));
        let one = row(replaced(&[], &["a".into()], first));
        let two = row(rotated(&one, "b", second));
        assert_eq!(values(&two.live_secrets(second)), ["b", "a"]);
        let three = row(rotated(&two, "c", third));
        assert_eq!(values(&three.live_secrets(third)), ["c", "b"]);
        assert_eq!(values(&three.live_secrets(third.plus(DAY - 1))), ["c", "b"]);
        assert_eq!(values(&three.live_secrets(third.plus(DAY))), ["c"]);
    }

    #[test]
    fn secrets_that_are_given_again_keep_their_date() {
        let one = replaced(&[], &["a".into()], Timestamp(0));
        let again = replaced(&one, &["b".into(), "a".into()], Timestamp(10));
        let dates: Vec<_> = again.iter().map(|secret| (secret.value.as_str(), secret.created_at.0)).collect();
        assert_eq!(dates, [("b", 10), ("a", 0)]);
    }
}
