//! What is wrong with a definition or an input, field by field.

/// One wrong field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in proto JSON spelling, such as `stages[1].enter[0].where`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

/// Collects violations under a path, so that validation can name all of them at once.
#[derive(Debug, Default)]
pub struct Violations {
    path: Vec<String>,
    found: Vec<Violation>,
}

impl Violations {
    /// An empty collection at the root.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `check` with `segment` appended to the path.
    pub fn within(&mut self, segment: impl Into<String>, check: impl FnOnce(&mut Self)) {
        self.path.push(segment.into());
        check(self);
        self.path.pop();
    }

    /// Notes that `field`, below the current path, is wrong.
    pub fn add(&mut self, field: &str, message: impl Into<String>) {
        let mut path = self.path.join(".");
        if !field.is_empty() {
            if !path.is_empty() && !field.starts_with('[') {
                path.push('.');
            }
            path.push_str(field);
        }
        self.found.push(Violation { field: path, message: message.into() });
    }

    /// Notes `message` unless `holds`.
    pub fn require(&mut self, holds: bool, field: &str, message: impl Into<String>) {
        if !holds {
            self.add(field, message);
        }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Notes a text that is longer than `most` bytes, or holds NUL, which no database keeps.
    pub fn require_text(&mut self, text: &str, most: usize, field: &str) {
        self.require(text.len() <= most, field, format!("longer than {most} bytes"));
        self.require(!text.contains('\0'), field, "contains NUL");
    }

    /// `Ok(value)` when nothing was found, otherwise everything that was.
    pub fn into_result<T>(self, value: T) -> Result<T, Vec<Violation>> {
        if self.found.is_empty() { Ok(value) } else { Err(self.found) }
    }

    /// Everything that was found.
    pub fn into_vec(self) -> Vec<Violation> {
        self.found
    }
}

/// A text of somebody else's inside a message of ours: quoted, and no more of it than is read.
pub fn quoted(text: &str) -> String {
    const MOST: usize = 64;
    if text.chars().nth(MOST).is_none() {
        return format!("{text:?}");
    }
    format!("{:?}…", text.chars().take(MOST).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_is_whole_or_says_that_it_is_not() {
        assert_eq!(quoted("a\0b"), r#""a\0b""#);
        assert_eq!(quoted(&"é".repeat(64)), format!("\"{}\"", "é".repeat(64)));
        assert_eq!(quoted(&"é".repeat(65)), format!("\"{}\"…", "é".repeat(64)));
    }

    #[test]
    fn a_text_is_refused_by_its_length_and_for_nul() {
        let mut violations = Violations::new();
        violations.require_text("fine", 4, "fine");
        violations.require_text("hello", 4, "long");
        violations.require_text("\0", 4, "nul");
        let fields: Vec<_> = violations.into_vec().into_iter().map(|it| it.field).collect();
        assert_eq!(fields, ["long", "nul"]);
    }
}
