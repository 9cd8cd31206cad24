//! Event ids inside the JSON of checkpoints.

use std::collections::HashMap;

use serde_json::Value;

use crate::tombstone::tombstone;

/// Ids of erased events and what they are called from now on.
#[derive(Debug, Default)]
pub(super) struct Renames(HashMap<String, String>);

impl Renames {
    /// Gives tombstones to ids.
    pub(super) fn new(ids: impl IntoIterator<Item = String>) -> Self {
        let pair = |id: String| {
            let new = tombstone(&id);
            (id, new)
        };
        Self(ids.into_iter().map(pair).collect())
    }

    /// The ids as clients gave them.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many.
    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// What an id is called from now on, if it is an erased event's.
    pub(super) fn of(&self, id: &str) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// The same for one that may not be there.
    pub(super) fn renamed(&self, id: Option<String>) -> Option<String> {
        id.map(|id| self.of(&id).map_or(id.clone(), str::to_owned))
    }

    /// Renames every id in a part of a checkpoint that holds no text of a client but ids.
    ///
    /// Ids stand in places of a stream, `[instant, sequence, id]`, and in entries of stages,
    /// `[instant, id]`. Whether anything was renamed.
    pub(super) fn apply(&self, json: &mut Value) -> bool {
        match json {
            Value::Object(fields) => fields.values_mut().fold(false, |any, value| self.apply(value) | any),
            Value::Array(items) => match items.as_mut_slice() {
                [Value::Number(_), id @ Value::String(_)]
                | [Value::Number(_), Value::Number(_), id @ Value::String(_)] => self.rename(id),
                items => items.iter_mut().fold(false, |any, item| self.apply(item) | any),
            },
            _ => false,
        }
    }

    fn rename(&self, id: &mut Value) -> bool {
        let new = id.as_str().and_then(|id| self.of(id));
        let Some(new) = new.map(str::to_owned) else {
            return false;
        };
        *id = new.into();
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_renamed_where_ids_stand_and_nowhere_else() {
        let renames = Renames::new(["a".to_owned()]);
        let hashed = tombstone("a");
        let mut state = json!({
            "to": [1, 0, "a"],
            "a": [{ "e": [[1, "a"], null, [2, "b"]], "b": ["a", "a"], "v": [[0, 5]] }],
        });
        assert!(renames.apply(&mut state));
        let expected = json!({
            "to": [1, 0, hashed],
            "a": [{ "e": [[1, hashed], null, [2, "b"]], "b": ["a", "a"], "v": [[0, 5]] }],
        });
        assert_eq!(state, expected);
    }
}
