//! Sequences laid out to be walked through, kept for as long as they are in use.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rekindle_core::sequence::{Program, Sequence};
use xxhash_rust::xxh3::xxh3_128;

use super::json;

/// Programs kept at the most; beyond that all are forgotten and laid out again as they are needed.
const MOST: usize = 1_000;

/// The cache. A definition is known by what it says: an id may be given again to another sequence.
#[derive(Debug, Default)]
pub(crate) struct Programs {
    known: RwLock<HashMap<u128, Option<Arc<Program>>>>,
}

impl Programs {
    /// The program of a definition; `None` for one that this version cannot walk through.
    pub fn of(&self, body: &Sequence) -> Option<Arc<Program>> {
        let key = xxh3_128(json(body).as_bytes());
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return known.clone();
        }
        let program = Program::compile(body).map(Arc::new);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(key, program.clone());
        program
    }
}
