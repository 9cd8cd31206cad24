//! Values of rows as text, numbers and truth values.
//!
//! Every function gives `None` for what is absent (null, empty text), and an error that says what
//! is wrong with what is there.

use rekindle_proto::v1::AuthorType;
use serde_json::{Number, Value};

/// A text. Numbers and truth values are written out.
pub fn text(value: &Value) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Value::Number(_) | Value::Bool(_) => Ok(Some(value.to_string())),
        Value::Array(_) | Value::Object(_) => Err("must be text".to_owned()),
    }
}

/// A whole number. `1.0` is one too.
pub fn integer(value: &Value) -> Result<Option<i64>, String> {
    let Some(text) = text(value)? else {
        return Ok(None);
    };
    let trimmed = text.trim();
    let whole = trimmed.split_once('.').map_or(trimmed, |(whole, fraction)| {
        if fraction.bytes().all(|digit| digit == b'0') { whole } else { trimmed }
    });
    whole.parse().map(Some).map_err(|_| format!("`{text}` is no whole number"))
}

/// A truth value: true or false, yes or no, 1 or 0.
pub fn boolean(value: &Value) -> Result<Option<bool>, String> {
    let Some(text) = text(value)? else {
        return Ok(None);
    };
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" | "t" | "y" => Ok(Some(true)),
        "false" | "no" | "0" | "f" | "n" => Ok(Some(false)),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

/// A finite number.
pub fn number(value: &Value) -> Result<Option<Number>, String> {
    if let Value::Number(number) = value {
        return Ok(Some(number.clone()));
    }
    let Some(text) = text(value)? else {
        return Ok(None);
    };
    text.trim()
        .parse::<f64>()
        .ok()
        .and_then(Number::from_f64)
        .map(Some)
        .ok_or_else(|| format!("`{text}` is no number"))
}

/// Who caused an event: `customer`, `agent`, `bot` or `system`, or the name in the protos.
pub fn author(value: &Value) -> Result<Option<AuthorType>, String> {
    let Some(text) = text(value)? else {
        return Ok(None);
    };
    let upper = text.trim().to_ascii_uppercase();
    let name = if upper.starts_with("AUTHOR_TYPE_") { upper } else { format!("AUTHOR_TYPE_{upper}") };
    AuthorType::from_str_name(&name)
        .map(Some)
        .ok_or_else(|| format!("`{text}` is none of customer, agent, bot, system"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_is_null_or_empty() {
        for absent in [json!(null), json!("")] {
            assert_eq!(text(&absent), Ok(None));
            assert_eq!(integer(&absent), Ok(None));
            assert_eq!(boolean(&absent), Ok(None));
            assert_eq!(number(&absent), Ok(None));
            assert_eq!(author(&absent), Ok(None));
        }
    }

    #[test]
    fn values_are_read_from_text_and_from_json() {
        assert_eq!(text(&json!(12)), Ok(Some("12".to_owned())));
        assert_eq!(integer(&json!(" 7 ")), Ok(Some(7)));
        assert_eq!(integer(&json!("7.0")), Ok(Some(7)));
        assert_eq!(boolean(&json!("Yes")), Ok(Some(true)));
        assert_eq!(boolean(&json!(false)), Ok(Some(false)));
        assert_eq!(number(&json!("2.5")), Ok(Number::from_f64(2.5)));
        assert_eq!(author(&json!("Agent")), Ok(Some(AuthorType::Agent)));
        assert_eq!(author(&json!("AUTHOR_TYPE_BOT")), Ok(Some(AuthorType::Bot)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(text(&json!([])).is_err());
        assert_eq!(integer(&json!("7.5")), Err("`7.5` is no whole number".to_owned()));
        assert!(integer(&json!("99999999999999999999")).is_err());
        assert!(boolean(&json!("maybe")).is_err());
        assert!(number(&json!("NaN")).is_err());
        assert!(number(&json!("inf")).is_err());
        assert!(author(&json!("cat")).is_err());
    }
}
