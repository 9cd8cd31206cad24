//! Trees written back as rules, for the tests that compare the two.

use std::fmt::{Display, Formatter, Result, Write};

use super::tree::{Comparison, Field, Literal, Operand, Root, TextTest, Tree};

impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Const(flag) => write!(f, "{flag}"),
            Self::All(parts) => joined(f, parts, " && "),
            Self::Any(parts) => joined(f, parts, " || "),
            Self::Not(inner) => write!(f, "!({inner})"),
            Self::Present(Operand::Field(field)) => write!(f, "has({field})"),
            Self::Present(operand) => write!(f, "{operand} != null"),
            Self::Compare { left, comparison, right } => write!(f, "{left} {} {right}", sign(*comparison)),
            Self::OneOf { needle, list } => {
                write!(f, "{needle} in [")?;
                for (place, literal) in list.iter().enumerate() {
                    write!(f, "{}{literal}", if place > 0 { ", " } else { "" })?;
                }
                f.write_char(']')
            }
            Self::ElementOf { needle, list } => write!(f, "{needle} in {list}"),
            Self::Text { test, subject, part } => write!(f, "{subject}.{}({part})", test_name(*test)),
            Self::Matches { subject, pattern } => {
                write!(f, "{subject}.matches(")?;
                quoted(f, pattern.source())?;
                f.write_char(')')
            }
        }
    }
}

impl Display for Operand {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Literal(literal) => write!(f, "{literal}"),
            Self::Field(field) => write!(f, "{field}"),
            Self::Lower(inner) => write!(f, "{inner}.lowerAscii()"),
            Self::Text(inner) => write!(f, "string({inner})"),
            Self::Number(inner) => write!(f, "double({inner})"),
            Self::Size(inner) => write!(f, "size({inner})"),
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Number(number) => write!(f, "{number:?}"),
            Self::Text(text) => quoted(f, text),
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(root_name(self.root))?;
        for key in &self.path {
            if is_name(key) {
                write!(f, ".{key}")?;
            } else {
                f.write_char('[')?;
                quoted(f, key)?;
                f.write_char(']')?;
            }
        }
        Ok(())
    }
}

fn joined(f: &mut Formatter<'_>, parts: &[Tree], operator: &str) -> Result {
    for (place, part) in parts.iter().enumerate() {
        write!(f, "{}({part})", if place > 0 { operator } else { "" })?;
    }
    Ok(())
}

fn quoted(f: &mut Formatter<'_>, text: &str) -> Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' | '\\' => write!(f, "\\{character}")?,
            control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

fn is_name(key: &str) -> bool {
    key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && !matches!(key, "in" | "true" | "false" | "null")
}

fn root_name(root: Root) -> &'static str {
    match root {
        Root::EventType => "event.type",
        Root::EventText => "event.text",
        Root::EventAuthor => "event.author",
        Root::EventPublic => "event.public",
        Root::EventAutomated => "event.automated",
        Root::EventClosing => "event.closing",
        Root::EventProperties => "event.properties",
        Root::Conversation => "conversation",
        Root::Customer => "customer",
        Root::Run => "run",
    }
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "==",
        Comparison::NotEqual => "!=",
        Comparison::Less => "<",
        Comparison::AtMost => "<=",
        Comparison::Greater => ">",
        Comparison::AtLeast => ">=",
    }
}

fn test_name(test: TextTest) -> &'static str {
    match test {
        TextTest::StartsWith => "startsWith",
        TextTest::EndsWith => "endsWith",
        TextTest::Contains => "contains",
    }
}
