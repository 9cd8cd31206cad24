//! What stays of a name or an event id that was erased: enough to know it again, not to read it.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

/// How a tombstone begins.
const PREFIX: &str = "sha256:";

/// Written out by hand: every event has one.
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The tombstone of a name: `sha256:` and 64 hexadecimal digits.
pub(crate) fn tombstone(name: &str) -> String {
    let mut text = String::with_capacity(PREFIX.len() + 64);
    text.push_str(PREFIX);
    for byte in Sha256::digest(name) {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Names together with their tombstones, to look both up in one statement.
pub(crate) struct Lookup<'a>(HashMap<String, &'a str>);

impl<'a> Lookup<'a> {
    /// A look-up of names.
    pub(crate) fn new(names: impl IntoIterator<Item = &'a str>) -> Self {
        let both = names.into_iter().flat_map(|name| [(name.to_owned(), name), (tombstone(name), name)]);
        Self(both.collect())
    }

    /// Everything to look up.
    pub(crate) fn stored(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The name that was asked for, of one that was found.
    pub(crate) fn asked(&self, stored: &str) -> Option<&'a str> {
        self.0.get(stored).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_is_the_hash_of_the_name_and_leads_back_to_it() {
        // FIPS 180-2, appendix B.1.
        let hash = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(tombstone("abc"), hash);
        let lookup = Lookup::new(["abc", "x"]);
        assert_eq!(lookup.asked(hash), Some("abc"));
        assert_eq!(lookup.asked("x"), Some("x"));
        assert_eq!(lookup.stored().count(), 4);
    }
}
