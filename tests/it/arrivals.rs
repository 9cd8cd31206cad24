//! What arrived at the receivers of a test, whatever became of the answer.

use std::sync::{Arc, Mutex, PoisonError};

/// A message as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The id that it carries: `webhook-id`, or what stands in `Message-ID`.
    pub id: String,
    /// The exact bytes.
    pub body: Vec<u8>,
    /// The conversation that it is about.
    pub conversation: String,
    /// When it arrived, in microseconds since 1970.
    pub arrived: i64,
    /// What is wrong with it, such as a signature that does not verify; empty when nothing is.
    pub fault: String,
}

/// Messages in order of arrival; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Arrivals(Arc<Mutex<Vec<Arrival>>>);

impl Arrivals {
    /// All of them so far.
    pub fn all(&self) -> Vec<Arrival> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps one; the number of those before it.
    pub fn keep(&self, arrival: Arrival) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(arrival);
        all.len() - 1
    }
}
