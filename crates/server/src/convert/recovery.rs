//! What a sequence was worth: the question and its answer.

use rekindle_core::metrics::proportion::{Difference, Interval, wilson};
use rekindle_core::metrics::recovery::{Comparison, Counts, SampleRatio};
use rekindle_core::time::DAY;
use rekindle_core::violation::Violations;
use rekindle_engine::metrics::{RecoveryAnswer, RecoveryQuestion};
use rekindle_proto::v1;

use super::metrics::to_ratio;
use super::time;
use crate::name::Collection;

/// How long a run can be recovered where nothing is said, in microseconds.
const USUAL_WINDOW: i64 = 7 * DAY;
/// The longest of such windows, in microseconds.
const LONGEST_WINDOW: i64 = 90 * DAY;

/// Reads a question about a sequence.
pub fn question(
    request: &v1::QueryRecoveryRequest,
    sequence: String,
    v: &mut Violations,
) -> RecoveryQuestion {
    let window = request.recovery_window.as_ref();
    let window = window.map_or(Some(USUAL_WINDOW), |span| time::duration(span, "recoveryWindow", v));
    let fits = window.is_none_or(|window| (1..=LONGEST_WINDOW).contains(&window));
    v.require(fits, "recoveryWindow", "takes a duration above 0 and of at most 90 days");
    RecoveryQuestion {
        sequence,
        period: request.period.as_ref().map(|period| time::period(period, "period", v)).unwrap_or_default(),
        window: window.unwrap_or(USUAL_WINDOW),
        as_of: request.as_of_time.as_ref().and_then(|at| time::instant(at, "asOfTime", v)),
    }
}

/// The answer as a message.
pub fn to_answer(question: &RecoveryQuestion, answer: &RecoveryAnswer) -> v1::QueryRecoveryResponse {
    let arms = &answer.recovery.arms;
    let variants = answer.recovery.variants.iter();
    v1::QueryRecoveryResponse {
        sequence: Collection::Sequences.name(&question.sequence),
        period: Some(time::to_period(&question.period)),
        recovery_window: Some(time::to_duration(question.window)),
        as_of_time: Some(time::to_instant(answer.as_of)),
        mature: arms.treated.open + arms.held_out.open == 0,
        arms: Some(to_comparison(arms)),
        variants: variants
            .map(|((step, variant), arms)| v1::VariantComparison {
                step: step.clone(),
                variant: variant.clone(),
                arms: Some(to_comparison(arms)),
            })
            .collect(),
        sample_ratio: Some(to_sample_ratio(&answer.recovery.sample_ratio)),
    }
}

fn to_comparison(arms: &Comparison) -> v1::ArmComparison {
    v1::ArmComparison {
        treated: Some(to_counts(&arms.treated)),
        held_out: Some(to_counts(&arms.held_out)),
        uplift: arms.uplift().as_ref().map(to_difference),
        incremental_recoveries: arms.incremental(),
        unsubscribed: arms.unsubscribed().as_ref().map(to_difference),
    }
}

fn to_counts(counts: &Counts) -> v1::RecoveryCounts {
    v1::RecoveryCounts {
        eligible: counts.eligible,
        reached: counts.reached,
        returned: counts.returned,
        recovered: counts.recovered,
        unsubscribed: counts.unsubscribed,
        complained: counts.complained,
        voided: counts.voided,
        open: counts.open,
        recovery_rate: Some(to_ratio(counts.rate())),
        recovery_interval: wilson(counts.rate()).map(to_interval),
    }
}

fn to_interval(interval: Interval) -> v1::Interval {
    v1::Interval { low: interval.low, high: interval.high }
}

fn to_difference(difference: &Difference) -> v1::ShareDifference {
    v1::ShareDifference {
        value: difference.value,
        interval: Some(to_interval(difference.interval)),
        p_value: difference.p_value,
    }
}

fn to_sample_ratio(ratio: &SampleRatio) -> v1::SampleRatioTest {
    v1::SampleRatioTest {
        assigned: ratio.assigned,
        held_out: ratio.held_out,
        expected_held_out: ratio.expected,
        p_value: ratio.p_value,
        mismatch: ratio.is_mismatch(),
    }
}
