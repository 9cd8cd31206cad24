//! What the response-time targets of a stage did: the question and its answer.

use rekindle_core::metrics::fit::Fit;
use rekindle_core::metrics::proportion::wilson;
use rekindle_core::violation::Violations;
use rekindle_engine::metrics::{TargetAnswer, TargetQuestion};
use rekindle_proto::v1;

use super::proportion::{to_difference, to_interval, to_ratio};
use super::{question, time};
use crate::name::Collection;

/// Reads a question about a funnel's stage.
pub fn question(
    request: &v1::QueryTargetExperimentRequest,
    funnel: String,
    v: &mut Violations,
) -> TargetQuestion {
    v.require(!request.stage.is_empty(), "stage", "is required");
    TargetQuestion {
        funnel,
        revision: question::revision(request.revision, v),
        stage: request.stage.clone(),
        period: request.period.as_ref().map(|period| time::period(period, "period", v)).unwrap_or_default(),
        as_of: request.as_of_time.as_ref().and_then(|at| time::instant(at, "asOfTime", v)),
    }
}

/// The answer as a message.
pub fn to_answer(answer: &TargetAnswer) -> v1::QueryTargetExperimentResponse {
    v1::QueryTargetExperimentResponse {
        funnel: Collection::Funnels.name(&answer.view.row.id),
        revision: answer.view.revision.head.revision,
        stage: answer.stage.clone(),
        experiment: answer.experiment.id.clone(),
        period: Some(time::to_period(&answer.period)),
        as_of_time: Some(time::to_instant(answer.as_of)),
        complete: answer.complete,
        mature: answer.mature_at.is_some_and(|at| at <= answer.as_of),
        mature_time: answer.mature_at.map(time::to_instant),
        arms: (0..answer.experiment.arms.len()).map(|place| to_arm(answer, place)).collect(),
        sample_ratio: Some(to_sample_ratio(&answer.figures.fit)),
    }
}

fn to_arm(answer: &TargetAnswer, place: usize) -> v1::TargetArmResult {
    let (arm, counts) = (&answer.experiment.arms[place], &answer.figures.arms[place]);
    v1::TargetArmResult {
        arm: arm.id.clone(),
        after: Some(time::to_duration(arm.after)),
        weight: arm.weight as i32,
        entered: counts.entered,
        stalled: counts.stalled,
        progressed: counts.progressed,
        progress_rate: Some(to_ratio(counts.progress())),
        progress_interval: wilson(counts.progress()).map(to_interval),
        difference: answer.figures.difference(place).as_ref().map(to_difference),
    }
}

fn to_sample_ratio(fit: &Fit) -> v1::TargetSampleRatio {
    v1::TargetSampleRatio {
        entered: fit.counted,
        chi_square: fit.chi_square,
        p_value: fit.p_value,
        mismatch: fit.is_mismatch(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_of_a_question_is_named() {
        let at = Some(time::to_instant(rekindle_core::Timestamp::EARLIEST));
        let request = v1::QueryTargetExperimentRequest {
            revision: -1,
            period: Some(v1::Period { start_time: at, end_time: at }),
            as_of_time: Some(pbjson_types::Timestamp { seconds: 0, nanos: -1 }),
            ..Default::default()
        };
        let mut v = Violations::new();
        question(&request, "support".into(), &mut v);
        let fields: Vec<String> = v.into_vec().into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["stage", "revision", "period.endTime", "asOfTime"]);
    }
}
