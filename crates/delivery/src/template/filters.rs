//! The filters and tests of the language.
//!
//! Each takes and gives plain values; those that walk a text charge it to the
//! work of the rendering, so that a loop over a filter ends in time.

use std::borrow::Cow;

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, State, Value, filters, tests};

/// The filters a template may use.
pub const FILTERS: &[&str] = &[
    "abs",
    "capitalize",
    "count",
    "d",
    "default",
    "first",
    "float",
    "int",
    "last",
    "length",
    "lower",
    "round",
    "title",
    "trim",
    "truncate",
    "upper",
    "urlencode",
];

/// The tests a template may use.
pub(super) const TESTS: &[&str] = &[
    "defined",
    "divisibleby",
    "even",
    "false",
    "in",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "string",
    "true",
    "undefined",
];

/// Bytes of text that the filters of one rendering may walk.
const WORK_BYTES: usize = 8 * 1024 * 1024;

/// Adds all filters and tests. Each rendering has an account of work of its own.
pub(super) fn install(environment: &mut Environment<'_>) {
    environment.add_filter("abs", filters::abs);
    environment.add_filter("d", filters::default);
    environment.add_filter("default", filters::default);
    environment.add_filter("float", filters::float);
    environment.add_filter("int", filters::int);
    environment.add_filter("round", filters::round);

    for (name, change) in TEXT_FILTERS {
        environment.add_filter(*name, move |state: &mut State, value: &Value| {
            Work::of(state).over(value).map(|text| change(&text))
        });
    }
    environment.add_filter("truncate", |state: &mut State, value: &Value, length: Option<usize>| {
        Work::of(state).over(value).map(|text| truncate(&text, length.unwrap_or(255)))
    });
    for name in ["length", "count"] {
        environment.add_filter(name, |state: &mut State, value: &Value| {
            Work::of(state).charge(value)?;
            filters::length(value)
        });
    }
    environment.add_filter("first", |state: &mut State, value: &Value| {
        Work::of(state).charge(value)?;
        filters::first(value)
    });
    environment.add_filter("last", |state: &mut State, value: Value| {
        Work::of(state).charge(&value)?;
        filters::last(value)
    });

    environment.add_test("defined", tests::is_defined);
    environment.add_test("divisibleby", tests::is_divisibleby);
    environment.add_test("even", tests::is_even);
    environment.add_test("false", tests::is_false);
    environment.add_test("in", tests::is_in);
    environment.add_test("mapping", tests::is_mapping);
    environment.add_test("none", tests::is_none);
    environment.add_test("number", tests::is_number);
    environment.add_test("odd", tests::is_odd);
    environment.add_test("sequence", tests::is_sequence);
    environment.add_test("string", tests::is_string);
    environment.add_test("true", tests::is_true);
    environment.add_test("undefined", tests::is_undefined);
}

/// A name and what it does to a text.
type TextFilter = (&'static str, fn(&str) -> String);

/// Filters from text to text.
const TEXT_FILTERS: &[TextFilter] = &[
    ("capitalize", capitalize),
    ("lower", str::to_lowercase),
    ("title", title),
    ("trim", |text| text.trim().to_owned()),
    ("upper", str::to_uppercase),
    ("urlencode", urlencode),
];

/// Bytes walked so far in one rendering.
#[derive(Default)]
struct Work(usize);

impl Work {
    /// The account of a rendering.
    fn of<'s>(state: &'s mut State<'_, '_>) -> &'s mut Self {
        state.get_or_insert_extension(Self::default())
    }

    /// The value as text, charged.
    fn over<'v>(&mut self, value: &'v Value) -> Result<Cow<'v, str>, Error> {
        let text = match (value.as_str(), value.kind()) {
            (Some(text), _) => Cow::Borrowed(text),
            (None, ValueKind::Number | ValueKind::Bool) => Cow::Owned(value.to_string()),
            (None, ValueKind::Undefined) => return Err(Error::from(ErrorKind::UndefinedError)),
            (None, kind) => {
                let message = format!("the filter takes a text, not a {kind}");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        };
        self.spend(text.len())?;
        Ok(text)
    }

    /// Charges a value that is not walked as text only.
    fn charge(&mut self, value: &Value) -> Result<(), Error> {
        self.spend(value.as_str().map_or_else(|| value.len().unwrap_or(0), str::len))
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        let after = self.0 + bytes;
        self.0 += bytes.max(16);
        if after > WORK_BYTES {
            return Err(Error::new(ErrorKind::OutOfFuel, "filters have walked more than 8 MiB"));
        }
        Ok(())
    }
}

/// First letter upper case, the rest lower.
fn capitalize(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(letters.flat_map(char::to_lowercase)).collect()
}

/// The first letter of every word upper case, the rest lower.
fn title(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut in_word = false;
    for letter in text.chars() {
        if in_word {
            shown.extend(letter.to_lowercase());
        } else {
            shown.extend(letter.to_uppercase());
        }
        in_word = letter.is_alphanumeric() || letter == '\'' || letter == '’';
    }
    shown
}

/// At most `length` characters; a longer text ends in `…`, which counts.
fn truncate(text: &str, length: usize) -> String {
    if text.chars().nth(length).is_none() {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(length.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Everything but RFC 3986 unreserved characters percent-encoded.
fn urlencode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}
