//! Resource names from what people type, and back.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The full name of a resource: `typed` itself if it is one already, else the one with that id.
pub fn full(workspace: &str, collection: &str, typed: &str) -> String {
    let prefix = format!("workspaces/{workspace}/{collection}/");
    if typed.starts_with(&prefix) {
        return typed.to_owned();
    }
    let id = utf8_percent_encode(typed, SEGMENT);
    format!("{prefix}{id}")
}

/// The id at the end of a name, as its owner wrote it.
pub fn short(name: &str) -> String {
    let segment = name.rsplit('/').next().unwrap_or(name);
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_percent_encoded_inside_its_name_and_read_back() {
        let name = full("default", "conversations", "2004-12-25#1000/é");
        assert_eq!(name, "workspaces/default/conversations/2004-12-25%231000%2F%C3%A9");
        assert_eq!(short(&name), "2004-12-25#1000/é");
    }

    #[test]
    fn a_full_name_stays_as_it_is() {
        let name = "workspaces/default/funnels/support";
        assert_eq!(full("default", "funnels", name), name);
        assert_eq!(full("default", "funnels", "support"), name);
    }
}
