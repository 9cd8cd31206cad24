//! The rule language: conditions over an event and the attributes around it.
//!
//! Rules are written in CEL syntax. The `cel` crate only parses them; what they
//! mean is the closed [`Tree`] of this module, so that one meaning can be
//! evaluated here and lowered to SQL.
//!
//! **Fields.** `event.type`, `event.text`, `event.author` (`"customer"`,
//! `"agent"`, `"bot"`, `"system"`), `event.public`, `event.automated`,
//! `event.closing`, `event.properties.KEY`, `conversation.KEY`, `customer.KEY`;
//! `x["any key"]` for keys that are no CEL names, and deeper paths into maps. Rules in
//! steps of a sequence see `run.steps["ID"].outcome`, `run.steps["ID"].visits` and
//! `run.arm`, too.
//!
//! **Conditions.** `==`, `!=`, `<`, `<=`, `>`, `>=`, `in` (a list written in the
//! rule, or a field that holds a list), `&&`, `||`, `!`, `has(x.y)`,
//! `x.startsWith(y)`, `x.endsWith(y)`, `x.contains(y)`, `x.matches("regex")`
//! (anywhere in the text), and a field alone, which means `== true`.
//!
//! **Functions.** `x.lowerAscii()`, `string(x)` of a truth value, number or text,
//! `double(x)` of a number or a decimal text, `size(x)` or `x.size()`: code points
//! of a text, elements of a list, entries of a map.
//!
//! **Meaning.** Nothing is an error while a rule runs. A property that is absent
//! or null is *missing*; a function of something missing, or of a kind it does not
//! take, is missing. A comparison with something missing is false, except that
//! `!=` is true; `x == null` asks whether `x` is missing. Values of different
//! kinds are not equal and have no order; lists and maps are equal to nothing.
//! Numbers are IEEE doubles, texts compare by bytes, truth values have no order.

mod error;
mod eval;
mod lower;
mod narrow;
mod operand;
mod reads;
mod screen;
mod syntax;
mod tree;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod print;
#[cfg(test)]
mod spoken;

pub use error::{PredicateError, Problem};
pub use eval::{EventFacts, Facts, parse_decimal};
pub use narrow::Narrowed;
pub use reads::Reads;
pub use tree::{Comparison, Field, Literal, Operand, Pattern, Root, TextTest, Tree};

/// The longest rule, in bytes.
pub const MAX_SOURCE: usize = 4096;
/// How deep conditions, functions and brackets may be inside each other.
pub const MAX_DEPTH: usize = 32;
/// How many conditions, operands and list elements a rule may have.
pub const MAX_NODES: usize = 256;
/// The longest regular expression, in bytes.
pub const MAX_REGEX: usize = 512;
/// The longest text that `matches` looks into, in bytes; a longer one does not match.
pub const MAX_HAYSTACK: usize = 64 * 1024;

/// A parsed rule. Cheap to clone compared to parsing; two are equal when their sources are.
#[derive(Debug, Clone)]
pub struct Predicate {
    source: String,
    tree: Tree,
}

/// Parses a rule, or says everything that is wrong with it and where.
///
/// Callers treat an empty source as "no rule" before they come here.
pub fn parse(source: &str) -> Result<Predicate, PredicateError> {
    parse_with(source, Vocabulary::Facts)
}

/// The same for a rule in a step of a sequence, which may name `run`, too.
pub fn parse_in_run(source: &str) -> Result<Predicate, PredicateError> {
    parse_with(source, Vocabulary::Run)
}

fn parse_with(source: &str, vocabulary: Vocabulary) -> Result<Predicate, PredicateError> {
    screen::screen(source)?;
    let tree = syntax::parse(source, vocabulary)?;
    Ok(Predicate { source: source.to_owned(), tree })
}

/// What a rule can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Vocabulary {
    /// The event and the attributes around it.
    Facts,
    /// These, and the run whose step the rule belongs to.
    Run,
}

impl Vocabulary {
    fn roots(self) -> &'static str {
        match self {
            Self::Facts => "event, conversation or customer",
            Self::Run => "event, conversation, customer or run",
        }
    }
}

impl Predicate {
    /// The rule as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// What it means.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Whether it holds for the facts.
    pub fn eval(&self, facts: &Facts<'_>) -> bool {
        self.tree.holds(facts)
    }

    /// What it looks at.
    pub fn reads(&self) -> Reads {
        self.tree.reads()
    }

    /// The part of it that SQL can test.
    pub fn sql_part(&self) -> Narrowed {
        self.tree.narrow()
    }
}

impl PartialEq for Predicate {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Predicate {}
