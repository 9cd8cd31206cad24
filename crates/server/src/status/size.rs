//! How large a refusal may be: it travels in headers, of which clients take 8 KB by default.

use std::collections::HashMap;

use rekindle_core::violation::Violation;

/// Most bytes of a text in a refusal: a name of 128 bytes, each percent-encoded, and words around it.
const TEXT: usize = 512;
/// Most bytes of all violations together. Base64 and the message make twice as much of them.
const FIELDS: usize = 3_000;
/// What every violation costs beside its texts.
const FRAME: usize = 8;

/// A text that fits, or its beginning and an ellipsis.
pub fn text(mut text: String) -> String {
    if text.len() > TEXT {
        let end = (0..=TEXT - '…'.len_utf8()).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or_default());
        text.push('…');
    }
    text
}

/// The facts for machines, each no longer than fits.
pub fn facts(metadata: HashMap<String, String>) -> HashMap<String, String> {
    metadata.into_iter().map(|(key, value)| (key, text(value))).collect()
}

/// As many violations as fit, from the first on.
pub fn fields(violations: Vec<Violation>) -> Vec<Violation> {
    let mut left = FIELDS;
    let short =
        violations.into_iter().map(|it| Violation { field: text(it.field), message: text(it.message) });
    let fitting = short.take_while(|violation| {
        let size = FRAME + violation.field.len() + violation.message.len();
        let fits = size <= left;
        left = left.saturating_sub(size);
        fits
    });
    fitting.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_letters_and_says_so() {
        assert_eq!(text("fine".into()), "fine");
        assert_eq!(text("x".repeat(TEXT)), "x".repeat(TEXT));
        for letter in ["x", "é", "🦀"] {
            let cut = text(letter.repeat(TEXT + 1));
            assert!(cut.len() <= TEXT && cut.ends_with('…') && cut.starts_with(letter), "{letter}");
        }
    }

    #[test]
    fn as_many_violations_stay_as_fit_and_at_least_one() {
        let named = |size: usize| Violation { field: "f".repeat(size), message: "is wrong".into() };
        assert_eq!(fields(vec![named(10); 3]).len(), 3);
        assert_eq!(fields(vec![named(1_000_000)]).len(), 1);
        let many = fields(vec![named(60); 1_000]);
        assert!((20..100).contains(&many.len()), "{}", many.len());
    }
}
