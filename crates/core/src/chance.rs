//! Chance that is no draw: a keyed hash of a subject, the same at all times.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The number of a subject when an experiment asks a question.
///
/// `sha256(key ‖ experiment ‖ 0 ‖ question ‖ 0 ‖ subject)`, its first eight bytes: the same for
/// ever, and independent between experiments and questions, so that nobody is unlucky everywhere
/// (`semantics.md` Q12).
pub fn number(key: &[u8; 32], experiment: &str, question: &str, subject: Uuid) -> u64 {
    let mut hash = Sha256::new();
    hash.update(key);
    // Ids hold no NUL.
    hash.update(experiment);
    hash.update([0]);
    hash.update(question);
    hash.update([0]);
    hash.update(subject.as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    digest[..8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The place of the way that a draw below `of` leads: each way has its weight's share of all
/// draws, in order. `None` where nothing weighs anything.
pub fn way(draw: u64, of: u64, weights: impl Iterator<Item = u32> + Clone) -> Option<usize> {
    let all: u64 = weights.clone().map(u64::from).sum();
    let mut below = 0;
    weights.map(u64::from).position(|weight| {
        below += weight;
        draw * all < below * of
    })
}
