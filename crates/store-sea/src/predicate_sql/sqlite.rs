//! Which comparisons of numbers are exact on `SQLite`.
//!
//! Numbers inside JSON are text there, and `SQLite` 3.51 reads far ones wrongly: of
//! the doubles below 1e-84 or above 1e118, every fifth comes out a bit or more off
//! (measured: 5,000 random doubles in each decade, none off between). A number
//! that is bound arrives whole. So a number from JSON is compared with an ordinary
//! number only, which a slightly wrong far one cannot pass; other comparisons are
//! left to the rule itself.

use rekindle_core::predicate::{Literal, Operand, Tree};

/// Ordinary numbers lie between these, or are zero; far from where reading goes wrong.
const ORDINARY: std::ops::Range<f64> = 1e-60..1e60;

/// Which numbers an operand can be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Numbers {
    /// None.
    None,
    /// One that is bound or counted, and ordinary.
    Ordinary,
    /// One that is bound, and far from ordinary.
    Far,
    /// Any, read from JSON.
    Read,
}

/// Whether a condition that is no combination of others has its exact meaning in SQL.
pub(super) fn is_exact(atom: &Tree) -> bool {
    match atom {
        Tree::Compare { left, right, .. } => comparable(numbers(left), numbers(right)),
        Tree::OneOf { needle, list } => {
            let needle = numbers(needle);
            list.iter().all(|literal| comparable(needle, number(literal)))
        }
        Tree::ElementOf { needle, .. } => comparable(numbers(needle), Numbers::Read),
        Tree::Const(_)
        | Tree::All(_)
        | Tree::Any(_)
        | Tree::Not(_)
        | Tree::Present(_)
        | Tree::Text { .. }
        | Tree::Matches { .. } => true,
    }
}

fn comparable(left: Numbers, right: Numbers) -> bool {
    let exact_with_read = |other| matches!(other, Numbers::None | Numbers::Ordinary);
    match (left, right) {
        (Numbers::Read, other) | (other, Numbers::Read) => exact_with_read(other),
        _ => true,
    }
}

fn numbers(operand: &Operand) -> Numbers {
    match operand {
        Operand::Literal(literal) => number(literal),
        Operand::Field(field) if field.root.is_map() => Numbers::Read,
        Operand::Field(_) | Operand::Lower(_) | Operand::Text(_) => Numbers::None,
        Operand::Size(_) => Numbers::Ordinary,
        Operand::Number(_) => Numbers::Read,
    }
}

fn number(literal: &Literal) -> Numbers {
    match literal {
        Literal::Number(number) if *number == 0.0 || ORDINARY.contains(&number.abs()) => Numbers::Ordinary,
        Literal::Number(_) => Numbers::Far,
        Literal::Bool(_) | Literal::Text(_) => Numbers::None,
    }
}
