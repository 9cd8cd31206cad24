//! `${NAME}` in definition files: secrets stay in the environment, files stay in version control.

use serde_json::Value;

/// Puts the values of environment variables in place of `${NAME}`, in every text of a document;
/// `$${` stands for `${` itself. Returns a fault for every variable that is not set.
pub fn substitute(value: &mut Value, variable: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut faults = Vec::new();
    walk(value, "", variable, &mut faults);
    faults
}

fn walk(value: &mut Value, path: &str, variable: &dyn Fn(&str) -> Option<String>, faults: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains("${") => {
            *text = filled(text, path, variable, faults);
        }
        Value::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                walk(item, &format!("{path}[{at}]"), variable, faults);
            }
        }
        Value::Object(fields) => {
            for (key, field) in fields.iter_mut() {
                let deeper = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(field, &deeper, variable, faults);
            }
        }
        _ => {}
    }
}

fn filled(
    text: &str,
    path: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    faults: &mut Vec<String>,
) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            result.push_str(before);
            result.push_str("${");
            rest = &from[2..];
            continue;
        }
        result.push_str(before);
        let Some((name, after)) = from[2..].split_once('}').filter(|(name, _)| is_name(name)) else {
            result.push_str("${");
            rest = &from[2..];
            continue;
        };
        match variable(name) {
            Some(value) => result.push_str(&value),
            None => faults.push(format!("{path}: environment variable {name} is not set")),
        }
        rest = after;
    }
    result.push_str(rest);
    result
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn filled_in(mut value: Value) -> (Value, Vec<String>) {
        let faults = substitute(&mut value, &|name| match name {
            "HOST" => Some("mx".to_owned()),
            "TWO" => Some("${HOST}".to_owned()),
            _ => None,
        });
        (value, faults)
    }

    #[test]
    fn references_are_filled_in_once_wherever_they_stand() {
        let (value, faults) = filled_in(json!({"a": ["x.${HOST}.y", "${TWO}"], "n": 1}));
        assert_eq!(value, json!({"a": ["x.mx.y", "${HOST}"], "n": 1}));
        assert!(faults.is_empty());
    }

    #[test]
    fn an_escaped_reference_and_one_that_is_none_stay_as_text() {
        let (value, faults) = filled_in(json!("$${HOST} ${not a name} ${open"));
        assert_eq!(value, json!("${HOST} ${not a name} ${open"));
        assert!(faults.is_empty());
    }

    #[test]
    fn every_missing_variable_is_told_with_its_path() {
        let (_, faults) = filled_in(json!({"smtp": {"secrets": ["${A}${B}"]}}));
        assert_eq!(
            faults,
            [
                "smtp.secrets[0]: environment variable A is not set",
                "smtp.secrets[0]: environment variable B is not set"
            ]
        );
    }
}
