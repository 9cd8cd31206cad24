//! Colours, where they are wanted.

use owo_colors::OwoColorize;

/// Paints text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    /// Whether colours are wanted.
    pub colors: bool,
}

impl Paint {
    /// Headings.
    pub fn heading(self, text: &str) -> String {
        if self.colors { text.bold().to_string() } else { text.to_owned() }
    }

    /// Bars.
    pub fn bar(self, text: &str) -> String {
        if self.colors { text.cyan().to_string() } else { text.to_owned() }
    }

    /// What should not be overlooked.
    pub fn warning(self, text: &str) -> String {
        if self.colors { text.yellow().to_string() } else { text.to_owned() }
    }

    /// What may be overlooked.
    pub fn aside(self, text: &str) -> String {
        if self.colors { text.dimmed().to_string() } else { text.to_owned() }
    }
}
