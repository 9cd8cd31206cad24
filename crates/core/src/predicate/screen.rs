//! A look at the characters of a rule before the CEL parser sees it.
//!
//! The parser behind the `cel` crate recurses about 200 kB of stack a bracket and
//! has needed gigabytes for unbalanced ones. So brackets are balanced and bounded
//! here first, strings are read exactly as its lexer reads them (a bracket inside
//! one counts for nothing), and characters that no rule needs are refused, which
//! also gives better messages than a grammar does.

use super::error::{PredicateError, Problem};
use super::{MAX_DEPTH, MAX_SOURCE};

/// Refuses what must not reach the parser.
pub(super) fn screen(source: &str) -> Result<(), PredicateError> {
    if source.len() > MAX_SOURCE {
        let message = format!("a rule has at most {MAX_SOURCE} bytes, this one {}", source.len());
        return Err(PredicateError::new(vec![Problem::at(source, MAX_SOURCE, message)]));
    }
    let mut screen = Screen::new(source);
    while let Some(next) = screen.peek() {
        if let Err(problem) = screen.token(next) {
            screen.problems.push(problem);
            break;
        }
    }
    screen.finish()
}

struct Screen<'a> {
    source: &'a str,
    at: usize,
    open: Vec<(usize, u8)>,
    problems: Vec<Problem>,
}

impl<'a> Screen<'a> {
    fn new(source: &'a str) -> Self {
        Self { source, at: 0, open: Vec::new(), problems: Vec::new() }
    }

    fn peek(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        // `at` never passes the end.
        &self.source.as_bytes()[self.at..]
    }

    fn problem(&self, offset: usize, message: impl Into<String>) -> Problem {
        Problem::at(self.source, offset, message)
    }

    /// Steps over one token; an error ends the screening.
    fn token(&mut self, next: u8) -> Result<(), Problem> {
        match next {
            b'/' if self.rest().starts_with(b"//") => self.skip_while(|byte| byte != b'\n'),
            b'(' | b'[' => self.open(next)?,
            b')' | b']' => self.close(next)?,
            b'"' | b'\'' => self.string(self.at, false)?,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word()?,
            b'0'..=b'9' => self.number(),
            b' ' | b'\t' | b'\r' | b'\n' | 0x0c | b'.' | b',' | b'!' | b'&' | b'|' | b'=' | b'<' | b'>'
            | b'-' => self.at += 1,
            _ => self.refuse(),
        }
        Ok(())
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        self.at += self.rest().iter().take_while(|byte| wanted(**byte)).count();
    }

    fn open(&mut self, bracket: u8) -> Result<(), Problem> {
        if self.open.len() == MAX_DEPTH {
            let message = format!("brackets are at most {MAX_DEPTH} deep");
            return Err(self.problem(self.at, message));
        }
        self.open.push((self.at, bracket));
        self.at += 1;
        Ok(())
    }

    fn close(&mut self, bracket: u8) -> Result<(), Problem> {
        let wanted = if bracket == b')' { b'(' } else { b'[' };
        if self.open.pop().is_none_or(|(_, opened)| opened != wanted) {
            return Err(self.problem(self.at, format!("`{}` closes nothing", char::from(bracket))));
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self) -> Result<(), Problem> {
        let start = self.at;
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let quoted = matches!(self.peek(), Some(b'"' | b'\''));
        match &self.source[start..self.at] {
            "r" | "R" if quoted => self.string(start, true),
            "b" | "B" | "br" | "bR" | "Br" | "BR" if quoted => {
                Err(self.problem(start, "bytes are not part of the rule language"))
            }
            _ => Ok(()),
        }
    }

    /// A number, whose exponent may have a sign.
    fn number(&mut self) {
        self.skip_while(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        let exponent = matches!(self.source.as_bytes()[self.at - 1], b'e' | b'E');
        if exponent && matches!(self.rest(), [b'+' | b'-', b'0'..=b'9', ..]) {
            self.at += 1;
        }
    }

    /// A string that starts at `self.at`; `start` is where its prefix is.
    fn string(&mut self, start: usize, raw: bool) -> Result<(), Problem> {
        let quote = self.rest()[0];
        let triple = self.rest().starts_with(&[quote; 3]);
        let end: &[u8] = if triple { &[quote; 3] } else { &[quote] };
        self.at += end.len();
        loop {
            match self.rest() {
                [] => return Err(self.problem(start, "the string has no end")),
                rest if rest.starts_with(end) => {
                    self.at += end.len();
                    return Ok(());
                }
                [b'\n' | b'\r', ..] if !triple => {
                    return Err(self.problem(start, "the string does not end in its line"));
                }
                [0, ..] => return Err(self.problem(self.at, "a string cannot hold NUL")),
                [b'\\', ..] if !raw => self.escape()?,
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<(), Problem> {
        let hex = |bytes: &[u8], count: usize| {
            bytes.len() >= count && bytes[..count].iter().all(u8::is_ascii_hexdigit)
        };
        let length = match &self.rest()[1..] {
            [b'x' | b'X', digits @ ..] if hex(digits, 2) => 4,
            [b'u', digits @ ..] if hex(digits, 4) => 6,
            [b'U', digits @ ..] if hex(digits, 8) => 10,
            [b'0'..=b'3', b'0'..=b'7', b'0'..=b'7', ..] => 4,
            [byte, ..] if br#"abfnrtv"'\?`"#.contains(byte) => 2,
            _ => {
                let message = "unknown escape: write `\\\\` for a backslash, or r\"...\"";
                return Err(self.problem(self.at, message));
            }
        };
        self.at += length;
        Ok(())
    }

    /// Notes a character that no rule needs and goes on.
    fn refuse(&mut self) {
        // `at` is always at the start of a character: only whole ones are stepped over.
        let found = self.source[self.at..].chars().next().unwrap_or_default();
        let message = match found {
            '+' | '*' | '/' | '%' => "arithmetic is not part of the rule language".to_owned(),
            '?' | ':' => "`? :` is not part of the rule language: use && and ||".to_owned(),
            '{' | '}' => "maps are not part of the rule language".to_owned(),
            '`' => "quote a key in brackets: x[\"the key\"]".to_owned(),
            other => format!("unexpected character `{}`", other.escape_debug()),
        };
        self.problems.push(self.problem(self.at, message));
        self.at += found.len_utf8();
    }

    fn finish(mut self) -> Result<(), PredicateError> {
        if self.problems.is_empty() {
            for (offset, bracket) in &self.open {
                let message = format!("`{}` is never closed", char::from(*bracket));
                self.problems.push(Problem::at(self.source, *offset, message));
            }
        }
        if self.problems.is_empty() { Ok(()) } else { Err(PredicateError::new(self.problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(source: &str) -> String {
        screen(source).expect_err(source).to_string()
    }

    #[test]
    fn brackets_count_outside_strings_and_comments_only() {
        for source in [
            r#"x == "((((" // (((("#,
            r"x == r'\(((('",
            r#"x == '''a'(["''' && y["]"]"#,
            r#"x == "\"((" && y == "é)""#,
            "x == 1.5e+3 && y < 2E-4",
        ] {
            assert_eq!(screen(source), Ok(()), "{source}");
        }
    }

    #[test]
    fn unbalanced_and_deep_brackets_are_refused_with_their_place() {
        assert_eq!(refusal("((a)"), "line 1, column 1: `(` is never closed");
        assert_eq!(refusal("(a]"), "line 1, column 3: `]` closes nothing");
        let deep = format!("{}a{}", "(".repeat(33), ")".repeat(33));
        assert_eq!(refusal(&deep), "line 1, column 33: brackets are at most 32 deep");
        assert!(refusal(&"a".repeat(4097)).contains("at most 4096 bytes"));
    }

    #[test]
    fn characters_that_no_rule_needs_are_all_named() {
        let found = refusal("a + b ? {c} : `d` £");
        for part in ["column 3: arithmetic", "column 7: `? :`", "column 9: maps", "`£`", "quote a key"] {
            assert!(found.contains(part), "{part} in {found}");
        }
    }

    #[test]
    fn strings_are_read_as_the_lexer_reads_them() {
        assert!(refusal("x == \"abc").contains("has no end"));
        assert!(refusal("x == \"a\nb\"").contains("does not end in its line"));
        assert!(refusal(r#"x == "\q((((""#).contains("unknown escape"));
        assert!(refusal(r#"x == "\u12""#).contains("unknown escape"));
        assert!(refusal("b\"abc\" == x").contains("bytes are not part"));
        assert!(refusal("x == \"\0\"").contains("NUL"));
    }
}
