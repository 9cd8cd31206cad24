//! What is taken from the answer of a webhook.

use std::collections::BTreeMap;

use crate::value::{Properties, Value};

/// Longest text that is taken, in bytes.
const MOST_TEXT: usize = 1_024;

/// The values at JSON Pointers (RFC 6901) in a JSON text, by the names that are wanted for them.
///
/// What is not there, is longer than 1 KB, or is a list or a map is left out, and so is everything of
/// a text that is no JSON.
pub fn values(wanted: &BTreeMap<String, String>, body: &str) -> Properties {
    let Ok(answer) = serde_json::from_str::<serde_json::Value>(body) else {
        return Properties::new();
    };
    let at = |pointer: &String| answer.pointer(pointer).cloned().and_then(plain);
    wanted.iter().filter_map(|(name, pointer)| Some((name.clone(), at(pointer)?))).collect()
}

fn plain(value: serde_json::Value) -> Option<Value> {
    let value: Value = serde_json::from_value(value).ok()?;
    let fits = match &value {
        Value::Text(text) => text.len() <= MOST_TEXT,
        Value::Bool(_) | Value::Number(_) => true,
        Value::Null | Value::List(_) | Value::Map(_) => false,
    };
    fits.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_values_are_taken_and_the_rest_is_left_out() {
        let wanted = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, at)| ((*name).to_owned(), (*at).to_owned())).collect()
        };
        let pairs = [
            ("code", "/coupon/code"),
            ("off", "/coupon/off"),
            ("list", "/list"),
            ("first", "/list/0"),
            ("no", "/no"),
        ];
        let long = "x".repeat(MOST_TEXT + 1);
        let body = format!(r#"{{"coupon":{{"code":"WELCOME","off":0.2}},"list":[true],"long":"{long}"}}"#);
        let found = values(&wanted(&pairs), &body);
        let expected = [
            ("code".to_owned(), Value::Text("WELCOME".into())),
            ("first".to_owned(), Value::Bool(true)),
            ("off".to_owned(), Value::Number(0.2)),
        ];
        assert_eq!(found, Properties::from(expected));
        assert!(values(&wanted(&[("long", "/long")]), &body).is_empty());
        assert!(values(&wanted(&pairs), "<html>").is_empty());
        assert!(values(&wanted(&pairs), &body[..20]).is_empty(), "cut");
    }
}
