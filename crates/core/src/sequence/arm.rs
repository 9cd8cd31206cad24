//! Who is written to and who is held out: a keyed hash of the customer, never a draw.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::walk::Draw;

/// Parts that a hash is divided into.
pub const PARTS: u32 = 10_000;

/// What a customer is to an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Arm {
    /// Written to.
    #[default]
    Treated,
    /// Held out: every step is taken, and no message leaves the house.
    HeldOut,
}

impl Arm {
    /// The word rules use: `run.arm == "held_out"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Treated => "treated",
            Self::HeldOut => "held_out",
        }
    }
}

/// The chances of one customer in one experiment.
///
/// `sha256(key ‖ experiment ‖ 0 ‖ question ‖ 0 ‖ subject)`, its first eight bytes modulo 10,000:
/// the same for ever, even over a large range, and independent between experiments and questions,
/// so that nobody is unlucky everywhere (`semantics.md` Q12).
#[derive(Clone, Copy)]
pub struct Chance<'a> {
    /// Secret of the workspace.
    pub key: &'a [u8; 32],
    /// What the experiment is called: the sequence's id.
    pub experiment: &'a str,
    /// The customer, or the conversation where no customer is known.
    pub subject: Uuid,
}

impl fmt::Debug for Chance<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chance").field("experiment", &self.experiment).finish_non_exhaustive()
    }
}

impl Chance<'_> {
    /// The customer's arm when so many of 10,000 are held out.
    ///
    /// A larger holdout holds the ones of a smaller one.
    pub fn arm(&self, holdout: u16) -> Arm {
        if self.hash("holdout") < u32::from(holdout) { Arm::HeldOut } else { Arm::Treated }
    }

    fn hash(&self, question: &str) -> u32 {
        let mut hash = Sha256::new();
        hash.update(self.key);
        // Ids hold no NUL.
        hash.update(self.experiment);
        hash.update([0]);
        hash.update(question);
        hash.update([0]);
        hash.update(self.subject.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let first = digest[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        (first % u64::from(PARTS)) as u32
    }
}

impl Draw for Chance<'_> {
    fn of(&self, step: &str) -> u32 {
        self.hash(&format!("split/{step}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chance(experiment: &str, subject: u128) -> Chance<'_> {
        Chance { key: &[7; 32], experiment, subject: Uuid::from_u128(subject) }
    }

    #[test]
    fn an_arm_stays_and_a_larger_holdout_holds_the_smaller_one() {
        for subject in 0..2_000 {
            let chance = chance("nudge", subject);
            let [none, some, more] = [0, 1_000, 3_000].map(|holdout| chance.arm(holdout));
            assert_eq!(none, Arm::Treated);
            assert!(some != Arm::HeldOut || more == Arm::HeldOut);
            assert_eq!(chance.arm(1_000), some);
        }
    }

    #[test]
    fn shares_are_what_they_say_and_experiments_independent() {
        let held = |experiment: &'static str| -> Vec<bool> {
            (0..20_000).map(|subject| chance(experiment, subject).arm(2_000) == Arm::HeldOut).collect()
        };
        let (one, other) = (held("one"), held("other"));
        let count = |held: &[bool]| held.iter().filter(|held| **held).count();
        let both = one.iter().zip(&other).filter(|(one, other)| **one && **other).count();
        // Four standard deviations: of 4,000 ± 57, and of 800 ± 28.
        assert!(count(&one).abs_diff(4_000) < 227 && count(&other).abs_diff(4_000) < 227);
        assert!(both.abs_diff(800) < 111, "{both}");
    }
}
