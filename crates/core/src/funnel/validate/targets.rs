//! What makes an experiment on a stage's target valid.

use super::{LONGEST, USER_ID, check_ways, is_user_id, may_be_compared};
use crate::funnel::target::{MOST_ARMS, TargetExperiment};
use crate::funnel::{Funnel, Stage, StageOrder};
use crate::violation::Violations;

/// Checks the experiment of the stage at `place`.
pub(super) fn check(
    funnel: &Funnel,
    stage: &Stage,
    place: usize,
    experiment: &TargetExperiment,
    v: &mut Violations,
) {
    v.require(is_user_id(&experiment.id), "id", USER_ID);
    v.require(stage.stall.is_some(), "", "tries out targets of a stall: the stage has no stall rule");
    v.require(place + 1 < funnel.stages.len(), "", "the last stage has no silences");
    v.require(
        funnel.order != StageOrder::Any,
        "",
        "has no meaning when stages come in any order: none comes next",
    );
    let arms = experiment.arms.iter();
    check_ways("arms", arms.map(|arm| (arm.id.as_str(), arm.weight)), MOST_ARMS, v);
    // One that is wrong itself is named where it stands.
    let abandon = stage.abandon.filter(|abandon| abandon.after > 0);
    let abandon = stage.stall.zip(abandon).filter(|(stall, abandon)| may_be_compared(stall, abandon));
    for (place, arm) in experiment.arms.iter().enumerate().take(MOST_ARMS) {
        let field = format!("arms[{place}].after");
        let fits = (1..=LONGEST).contains(&arm.after);
        v.require(fits, &field, "takes a duration above 0 and of at most five years");
        let is_seen = abandon.is_none_or(|(_, abandon)| arm.after < abandon.after);
        v.require(!fits || is_seen, &field, "must be shorter than abandon.after");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::funnel::target::TargetArm;
    use crate::funnel::{Match, OwedBy, SilenceRule, TimeBasis};
    use crate::time::{HOUR, MINUTE};

    fn arm(id: &str, after: i64, weight: u32) -> TargetArm {
        TargetArm { id: id.into(), after, weight }
    }

    fn rule(after: i64, owed_by: OwedBy) -> SilenceRule {
        SilenceRule { after, basis: TimeBasis::Wall, owed_by }
    }

    /// Three stages, the first of which tries out two targets.
    fn funnel() -> Funnel {
        let stage = |id: &str| Stage {
            id: id.into(),
            enter: vec![Match { event_types: [id.to_owned()].into(), rule: String::new() }],
            ..Stage::default()
        };
        let arms = vec![arm("hour", HOUR, 1), arm("half", 30 * MINUTE, 1)];
        let tried = Stage {
            stall: Some(rule(HOUR, OwedBy::Agent)),
            abandon: Some(rule(2 * HOUR, OwedBy::Agent)),
            target_experiment: Some(TargetExperiment { id: "faster".into(), arms }),
            ..stage("asked")
        };
        Funnel { stages: vec![tried, stage("answered"), stage("solved")], ..Funnel::default() }
    }

    fn experiment(funnel: &mut Funnel) -> &mut TargetExperiment {
        funnel.stages[0].target_experiment.as_mut().expect("it was given")
    }

    fn wrong(funnel: &Funnel) -> Vec<String> {
        let mut v = Violations::new();
        super::super::validate(funnel, &mut v);
        v.into_vec().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn an_experiment_needs_a_stall_rule_and_a_stage_that_comes_next() {
        assert_eq!(wrong(&funnel()), Vec::<String>::new());
        let mut without = funnel();
        (without.stages[0].stall, without.stages[0].abandon) = (None, None);
        assert_eq!(wrong(&without), ["stages[0].targetExperiment"]);
        let mut last = funnel();
        last.stages.swap(0, 2);
        assert_eq!(wrong(&last), ["stages[2].targetExperiment"]);
        let any = Funnel { order: StageOrder::Any, ..funnel() };
        assert_eq!(wrong(&any), ["stages[0].targetExperiment"]);
    }

    #[test]
    fn every_wrong_field_of_an_experiment_is_named() {
        let mut bad = funnel();
        experiment(&mut bad).id = "Faster".into();
        experiment(&mut bad).arms =
            vec![arm("hour", 0, 1), arm("hour", 2 * HOUR, 0), arm("-", LONGEST + 1, 10_001)];
        let mut found = wrong(&bad);
        found.sort();
        let expected = [
            "stages[0].targetExperiment.arms[0].after",
            "stages[0].targetExperiment.arms[1].after",
            "stages[0].targetExperiment.arms[1].id",
            "stages[0].targetExperiment.arms[1].weight",
            "stages[0].targetExperiment.arms[2].after",
            "stages[0].targetExperiment.arms[2].id",
            "stages[0].targetExperiment.arms[2].weight",
            "stages[0].targetExperiment.id",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn there_are_two_to_five_arms() {
        for (count, fits) in [(0, false), (1, false), (2, true), (5, true), (6, false)] {
            let mut counted = funnel();
            experiment(&mut counted).arms =
                (0..count).map(|number| arm(&format!("arm-{number}"), MINUTE, 1)).collect();
            assert_eq!(wrong(&counted).is_empty(), fits, "{count}");
        }
    }

    #[test]
    fn a_target_that_awaits_another_party_than_the_abandonment_may_be_longer() {
        let mut other = funnel();
        experiment(&mut other).arms[1].after = 3 * HOUR;
        assert_eq!(wrong(&other), ["stages[0].targetExperiment.arms[1].after"]);
        other.stages[0].abandon = Some(rule(2 * HOUR, OwedBy::Customer));
        assert_eq!(wrong(&other), Vec::<String>::new());
    }
}
