//! Targets that are tried out: silences of different customers stall after different times.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{SilenceRule, Stage};
use crate::chance;

/// Key of the draws. It is no secret and need not be one: subjects' keys are minted by us, and
/// nobody outside chooses or learns them, so that nobody can choose an arm.
const KEY: &[u8; 32] = b"rekindle: response-time targets.";
/// Most arms of an experiment.
pub const MOST_ARMS: usize = 5;

/// One of the targets that are tried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetArm {
    /// Stable id, unique in the experiment.
    pub id: String,
    /// The target in microseconds, above 0; it takes the place of the stall rule's length.
    pub after: i64,
    /// Its share of the customers is this over the sum of all.
    pub weight: u32,
}

/// Gives the customers in a stage different targets by chance, each always the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetExperiment {
    /// What it is called; another id draws anew.
    pub id: String,
    /// The targets; the others are compared with the first.
    pub arms: Vec<TargetArm>,
}

impl TargetExperiment {
    /// Place of the arm in a stage of a customer, or of a conversation where nobody knows whose it
    /// is. `None` where no arm weighs anything, which no valid experiment has.
    pub fn place_of(&self, stage: &str, assigned: Uuid) -> Option<usize> {
        let weights = self.arms.iter().map(|arm| arm.weight);
        let all: u64 = weights.clone().map(u64::from).sum();
        let number = chance::number(KEY, &self.id, &format!("target/{stage}"), assigned);
        chance::way(number.checked_rem(all)?, all, weights)
    }
}

impl Stage {
    /// The stall rule of a customer, or of a conversation where nobody knows whose it is: with the
    /// target of its arm, where targets are tried out.
    pub fn stall_of(&self, assigned: Uuid) -> Option<SilenceRule> {
        let stall = self.stall?;
        let arm = self.target_experiment.as_ref().and_then(|experiment| {
            let place = experiment.place_of(&self.id, assigned)?;
            experiment.arms.get(place)
        });
        Some(arm.map_or(stall, |arm| SilenceRule { after: arm.after, ..stall }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::funnel::{OwedBy, TimeBasis};
    use crate::mark::MarkKind;
    use crate::time::{HOUR, MINUTE};

    const CUSTOMERS: u128 = 20_000;

    fn experiment(id: &str, weights: &[u32]) -> TargetExperiment {
        let arm = |(place, weight): (usize, &u32)| TargetArm {
            id: format!("arm-{place}"),
            after: (place as i64 + 1) * 10 * MINUTE,
            weight: *weight,
        };
        TargetExperiment { id: id.into(), arms: weights.iter().enumerate().map(arm).collect() }
    }

    fn places(experiment: &TargetExperiment, stage: &str) -> Vec<usize> {
        let keys = (0..CUSTOMERS).map(Uuid::from_u128);
        keys.map(|key| experiment.place_of(stage, key).expect("arms that weigh something")).collect()
    }

    fn count(places: &[usize], place: usize) -> usize {
        places.iter().filter(|it| **it == place).count()
    }

    #[test]
    fn arms_share_the_customers_by_weight() {
        let places = places(&experiment("faster", &[1, 2, 1]), "asked");
        // Four standard deviations: of 5,000 ± 61, and of 10,000 ± 71.
        assert!(count(&places, 0).abs_diff(5_000) < 245, "{}", count(&places, 0));
        assert!(count(&places, 1).abs_diff(10_000) < 283, "{}", count(&places, 1));
        assert!(count(&places, 2).abs_diff(5_000) < 245, "{}", count(&places, 2));
    }

    #[test]
    fn a_customer_keeps_the_arm_while_experiment_stage_and_weights_stay() {
        let before = experiment("faster", &[1, 1]);
        let mut after = before.clone();
        after.arms[1].after = 3 * HOUR;
        after.arms[1].id = "slower-still".into();
        assert_eq!(places(&before, "asked"), places(&after, "asked"));
    }

    #[test]
    fn another_experiment_and_another_stage_draw_anew() {
        let first = places(&experiment("faster", &[1, 1]), "asked");
        let others = [("slower", "asked"), ("faster", "answered")];
        for (id, stage) in others {
            let other = places(&experiment(id, &[1, 1]), stage);
            let both = first.iter().zip(&other).filter(|(one, other)| (**one, **other) == (1, 1)).count();
            // A quarter of 20,000, four standard deviations of 61: the two know nothing of each other.
            assert!(both.abs_diff(5_000) < 245, "{id} {stage}: {both}");
        }
    }

    #[test]
    fn the_target_of_the_arm_takes_the_place_of_the_rules_length_and_of_nothing_else() {
        let rule = SilenceRule { after: HOUR, basis: TimeBasis::Business, owed_by: OwedBy::Agent };
        let plain = Stage {
            id: "asked".into(),
            stall: Some(rule),
            abandon: Some(SilenceRule { after: 9 * HOUR, ..rule }),
            warn_at: Some(500),
            ..Stage::default()
        };
        let tried = Stage { target_experiment: Some(experiment("faster", &[1, 1])), ..plain.clone() };
        let mut seen = [false; 2];
        for key in 0..50 {
            let assigned = Uuid::from_u128(key);
            let arms = &tried.target_experiment.as_ref().expect("it was given").arms;
            let place = experiment("faster", &[1, 1]).place_of("asked", assigned).expect("an arm");
            let of_arm = SilenceRule { after: arms[place].after, ..rule };
            seen[place] = true;
            assert_eq!(tried.rule_of(MarkKind::Stalled, assigned), Some(of_arm));
            let warn = SilenceRule { after: of_arm.after / 2, ..rule };
            assert_eq!(tried.rule_of(MarkKind::Warned, assigned), Some(warn));
            assert_eq!(tried.rule_of(MarkKind::Abandoned, assigned), plain.abandon);
            for kind in [MarkKind::Warned, MarkKind::Stalled, MarkKind::Abandoned] {
                assert_eq!(plain.rule_of(kind, assigned), plain.rule(kind));
                assert_eq!(tried.rule(kind), plain.rule(kind));
            }
        }
        assert_eq!(seen, [true; 2]);
        let ruleless = Stage { stall: None, ..tried };
        assert_eq!(ruleless.rule_of(MarkKind::Stalled, Uuid::nil()), None);
    }
}
