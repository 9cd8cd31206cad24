//! The closed tree that a rule means.

use regex::{Regex, RegexBuilder};

use super::MAX_REGEX;

/// Memory that one compiled regular expression may take, in bytes.
const REGEX_MEMORY: usize = 1024 * 1024;

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// Always or never.
    Const(bool),
    /// Every one of them (`&&`).
    All(Vec<Tree>),
    /// At least one of them (`||`).
    Any(Vec<Tree>),
    /// Plain negation (`!`).
    Not(Box<Tree>),
    /// Whether the operand is there (`has(x)`, `x != null`).
    Present(Operand),
    /// A comparison; see [`Comparison`].
    Compare {
        /// What is on the left.
        left: Operand,
        /// How the two are compared.
        comparison: Comparison,
        /// What is on the right.
        right: Operand,
    },
    /// Whether the operand equals one of the literals (`x in [1, 2]`).
    OneOf {
        /// What is looked for.
        needle: Operand,
        /// The list written in the rule.
        list: Vec<Literal>,
    },
    /// Whether a field holds a list with an element equal to the operand (`1 in x`).
    ElementOf {
        /// What is looked for.
        needle: Operand,
        /// The field that should hold a list.
        list: Field,
    },
    /// A test of one text by another; false unless both are texts.
    Text {
        /// Which test.
        test: TextTest,
        /// The text that is tested.
        subject: Operand,
        /// What it is tested for.
        part: Operand,
    },
    /// Whether a text has a match of a regular expression anywhere.
    Matches {
        /// The text that is searched.
        subject: Operand,
        /// What is searched for.
        pattern: Pattern,
    },
}

/// Something with a value, or missing.
#[derive(Debug, Clone, PartialEq)]
pub enum Operand {
    /// A value written in the rule.
    Literal(Literal),
    /// A field of the facts.
    Field(Field),
    /// `x.lowerAscii()`: A–Z become a–z; missing unless `x` is a text.
    Lower(Box<Operand>),
    /// `string(x)` of a truth value, number or text; missing otherwise.
    Text(Box<Operand>),
    /// `double(x)` of a number or of a text that is a decimal number; missing otherwise.
    Number(Box<Operand>),
    /// `size(x)`: code points, elements or entries; missing for other kinds.
    Size(Box<Operand>),
}

/// A value written in a rule.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// A truth value.
    Bool(bool),
    /// A finite number.
    Number(f64),
    /// A text without NUL.
    Text(String),
}

/// A place in the facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Where the path starts.
    pub root: Root,
    /// Keys from there, through maps; never empty for the property maps,
    /// always empty for the other roots.
    pub path: Vec<String>,
}

/// Where a field starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// `event.type`, a text.
    EventType,
    /// `event.text`, a text or missing.
    EventText,
    /// `event.author`, a text.
    EventAuthor,
    /// `event.public`, a truth value.
    EventPublic,
    /// `event.automated`, a truth value.
    EventAutomated,
    /// `event.closing`, a truth value.
    EventClosing,
    /// `event.properties`.
    EventProperties,
    /// The conversation's attributes.
    Conversation,
    /// The customer's attributes.
    Customer,
    /// What a run of a sequence knows of itself; only rules of steps can name it.
    Run,
}

/// How two operands are compared. Order exists between two numbers and between two texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`, the negation of `==`.
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

/// A test of a text by another, byte for byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextTest {
    /// `startsWith`
    StartsWith,
    /// `endsWith`
    EndsWith,
    /// `contains`
    Contains,
}

/// A compiled regular expression; two are equal when their sources are.
#[derive(Debug, Clone)]
pub struct Pattern {
    regex: Regex,
}

impl Root {
    /// Whether a path of keys follows.
    pub fn is_map(self) -> bool {
        matches!(self, Self::EventProperties | Self::Conversation | Self::Customer | Self::Run)
    }

    /// Whether it belongs to the event.
    pub fn is_event(self) -> bool {
        !matches!(self, Self::Conversation | Self::Customer | Self::Run)
    }

    /// Whether a field from here can be a truth value.
    pub(super) fn may_be_bool(self) -> bool {
        !matches!(self, Self::EventType | Self::EventText | Self::EventAuthor)
    }
}

impl Comparison {
    /// Whether it only asks for equality.
    pub fn is_equality(self) -> bool {
        matches!(self, Self::Equal | Self::NotEqual)
    }
}

impl Pattern {
    /// Compiles a regular expression under the limits of the rule language.
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        if source.len() > MAX_REGEX {
            return Err(format!("a regular expression has at most {MAX_REGEX} bytes"));
        }
        RegexBuilder::new(source)
            .size_limit(REGEX_MEMORY)
            .dfa_size_limit(REGEX_MEMORY)
            .build()
            .map(|regex| Self { regex })
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => "the regular expression needs too much memory".to_owned(),
                error => format!("the regular expression is not valid: {}", last_line(&error)),
            })
    }

    /// The regular expression as written.
    pub fn source(&self) -> &str {
        self.regex.as_str()
    }

    /// Whether it matches anywhere in the text.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

/// The regex crate draws a picture first and says what is wrong in the last line.
fn last_line(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}
