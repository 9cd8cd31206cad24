//! Requests whose replies are swallowed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Which requests, and how many more of them.
#[derive(Debug, Default)]
pub struct Unanswered {
    armed: Mutex<(Vec<u8>, u64)>,
    swallowed: AtomicU64,
}

impl Unanswered {
    pub fn arm(&self, what: &[u8], times: u64) {
        assert!(!what.is_empty(), "a request is known by some bytes");
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = (what.to_vec(), times);
    }

    pub fn disarm(&self) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) = (Vec::new(), 0);
    }

    pub fn count(&self) -> u64 {
        self.swallowed.load(Ordering::SeqCst)
    }

    pub fn swallow(&self) {
        self.swallowed.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether a piece of a request, after what of it came `before`, completes the bytes that
    /// are waited for; `before` becomes what the next piece has to follow.
    pub fn strikes(&self, before: &mut Vec<u8>, piece: &[u8]) -> bool {
        let mut armed = self.armed.lock().unwrap_or_else(PoisonError::into_inner);
        let (what, left) = &mut *armed;
        if *left == 0 {
            before.clear();
            return false;
        }
        before.extend_from_slice(piece);
        let found = before.windows(what.len()).any(|window| window == what);
        if found {
            *left -= 1;
            before.clear();
        } else {
            let kept = before.len().min(what.len() - 1);
            before.drain(..before.len() - kept);
        }
        found
    }
}
