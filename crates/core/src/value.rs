//! The values that properties and attributes hold: JSON with finite doubles for numbers.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Whole numbers below this are exact in a double and written as JSON integers.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// One JSON value. Numbers are IEEE doubles from the door on, and finite.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// JSON null; rules and breakdowns treat it as missing.
    Null,
    /// A truth value.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A map with keys in byte order.
    Map(BTreeMap<String, Value>),
}

/// The property map of an event, or the attributes of a conversation or customer.
pub type Properties = BTreeMap<String, Value>;

impl Value {
    /// The text under which breakdowns group the value.
    ///
    /// `true`, `12`, `12.5`, a text as it is, nothing for null, and compact JSON
    /// for lists and maps.
    pub fn as_text_key(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Bool(flag) => flag.to_string(),
            Self::Number(number) => number_text(*number),
            Self::Text(text) => text.clone(),
            // Keys are texts and numbers are finite, so that JSON can always be written.
            Self::List(_) | Self::Map(_) => serde_json::to_string(self).unwrap_or_default(),
        }
    }

    /// How many lists and maps are inside each other: 0 for anything else.
    pub fn depth(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => 0,
            Self::List(elements) => 1 + elements.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(entries) => 1 + entries.values().map(Self::depth).max().unwrap_or(0),
        }
    }
}

/// A number as text: `12` when whole, otherwise the shortest digits that give
/// the same double back, never with an exponent. Negative zero is `0`.
pub fn number_text(number: f64) -> String {
    if number == 0.0 { "0".to_owned() } else { number.to_string() }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<f64> for Value {
    /// Numbers that JSON cannot write (infinite, not a number) become null.
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Number(number) } else { Self::Null }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) if number.fract() == 0.0 && number.abs() < EXACT_INTEGERS => {
                serializer.serialize_i64(*number as i64)
            }
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(elements) => serializer.collect_seq(elements),
            Self::Map(entries) => serializer.collect_map(entries),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Value, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Number(number as f64))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        if number.is_finite() { Ok(Value::Number(number)) } else { Err(E::custom("a number must be finite")) }
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((key, value)) = entries.next_entry()? {
            map.insert(key, value);
        }
        Ok(Value::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(json: &str) -> Value {
        serde_json::from_str(json).expect("valid JSON")
    }

    fn write(value: &Value) -> String {
        serde_json::to_string(value).expect("finite numbers and text keys")
    }

    #[test]
    fn plain_json_is_read_and_written_in_one_spelling() {
        let json = r#"{"a":[1,2.5,null,true,"é"],"b":{"c":-3}}"#;
        assert_eq!(write(&read(json)), json);
        assert_eq!(write(&read("[1.0, -0.0, 1e3]")), "[1,0,1000]");
    }

    #[test]
    fn whole_numbers_beyond_exactness_are_written_as_doubles() {
        assert_eq!(write(&Value::Number(9_007_199_254_740_991.0)), "9007199254740991");
        assert!(write(&Value::Number(1e300)).starts_with("1e"));
        assert_eq!(read("9007199254740993"), Value::Number(9_007_199_254_740_992.0));
    }

    #[test]
    fn numbers_that_json_cannot_write_are_refused_at_the_door() {
        assert!(serde_json::from_str::<Value>("1e400").is_err());
        assert_eq!(Value::from(f64::NAN), Value::Null);
        let deserializer = de::value::F64Deserializer::<de::value::Error>::new(f64::INFINITY);
        assert!(Value::deserialize(deserializer).is_err());
    }

    #[test]
    fn text_keys_of_every_kind_of_value() {
        let cases = [
            ("null", ""),
            ("true", "true"),
            ("12", "12"),
            ("12.0", "12"),
            ("12.5", "12.5"),
            ("-0.0", "0"),
            ("1e21", "1000000000000000000000"),
            (r#""as is""#, "as is"),
            ("[1, {\"a\": 2}]", r#"[1,{"a":2}]"#),
        ];
        for (json, key) in cases {
            assert_eq!(read(json).as_text_key(), key, "{json}");
        }
    }

    #[test]
    fn depth_counts_lists_and_maps_inside_each_other() {
        for (json, depth) in [("1", 0), ("[]", 1), ("{\"a\":[1,[2]]}", 3)] {
            assert_eq!(read(json).depth(), depth, "{json}");
        }
    }

    proptest! {
        #[test]
        fn every_finite_number_survives_its_json_and_its_text(bits in any::<u64>()) {
            let number = f64::from_bits(bits);
            prop_assume!(number.is_finite());
            prop_assert_eq!(read(&write(&Value::Number(number))), Value::Number(number));
            prop_assert_eq!(number_text(number).parse::<f64>(), Ok(number));
        }
    }
}
