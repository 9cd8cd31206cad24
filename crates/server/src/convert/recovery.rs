//! What a sequence was worth: the question and its answer.

use rekindle_core::metrics::proportion::wilson;
use rekindle_core::metrics::recovery::credit::Credit;
use rekindle_core::metrics::recovery::verdict::Verdict;
use rekindle_core::metrics::recovery::{Comparison, Counts, Recovery, SampleRatio};
use rekindle_core::time::DAY;
use rekindle_core::violation::Violations;
use rekindle_engine::metrics::{RecoveryAnswer, RecoveryQuestion};
use rekindle_proto::v1;

use super::proportion::{to_difference, to_interval, to_ratio};
use super::time;
use crate::name::Collection;

mod timing;

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
    let recovery = &answer.recovery;
    let arms = &recovery.arms;
    let variants = recovery.variants.iter();
    v1::QueryRecoveryResponse {
        sequence: Collection::Sequences.name(&question.sequence),
        period: Some(time::to_period(&question.period)),
        recovery_window: Some(time::to_duration(question.window)),
        as_of_time: Some(time::to_instant(answer.as_of)),
        mature: arms.treated.open + arms.held_out.open == 0,
        arms: Some(to_comparison(recovery, arms)),
        variants: variants
            .map(|((step, variant), arms)| v1::VariantComparison {
                step: step.clone(),
                variant: variant.clone(),
                arms: Some(to_comparison(recovery, arms)),
            })
            .collect(),
        sample_ratio: Some(to_sample_ratio(&recovery.sample_ratio)),
        credit: Some(to_credit(&answer.credit)),
        timing: Some(timing::to_timing(&answer.timing)),
    }
}

fn to_comparison(recovery: &Recovery, arms: &Comparison) -> v1::ArmComparison {
    v1::ArmComparison {
        treated: Some(to_counts(&arms.treated)),
        held_out: Some(to_counts(&arms.held_out)),
        uplift: arms.uplift().as_ref().map(to_difference),
        incremental_recoveries: arms.incremental(),
        unsubscribed: arms.unsubscribed().as_ref().map(to_difference),
        satisfied: arms.satisfied().as_ref().map(to_difference),
        verdict: to_verdict(recovery.verdict(arms)).into(),
    }
}

fn to_verdict(verdict: Verdict) -> v1::RecoveryVerdict {
    match verdict {
        Verdict::Untrusted => v1::RecoveryVerdict::Untrusted,
        Verdict::Incomparable => v1::RecoveryVerdict::Incomparable,
        Verdict::Worse => v1::RecoveryVerdict::Worse,
        Verdict::Harmful => v1::RecoveryVerdict::Harmful,
        Verdict::Better => v1::RecoveryVerdict::Better,
        Verdict::Undecided => v1::RecoveryVerdict::Undecided,
    }
}

fn to_credit(credit: &Credit) -> v1::RecoveryCredit {
    let steps = credit.steps.iter();
    v1::RecoveryCredit {
        steps: steps.map(|(step, count)| v1::StepCredit { step: step.clone(), credited: *count }).collect(),
        credited_elsewhere: credit.elsewhere,
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
        rated: counts.rated,
        satisfied: counts.satisfied,
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rekindle_core::Timestamp;
    use rekindle_core::metrics::recovery::timing::Timing;

    use super::*;

    /// Of 800 and 200, an uplift of a tenth, with 0.60 satisfied where 0.75 are.
    fn answer() -> RecoveryAnswer {
        let counts = |eligible, recovered, rated, satisfied| Counts {
            eligible,
            reached: eligible,
            recovered,
            rated,
            satisfied,
            ..Counts::default()
        };
        let arms = Comparison { treated: counts(800, 240, 300, 180), held_out: counts(200, 40, 100, 75) };
        let sample_ratio =
            SampleRatio { assigned: 1_000, held_out: 200, expected: 200.0, p_value: Some(1.0) };
        let way = ("toss".to_owned(), "a".to_owned());
        let unrated = Comparison { treated: counts(800, 240, 0, 0), held_out: counts(200, 40, 0, 0) };
        RecoveryAnswer {
            as_of: Timestamp::EARLIEST,
            recovery: Recovery { arms, variants: BTreeMap::from([(way, unrated)]), sample_ratio },
            credit: Credit {
                steps: BTreeMap::from([("ask".to_owned(), 7), ("tell".to_owned(), 2)]),
                elsewhere: 1,
            },
            timing: Timing::default(),
        }
    }

    #[test]
    fn a_broken_guard_rail_is_told_beside_the_figures_that_break_it() {
        let request = v1::QueryRecoveryRequest::default();
        let question = question(&request, "nudge".into(), &mut Violations::new());
        let told = to_answer(&question, &answer());
        let arms = told.arms.expect("both arms");
        let treated = arms.treated.expect("the treated");
        assert_eq!((treated.rated, treated.satisfied), (300, 180));
        assert!((arms.satisfied.expect("both are rated").value + 0.15).abs() < 1e-12);
        assert_eq!(arms.verdict(), v1::RecoveryVerdict::Harmful);
        let variant = told.variants[0].arms.expect("both arms");
        assert_eq!((variant.satisfied, variant.verdict()), (None, v1::RecoveryVerdict::Better));
    }

    #[test]
    fn every_step_is_told_what_it_is_credited_with() {
        let request = v1::QueryRecoveryRequest::default();
        let question = question(&request, "nudge".into(), &mut Violations::new());
        let credit = to_answer(&question, &answer()).credit.expect("a credit");
        let steps: Vec<_> = credit.steps.iter().map(|it| (it.step.as_str(), it.credited)).collect();
        assert_eq!((steps, credit.credited_elsewhere), (vec![("ask", 7), ("tell", 2)], 1));
    }
}
