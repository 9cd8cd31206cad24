//! Who is written to and who is held out: a keyed hash of the customer, never a draw.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::walk::Draw;
use super::{MessageClass, Sequence};
use crate::chance;

/// Parts that a hash is divided into.
pub const PARTS: u32 = 10_000;
/// What the experiment of a workspace as a whole is called; no sequence can be called so.
pub const WORKSPACE: &str = "*";

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

/// Who holds customers out of a sequence, each in parts of 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holdouts {
    /// The sequence.
    pub sequence: u16,
    /// The workspace, where it has a say in the sequence.
    pub workspace: u16,
}

impl Holdouts {
    /// Those of a sequence in a workspace that holds out so many: of marketing alone.
    pub fn of(sequence: &Sequence, workspace: u16) -> Self {
        let workspace = match sequence.class {
            MessageClass::Marketing => workspace,
            MessageClass::Transactional => 0,
        };
        Self { sequence: sequence.holdout, workspace }
    }

    /// Parts of 10,000 that one or the other holds out, rounded: `1 - (1 - a)(1 - b)`, since the
    /// two draws are independent.
    pub fn share(self) -> u16 {
        let treated = |held_out: u16| PARTS.saturating_sub(u32::from(held_out));
        let both = treated(self.sequence) * treated(self.workspace);
        (PARTS - (both + PARTS / 2) / PARTS) as u16
    }
}

/// The chances of one customer in one experiment.
///
/// Each question of it is answered by a [`chance::number`] modulo 10,000: the same for ever, even
/// over a large range, and independent between experiments and questions.
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

    /// The customer's arm where the workspace holds customers out too: held out if either says so.
    pub fn arm_of(&self, holdouts: Holdouts) -> Arm {
        match (Chance { experiment: WORKSPACE, ..*self }).arm(holdouts.workspace) {
            Arm::HeldOut => Arm::HeldOut,
            Arm::Treated => self.arm(holdouts.sequence),
        }
    }

    /// Whether the customer is of the half that checks what figures of the other half suggest:
    /// independent of arms and of splits, so that both halves have all of them.
    pub fn is_checker(&self) -> bool {
        self.hash("check") < PARTS / 2
    }

    fn hash(&self, question: &str) -> u32 {
        let number = chance::number(self.key, self.experiment, question, self.subject);
        (number % u64::from(PARTS)) as u32
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
    use crate::funnel::validate::is_user_id;
    use crate::sequence::fixtures::sequence;

    fn chance(experiment: &str, subject: u128) -> Chance<'_> {
        Chance { key: &[7; 32], experiment, subject: Uuid::from_u128(subject) }
    }

    fn arms_of(experiment: &str, holdouts: Holdouts) -> Vec<Arm> {
        (0..20_000).map(|subject| chance(experiment, subject).arm_of(holdouts)).collect()
    }

    fn held_out(arms: &[Arm]) -> usize {
        arms.iter().filter(|arm| **arm == Arm::HeldOut).count()
    }

    #[test]
    fn whom_the_workspace_holds_out_is_held_out_of_every_sequence() {
        assert!(!is_user_id(WORKSPACE));
        let [one, other] = ["one", "other"].map(|id| arms_of(id, Holdouts { sequence: 0, workspace: 1_000 }));
        assert_eq!(one, other);
        // Three times the standard deviation of 42.
        assert!(held_out(&one).abs_diff(2_000) < 127, "{}", held_out(&one));
        let both = arms_of("one", Holdouts { sequence: 2_000, workspace: 1_000 });
        let own = arms_of("one", Holdouts { sequence: 2_000, workspace: 0 });
        let either = |(own, everywhere): (&Arm, &Arm)| {
            if *own == Arm::HeldOut { Arm::HeldOut } else { *everywhere }
        };
        assert_eq!(both, own.iter().zip(&one).map(either).collect::<Vec<_>>());
        // 0.28 of 20,000, with a standard deviation of 63: the draws are independent.
        assert!(held_out(&both).abs_diff(5_600) < 191, "{}", held_out(&both));
    }

    #[test]
    fn the_share_of_both_is_what_neither_treats() {
        let share = |sequence, workspace| Holdouts { sequence, workspace }.share();
        assert_eq!([share(0, 0), share(2_000, 0), share(0, 1_000)], [0, 2_000, 1_000]);
        assert_eq!([share(2_000, 1_000), share(5_000, 5_000)], [2_800, 7_500]);
        // 1 − 0.9999² is 0.00019999, and 1 − 0.8766 · 0.9995 is 0.1238383.
        assert_eq!([share(1, 1), share(1_234, 5)], [2, 1_238]);
    }

    #[test]
    fn what_a_customer_asked_for_is_not_the_workspaces_to_hold_out() {
        let marketing = Sequence { holdout: 300, ..sequence(Vec::new()) };
        assert_eq!(Holdouts::of(&marketing, 500), Holdouts { sequence: 300, workspace: 500 });
        let receipt = Sequence { class: MessageClass::Transactional, ..marketing };
        assert_eq!(Holdouts::of(&receipt, 500), Holdouts { sequence: 300, workspace: 0 });
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

    #[test]
    fn half_of_the_customers_check_and_half_of_every_arm() {
        let all = (0..20_000).map(|subject| chance("nudge", subject));
        let checkers: Vec<Chance<'_>> = all.filter(Chance::is_checker).collect();
        // Four standard deviations: of 10,000 ± 71, and of 2,000 ± 42.
        assert!(checkers.len().abs_diff(10_000) < 283, "{}", checkers.len());
        let held_out = checkers.iter().filter(|chance| chance.arm(2_000) == Arm::HeldOut).count();
        assert!(held_out.abs_diff(2_000) < 170, "{held_out}");
    }
}
