//! Text that came from elsewhere: which characters are dangerous in a header
//! or a log line, and how much of a reply is kept.

/// Bytes of a peer's reply that are kept with an attempt.
pub const EXCERPT_BYTES: usize = 1024;

/// Whether a character may break a header, a log line or the reading direction.
///
/// C0 and C1 controls with DEL, the Unicode line and paragraph separators, and
/// the bidirectional controls.
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061C}'
                | '\u{200E}'
                | '\u{200F}'
                | '\u{2028}'
                | '\u{2029}'
                | '\u{202A}'..='\u{202E}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// One line of at most [`EXCERPT_BYTES`] bytes: every run of white space and
/// unsafe characters becomes one space.
pub fn excerpt(text: &str) -> String {
    let mut line = one_line(text);
    truncate(&mut line, EXCERPT_BYTES);
    line
}

/// The text on one line: every run of white space and unsafe characters
/// becomes one space, none at either end.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(EXCERPT_BYTES));
    for word in text.split(|c: char| c.is_whitespace() || is_unsafe(c)) {
        if word.is_empty() {
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// Cuts the text to at most `bytes` bytes, never inside a character.
pub fn truncate(text: &mut String, bytes: usize) {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_one_line_without_controls() {
        let noisy = "550 no\r\n\u{1b}[31msuch\0 user\u{202e}\u{85}here  ";
        assert_eq!(excerpt(noisy), "550 no [31msuch user here");
    }

    #[test]
    fn an_excerpt_never_exceeds_its_limit_nor_splits_a_character() {
        let long = "é".repeat(2000);
        let cut = excerpt(&long);
        assert_eq!(cut.len(), EXCERPT_BYTES);
        assert!(cut.chars().all(|c| c == 'é'));
        let odd = format!("x{long}");
        assert_eq!(excerpt(&odd).len(), EXCERPT_BYTES - 1);
    }
}
