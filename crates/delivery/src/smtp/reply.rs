//! SMTP replies: `250-first`, `250 last` (RFC 5321 §4.2), and the enhanced
//! code they may begin with (RFC 3463, RFC 2034).

/// One whole reply, all its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// 200–599.
    pub(super) code: u16,
    /// The text of each line, without code and line end.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// The lines joined by spaces.
    pub(super) fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// Class, subject and detail, if the first line begins with an enhanced
    /// code whose class agrees with the reply's.
    pub(super) fn enhanced(&self) -> Option<(u16, u16, u16)> {
        let word = self.lines.first()?.split_whitespace().next()?;
        let mut parts = word.split('.').map(number);
        let code = (parts.next()??, parts.next()??, parts.next()??);
        (parts.next().is_none() && code.0 == self.code / 100).then_some(code)
    }

    #[cfg(test)]
    pub(super) fn from_line(line: &str) -> Self {
        let parsed = Line::parse(line.as_bytes()).expect("a reply line");
        Self { code: parsed.code, lines: vec![parsed.text] }
    }
}

/// One line of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) code: u16,
    /// Whether another line of the same reply follows.
    pub(super) more: bool,
    pub(super) text: String,
}

impl Line {
    /// Parses one line without its line end; `None` is not SMTP.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let (digits, rest) = line.split_at_checked(3)?;
        let code = number(std::str::from_utf8(digits).ok()?)?;
        if !(200..600).contains(&code) {
            return None;
        }
        let (more, text) = match rest {
            [] => (false, rest),
            [b' ', text @ ..] => (false, text),
            [b'-', text @ ..] => (true, text),
            _ => return None,
        };
        Some(Self { code, more, text: String::from_utf8_lossy(text).into_owned() })
    }
}

/// One to three ASCII digits.
fn number(digits: &str) -> Option<u16> {
    let plain = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_told_from_junk() {
        let line = |text: &str| Line::parse(text.as_bytes()).map(|l| (l.code, l.more, l.text));
        assert_eq!(line("250 ok"), Some((250, false, "ok".into())));
        assert_eq!(line("250-SIZE 1"), Some((250, true, "SIZE 1".into())));
        assert_eq!(line("354"), Some((354, false, String::new())));
        for junk in ["", "25", "hello", "199 x", "600 x", "250x", "+50 x", "2 5 x", "25é"] {
            assert_eq!(line(junk), None, "{junk}");
        }
    }

    #[test]
    fn an_enhanced_code_must_agree_with_the_reply() {
        assert_eq!(Reply::from_line("550 5.1.1 no").enhanced(), Some((5, 1, 1)));
        assert_eq!(Reply::from_line("550 4.1.1 no").enhanced(), None);
        assert_eq!(Reply::from_line("550 5.1 no").enhanced(), None);
        assert_eq!(Reply::from_line("550 5.1.1.1 no").enhanced(), None);
        assert_eq!(Reply::from_line("550 5..1 no").enhanced(), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes: Vec<u8>) {
            let _ = Line::parse(&bytes);
        }
    }
}
