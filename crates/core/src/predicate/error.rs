//! What is wrong with a rule, and where.

use std::fmt;

use thiserror::Error;

/// Problems listed for one rule; more add nothing for the reader.
const MOST_PROBLEMS: usize = 16;

/// Why a source is not a rule. Never empty; in order of position.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", Joined(.problems))]
pub struct PredicateError {
    /// Everything that was found, up to 16.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong and, where it helps, what would be right.
    pub message: String,
    /// Bytes before it.
    pub offset: usize,
    /// Its line, from 1.
    pub line: usize,
    /// Its place in the line in characters, from 1.
    pub column: usize,
}

impl PredicateError {
    /// The error for problems found in any order.
    pub(super) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.offset);
        problems.dedup();
        problems.truncate(MOST_PROBLEMS);
        Self { problems }
    }
}

impl Problem {
    /// A problem at a byte offset of `source`; one past the end is at the end.
    pub(super) fn at(source: &str, offset: usize, message: impl Into<String>) -> Self {
        let mut offset = offset.min(source.len());
        while !source.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &source[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            message: message.into(),
            offset,
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

struct Joined<'a>(&'a [Problem]);

impl fmt::Display for Joined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_counts_bytes_lines_and_characters() {
        let problem = Problem::at("é ==\n  é £", 11, "unexpected");
        assert_eq!((problem.offset, problem.line, problem.column), (11, 2, 5));
        assert_eq!(problem.to_string(), "line 2, column 5: unexpected");
    }

    #[test]
    fn a_position_inside_or_past_the_text_is_moved_to_a_character() {
        assert_eq!(Problem::at("é", 1, "x").offset, 0);
        assert_eq!(Problem::at("é", 9, "x").offset, 2);
    }

    #[test]
    fn problems_are_listed_once_in_order_and_not_without_end() {
        let found = (0..40).rev().map(|at| Problem::at(&" ".repeat(40), at / 2, "x")).collect();
        let error = PredicateError::new(found);
        assert_eq!(error.problems.len(), MOST_PROBLEMS);
        assert!(error.problems.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    }
}
