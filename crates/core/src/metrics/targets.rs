//! What response-time targets did: in each arm, who came to the stage, who stalled there, who went on.
//!
//! Everybody counts once, with the deepest of their attempts that came to the stage, in the arm that
//! chance gave them: whoever stalled or not is analysed as assigned.

use std::collections::HashMap;

use uuid::Uuid;

use super::fit::Fit;
use super::proportion::{Difference, difference};
use super::{Analysis, AttemptFact, Figure, Ratio, SilenceFact};
use crate::funnel::{Funnel, Stage, TargetExperiment};
use crate::time::Timestamp;

/// A stage in which targets are tried out.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The stage.
    pub stage: &'a Stage,
    /// What is tried out.
    pub experiment: &'a TargetExperiment,
    /// Place of the stage.
    place: usize,
    /// Place that everybody comes to who goes on.
    next: usize,
}

impl<'a> Trial<'a> {
    /// The one in the stage at a place, if there is one.
    pub fn at(funnel: &'a Funnel, place: usize) -> Option<Self> {
        let stage = funnel.stages.get(place)?;
        let experiment = stage.target_experiment.as_ref()?;
        Some(Self { stage, experiment, place, next: funnel.required_after(place) })
    }

    /// Whether an attempt came to the stage. What voids it later may hang on how long it waited
    /// there: it counts as it was drawn, with what it had entered by then.
    pub fn takes(&self, attempt: &mut AttemptFact) -> bool {
        attempt.voided_at = None;
        attempt.entered[self.place].is_some()
    }
}

/// Counts of an arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ArmCounts {
    /// Who came to the stage.
    pub entered: i64,
    /// Of these, whose silence in the stage began with the attempt or later and ran out the target.
    pub stalled: i64,
    /// Of those who came, who went on to the next stage that is not optional, or to the last one.
    pub progressed: i64,
}

impl ArmCounts {
    /// Who went on, of those who came.
    pub fn progress(&self) -> Ratio {
        Ratio { numerator: self.progressed, denominator: self.entered }
    }
}

/// What the targets of a stage did.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetFigures {
    /// One for each arm, in their order.
    pub arms: Vec<ArmCounts>,
    /// Whether the arms are as large as they should be.
    pub fit: Fit,
}

impl TargetFigures {
    /// Counts customers, and conversations whose customer nobody knows, at `as_of`.
    ///
    /// `analysis` counts each customer once ([`super::Unit::Customer`]), with attempts that the trial
    /// takes ([`Trial::takes`]); `silences` are those of the revision that were due by `as_of`.
    pub fn of(trial: Trial<'_>, analysis: &Analysis, silences: &[SilenceFact], as_of: Timestamp) -> Self {
        let stalls = Stalls::of(silences, trial.place, as_of);
        let mut arms = vec![ArmCounts::default(); trial.experiment.arms.len()];
        for (unit, attempt) in analysis.behind(Figure::Reached, trial.place) {
            let place = trial.experiment.place_of(&trial.stage.id, unit.subject);
            if let Some(counts) = place.and_then(|place| arms.get_mut(place)) {
                counts.entered += 1;
                counts.stalled += i64::from(stalls.are_of(attempt));
                counts.progressed += i64::from(attempt.depth() >= trial.next);
            }
        }
        let entered: Vec<i64> = arms.iter().map(|arm| arm.entered).collect();
        let weights: Vec<u32> = trial.experiment.arms.iter().map(|arm| arm.weight).collect();
        Self { fit: Fit::of(&entered, &weights), arms }
    }

    /// The share of an arm that went on less that of the first; nothing for the first itself, and
    /// nothing without both.
    pub fn difference(&self, place: usize) -> Option<Difference> {
        let others = self.arms.get(1..)?;
        difference(others.get(place.checked_sub(1)?)?.progress(), self.arms[0].progress())
    }
}

/// When the silences in a stage began that ran out their target, by subject.
struct Stalls(HashMap<Uuid, Vec<Timestamp>>);

impl Stalls {
    fn of(silences: &[SilenceFact], place: usize, as_of: Timestamp) -> Self {
        let mut began: HashMap<Uuid, Vec<Timestamp>> = HashMap::new();
        for silence in silences.iter().filter(|it| it.place == place && it.ran_out_by(as_of)) {
            began.entry(silence.subject).or_default().push(silence.since);
        }
        Self(began)
    }

    fn are_of(&self, attempt: &AttemptFact) -> bool {
        let began = self.0.get(&attempt.subject);
        began.is_some_and(|began| began.iter().any(|since| *since >= attempt.start.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::OrderKey;
    use crate::funnel::{OwedBy, SilenceRule, TargetArm, TimeBasis};
    use crate::metrics::{Period, Shape, Unit};
    use crate::time::SECOND;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::EARLIEST.plus(seconds * SECOND)
    }

    /// Asked, looked at (optional), answered; two targets for the first.
    fn funnel() -> Funnel {
        let stage = |id: &str| Stage { id: id.into(), ..Stage::default() };
        let arm = |id: &str, after| TargetArm { id: id.into(), after: after * SECOND, weight: 1 };
        let tried = Stage {
            stall: Some(SilenceRule { after: 60 * SECOND, basis: TimeBasis::Wall, owed_by: OwedBy::Agent }),
            target_experiment: Some(TargetExperiment {
                id: "faster".into(),
                arms: vec![arm("minute", 60), arm("half", 30)],
            }),
            ..stage("asked")
        };
        let seen = Stage { optional: true, ..stage("seen") };
        Funnel { stages: vec![tried, seen, stage("answered")], ..Funnel::default() }
    }

    fn trial(funnel: &Funnel) -> Trial<'_> {
        let mut places = 0..funnel.stages.len();
        places.find_map(|place| Trial::at(funnel, place)).expect("targets are tried out")
    }

    /// Keys of customers in an arm.
    fn customers(funnel: &Funnel, arm: usize) -> impl Iterator<Item = Uuid> {
        let trial = trial(funnel);
        let all = (1..).map(Uuid::from_u128);
        all.filter(move |key| trial.experiment.place_of(&trial.stage.id, *key) == Some(arm))
    }

    /// An attempt of a conversation of a customer, by the seconds at which it entered the stages.
    fn attempt(number: u128, customer: Uuid, entered: [Option<i64>; 3]) -> AttemptFact {
        let start = at(entered[0].expect("it began"));
        AttemptFact {
            subject: Uuid::from_u128(1 << 64 | number),
            customer: Some(customer),
            start: OrderKey { at: start, sequence: 0, id: format!("e{number}") },
            entered: entered.iter().map(|entered| entered.map(at)).collect(),
            voided_at: None,
            episode: 0,
            chained: true,
            values: Vec::new(),
        }
    }

    /// A silence of the conversation of an attempt, from one second to another.
    fn silence(number: u128, since: i64, due: i64, until: Option<i64>) -> SilenceFact {
        SilenceFact {
            subject: Uuid::from_u128(1 << 64 | number),
            place: 0,
            since: at(since),
            stall_at: Some(at(due)),
            abandon_at: None,
            until: until.map(at),
            ended_by: None,
        }
    }

    fn figures(
        funnel: &Funnel,
        mut attempts: Vec<AttemptFact>,
        silences: &[SilenceFact],
        as_of: i64,
    ) -> TargetFigures {
        let trial = trial(funnel);
        attempts.retain_mut(|attempt| trial.takes(attempt));
        let (period, none) = (Period::default(), HashMap::new());
        let analysis = Analysis::new(Shape::of(funnel), Unit::Customer, &period, at(as_of), attempts, &none);
        TargetFigures::of(trial, &analysis, silences, at(as_of))
    }

    #[test]
    fn everybody_counts_once_in_their_arm_with_the_deepest_attempt() {
        let funnel = funnel();
        let first: Vec<Uuid> = customers(&funnel, 0).take(3).collect();
        let second: Vec<Uuid> = customers(&funnel, 1).take(2).collect();
        let attempts = vec![
            attempt(1, first[0], [Some(0), None, Some(50)]),
            // A second conversation, which comes less far.
            attempt(2, first[0], [Some(10), None, None]),
            attempt(3, first[1], [Some(0), Some(20), None]),
            attempt(4, first[2], [Some(0), None, None]),
            attempt(5, second[0], [Some(0), Some(20), Some(40)]),
            attempt(6, second[1], [Some(0), None, None]),
        ];
        let silences = [
            silence(1, 0, 60, Some(50)),
            silence(3, 0, 60, Some(61)),
            silence(4, 0, 60, None),
            silence(6, 0, 30, None),
            // Of the attempt that does not count.
            silence(2, 10, 70, None),
        ];
        let found = figures(&funnel, attempts.clone(), &silences, 100);
        let counts = |entered, stalled, progressed| ArmCounts { entered, stalled, progressed };
        assert_eq!(found.arms, [counts(3, 2, 1), counts(2, 1, 1)]);
        assert_eq!(found.fit.counted, 5);
        // Before the first target was due, and before anybody went on.
        let early = figures(&funnel, attempts, &silences, 29);
        assert_eq!(early.arms, [counts(3, 0, 0), counts(2, 0, 0)]);
    }

    #[test]
    fn who_was_voided_came_and_went_as_far_as_they_had_by_then() {
        let funnel = funnel();
        let people: Vec<Uuid> = customers(&funnel, 1).take(3).collect();
        let voided = |number, customer, answered| AttemptFact {
            voided_at: Some(at(40)),
            ..attempt(number, customer, [Some(0), Some(10), answered])
        };
        let attempts = vec![
            voided(1, people[0], None),
            voided(2, people[1], Some(20)),
            attempt(3, people[2], [Some(0), None, Some(20)]),
        ];
        let found = figures(&funnel, attempts, &[silence(1, 0, 30, Some(40))], 100);
        assert_eq!(found.arms[1], ArmCounts { entered: 3, stalled: 1, progressed: 2 });
    }

    #[test]
    fn a_way_past_an_optional_stage_hides_none_that_led_into_it() {
        let mut funnel = funnel();
        let [asked, seen, _] = &mut funnel.stages[..] else { panic!("three stages") };
        (seen.stall, seen.target_experiment) = (asked.stall.take(), asked.target_experiment.take());
        let people: Vec<Uuid> = customers(&funnel, 0).take(2).collect();
        let attempts = vec![
            attempt(1, people[0], [Some(0), Some(10), None]),
            // Another conversation, which comes further without it.
            attempt(2, people[0], [Some(5), None, Some(20)]),
            attempt(3, people[1], [Some(0), None, Some(20)]),
        ];
        let found = figures(&funnel, attempts.clone(), &[], 100);
        assert_eq!(found.arms[0], ArmCounts { entered: 1, stalled: 0, progressed: 0 });
        // Before anybody came to it.
        assert_eq!(figures(&funnel, attempts, &[], 9).arms[0], ArmCounts::default());
    }

    #[test]
    fn a_silence_from_before_the_attempt_is_none_of_it() {
        let funnel = funnel();
        let customer = customers(&funnel, 1).next().expect("one of two");
        let attempts = vec![attempt(1, customer, [Some(100), None, None])];
        let stalled = |since: i64| {
            let silences = [silence(1, since, since + 30, None)];
            figures(&funnel, attempts.clone(), &silences, 500).arms[1].stalled
        };
        assert_eq!([99, 100].map(stalled), [0, 1]);
    }

    #[test]
    fn arms_are_compared_with_the_first() {
        let funnel = funnel();
        let mut attempts = Vec::new();
        for (arm, went_on) in [(0, 20), (1, 32)] {
            for (number, customer) in customers(&funnel, arm).take(40).enumerate() {
                let answered = (number < went_on).then_some(20);
                attempts.push(attempt((arm * 100 + number) as u128, customer, [Some(0), None, answered]));
            }
        }
        let found = figures(&funnel, attempts, &[], 100);
        assert_eq!(found.difference(0), None);
        assert_eq!(found.difference(2), None);
        let faster = found.difference(1).expect("both arms");
        assert!((faster.value - 0.3).abs() < 1e-12, "{faster:?}");
        assert!(faster.is_more());
        assert!(!found.fit.is_mismatch() && found.fit.p_value.is_some());
        assert_eq!(figures(&funnel, Vec::new(), &[], 100).difference(1), None);
    }
}
