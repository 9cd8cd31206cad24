//! Customers' templates, rendered under limits.
//!
//! The language is a small part of Jinja: output, `if`, `for`, `set` of a plain
//! value, comparisons, and the filters in [`FILTERS`]. Fuel stops loops, but
//! only a closed language stops the rest (F7: a 57-byte template whose
//! `replace` wants a terabyte aborts the process): nothing in it makes a value
//! larger than what goes in, and the output is counted as it is written.
//!
//! What minijinja 3.0.5 would still allow and the gate refuses: doubling by
//! `a ~ a`, `a + a`, `{% set b %}{{ a }}{{ a }}{% endset %}`, macros and
//! `recursive` loops, `'x' * 100000000`, nested list literals compared with
//! each other, slices, and parse trees so deep that walking them overflows the
//! stack (long filter chains, thousands of `elif`).

use std::fmt;
use std::io;
use std::sync::OnceLock;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde_json::Value as Json;

use crate::text::{is_unsafe, one_line};

mod filters;
mod gate;
mod links;
#[cfg(test)]
mod tests;

pub use filters::FILTERS;

/// Most bytes of a source.
pub const SOURCE_BYTES: usize = 64 * 1024;
/// Most bytes of an output.
pub const OUTPUT_BYTES: usize = 256 * 1024;
/// Most bytes of text in a context, keys and values.
pub const CONTEXT_BYTES: usize = 1024 * 1024;
/// Instructions a rendering may take.
const FUEL: u64 = 50_000;
const RECURSION: usize = 32;

/// What a template's output becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One line for a `Subject`: controls and line breaks become spaces.
    Subject,
    /// Plain text.
    Text,
    /// HTML: values are escaped, links must be `http` or `https`.
    Html,
    /// JSON: values are written as JSON, strings with their quotes.
    Json,
    /// An address: trimmed, and without controls.
    Address,
}

/// Why a template is refused or cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Line of the source, from 1; `None` if the whole is at fault.
    pub line: Option<usize>,
    /// What is wrong, on one line.
    pub message: String,
}

/// How whatever is not plain text begins in a source.
const MARKS: [&str; 3] = ["{{", "{%", "{#"];

/// Checks and renders templates. Nothing of one rendering is kept for the next.
#[derive(Debug, Clone, Copy, Default)]
pub struct Templates;

impl Templates {
    /// Checks a source without rendering it: size, grammar, and that it uses
    /// nothing outside the language.
    pub fn check(self, source: &str, kind: Kind) -> Result<(), TemplateError> {
        gate::check(source)?;
        let environment = environment(kind);
        environment.template_from_str(source).map_err(|e| TemplateError::from_engine(&e))?;
        if MARKS.iter().any(|mark| source.contains(mark)) {
            return Ok(());
        }
        // What has nothing to fill in renders to itself, so that all can be known of it now.
        finish(source.to_owned(), kind).map(|_| ())
    }

    /// Renders a source.
    ///
    /// A name that is absent from the context is an error unless the template
    /// says otherwise (`default`, `is defined`).
    pub fn render(self, source: &str, kind: Kind, context: &Json) -> Result<String, TemplateError> {
        gate::check(source)?;
        if !fits(context, &mut CONTEXT_BYTES.clone()) {
            return Err(TemplateError::whole("the context is larger than 1 MiB"));
        }
        let environment = environment(kind);
        let template = environment.template_from_str(source).map_err(|e| TemplateError::from_engine(&e))?;
        let mut output = Counted::default();
        template
            .render_captured_to(minijinja::Value::from(Serde(context)), &mut output)
            .map_err(|e| TemplateError::from_engine(&e))?;
        // Every write is whole characters of a `str`.
        let text = String::from_utf8(output.0).map_err(|_| TemplateError::whole("the output is not text"))?;
        finish(text, kind)
    }
}

/// The engine of a kind, made once: putting one together takes longer than most templates do.
fn environment(kind: Kind) -> &'static Environment<'static> {
    static ENGINES: [OnceLock<Environment<'static>>; 5] = [const { OnceLock::new() }; 5];
    ENGINES[kind as usize].get_or_init(|| engine(kind))
}

/// A new engine: no loader, no globals, no filter or test but ours.
fn engine(kind: Kind) -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_debug(false);
    environment.set_auto_escape_callback(move |_| match kind {
        Kind::Html => AutoEscape::Html,
        Kind::Subject | Kind::Text | Kind::Json | Kind::Address => AutoEscape::None,
    });
    if kind == Kind::Json {
        environment.set_formatter(write_json);
    }
    filters::install(&mut environment);
    environment
}

fn write_json(
    output: &mut minijinja::Output,
    _state: &mut minijinja::State,
    value: &minijinja::Value,
) -> Result<(), minijinja::Error> {
    let invalid = |_| minijinja::Error::new(minijinja::ErrorKind::BadSerialization, "not a JSON value");
    let text = serde_json::to_string(value).map_err(invalid)?;
    output.write_str(&text).map_err(minijinja::Error::from)
}

/// What is owed to each kind once the text is there.
fn finish(text: String, kind: Kind) -> Result<String, TemplateError> {
    match kind {
        Kind::Text => Ok(text),
        Kind::Subject => Ok(one_line(&text)),
        Kind::Html => links::check(&text).map(|()| text),
        // Read whole: a number beyond doubles has the form of one, and few receivers take it.
        Kind::Json => match serde_json::from_str::<Json>(&text) {
            Ok(_) => Ok(text),
            Err(error) => Err(TemplateError::whole(&format!(
                "the output is not JSON (values come with their quotes): {error}"
            ))),
        },
        Kind::Address => {
            let trimmed = text.trim();
            if trimmed.chars().any(is_unsafe) {
                return Err(TemplateError::whole("the address contains a control character"));
            }
            Ok(trimmed.to_owned())
        }
    }
}

/// Whether the texts of a value are within what is left.
fn fits(value: &Json, left: &mut usize) -> bool {
    let take = |bytes: usize, left: &mut usize| {
        let enough = *left >= bytes;
        *left = left.saturating_sub(bytes);
        enough
    };
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) => take(16, left),
        Json::String(text) => take(16 + text.len(), left),
        Json::Array(items) => take(16, left) && items.iter().all(|item| fits(item, left)),
        Json::Object(fields) => {
            take(16, left) && fields.iter().all(|(key, item)| take(16 + key.len(), left) && fits(item, left))
        }
    }
}

/// The output so far; refuses to grow beyond its limit.
#[derive(Default)]
struct Counted(Vec<u8>);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > OUTPUT_BYTES {
            return Err(io::Error::other("the output is larger than 256 KiB"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TemplateError {
    fn at(line: usize, message: &str) -> Self {
        Self { line: Some(line), message: crate::text::excerpt(message) }
    }

    fn whole(message: &str) -> Self {
        Self { line: None, message: crate::text::excerpt(message) }
    }

    fn from_engine(error: &minijinja::Error) -> Self {
        let mut message = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        if let Some(cause) = std::error::Error::source(error) {
            message = format!("{message}: {cause}");
        }
        Self { line: error.line(), message: crate::text::excerpt(&message) }
    }
}

impl std::error::Error for TemplateError {}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}
