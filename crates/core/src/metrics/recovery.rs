//! What a sequence was worth: who came back, in each arm, and what would have come back anyway.
//!
//! Counts are of runs that began, one for each silence, analysed as assigned: who is held out
//! stays so whether or not a message would have gone. Runs whose silence a late event took back
//! are counted beside them, not among them.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::Ratio;
use super::proportion::{Difference, difference, two_sided};
use crate::fold::silence::EndedBy;
use crate::sequence::arm::{Arm, PARTS};
use crate::time::Timestamp;

pub mod credit;
pub mod timing;
pub mod verdict;

/// A CSAT answer of this score or a better one is satisfied: the upper two of five
/// (`semantics.md` M14).
pub const SATISFIED: f64 = 4.0;

/// A run as figures see it.
#[derive(Debug, Clone, PartialEq)]
pub struct RecoveryFact {
    /// Whose arm it was: the customer, or the conversation where nobody knows whose it is.
    pub assigned: Uuid,
    /// Treated or held out.
    pub arm: Arm,
    /// Parts of 10,000 that were held out when it was assigned.
    pub holdout: u16,
    /// Ways it took at splits: step and variant.
    pub ways: Vec<(String, String)>,
    /// Whether the run goes on.
    pub is_running: bool,
    /// When the silence came due.
    pub due_at: Timestamp,
    /// When its first message to the customer was delivered, or would have been.
    pub reached_at: Option<Timestamp>,
    /// When the silence ended, and what ended it.
    pub ended: Option<(Timestamp, EndedBy)>,
    /// Whether a late event took the silence back.
    pub is_void: bool,
    /// When the customer unsubscribed, if they did.
    pub unsubscribed_at: Option<Timestamp>,
    /// When the customer complained, if they did.
    pub complained_at: Option<Timestamp>,
    /// CSAT answers of its conversation, or of its customer, in the order of their events: when,
    /// and the score.
    pub answers: Vec<(Timestamp, f64)>,
}

impl RecoveryFact {
    /// When it was recovered, if it was by `as_of`: the customer came back, or the journey entered
    /// the next stage, after the first message and within the window.
    pub fn recovered_at(&self, window: i64, as_of: Timestamp) -> Option<Timestamp> {
        let (at, by) = self.ended?;
        let moved = matches!(by, EndedBy::CustomerReturned | EndedBy::Advanced);
        (!self.is_void && moved && self.is_in_time(at, window, as_of)).then_some(at)
    }

    /// Whether an instant lies after the first message, within the window, and is not to come.
    fn is_in_time(&self, at: Timestamp, window: i64, as_of: Timestamp) -> bool {
        self.reached_at.is_some_and(|from| at > from && at.since(from) <= window && at <= as_of)
    }
}

/// Counts of an arm, or of a variant in an arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Runs that began for silences that stand.
    pub eligible: i64,
    /// Those with a message that was delivered, or would have been.
    pub reached: i64,
    /// Those whose customers came back, whenever.
    pub returned: i64,
    /// Those recovered: the customer came back, or the journey entered the next stage, after the
    /// first message and within the window.
    pub recovered: i64,
    /// Those whose customers unsubscribed after the first message and within the window.
    pub unsubscribed: i64,
    /// Those whose customers complained, likewise.
    pub complained: i64,
    /// Runs whose silence a late event took back; not among the others.
    pub voided: i64,
    /// Runs that may still be recovered: their window is open.
    pub open: i64,
    /// Those with a CSAT answer after the first message and within the window.
    pub rated: i64,
    /// Those of them whose last such answer was satisfied.
    pub satisfied: i64,
}

impl Counts {
    /// Recovered of eligible (M16).
    pub fn rate(&self) -> Ratio {
        Ratio { numerator: self.recovered, denominator: self.eligible }
    }

    fn add(&mut self, fact: &RecoveryFact, window: i64, as_of: Timestamp) {
        if fact.is_void {
            self.voided += 1;
            return;
        }
        let within = |at: Timestamp| fact.is_in_time(at, window, as_of);
        let ended = fact.ended.filter(|(at, _)| *at <= as_of);
        let returned = matches!(ended, Some((_, EndedBy::CustomerReturned)));
        self.eligible += 1;
        self.reached += i64::from(fact.reached_at.is_some_and(|at| at <= as_of));
        self.returned += i64::from(returned);
        self.recovered += i64::from(fact.recovered_at(window, as_of).is_some());
        self.unsubscribed += i64::from(fact.unsubscribed_at.is_some_and(within));
        self.complained += i64::from(fact.complained_at.is_some_and(within));
        let answer = fact.answers.iter().rfind(|(at, _)| within(*at));
        self.rated += i64::from(answer.is_some());
        self.satisfied += i64::from(answer.is_some_and(|(_, score)| *score >= SATISFIED));
        let can_be = match fact.reached_at {
            Some(from) => as_of.since(from) <= window,
            None => fact.is_running,
        };
        self.open += i64::from(ended.is_none() && can_be);
    }
}

/// Treated and held out, side by side.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Comparison {
    /// Those written to.
    pub treated: Counts,
    /// Those held out.
    pub held_out: Counts,
}

impl Comparison {
    /// Recovery rate of the treated less that of those held out (M16); nothing without both.
    pub fn uplift(&self) -> Option<Difference> {
        difference(self.treated.rate(), self.held_out.rate())
    }

    /// Recoveries that would not have been without the sequence (M16): treated times uplift.
    pub fn incremental(&self) -> Option<f64> {
        Some(self.treated.eligible as f64 * self.uplift()?.value)
    }

    /// Share of the treated that unsubscribed less that of those held out: a guard rail.
    pub fn unsubscribed(&self) -> Option<Difference> {
        let share = |counts: &Counts| Ratio { numerator: counts.unsubscribed, denominator: counts.eligible };
        difference(share(&self.treated), share(&self.held_out))
    }

    /// Share of the rated that are satisfied, of the treated less that of those held out: a guard
    /// rail; nothing where nobody of an arm is rated.
    pub fn satisfied(&self) -> Option<Difference> {
        let share = |counts: &Counts| Ratio { numerator: counts.satisfied, denominator: counts.rated };
        difference(share(&self.treated), share(&self.held_out))
    }

    fn add(&mut self, fact: &RecoveryFact, window: i64, as_of: Timestamp) {
        let counts = match fact.arm {
            Arm::Treated => &mut self.treated,
            Arm::HeldOut => &mut self.held_out,
        };
        counts.add(fact, window, as_of);
    }
}

/// Whether as many are held out as should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SampleRatio {
    /// Customers that were assigned.
    pub assigned: i64,
    /// Those of them that are held out.
    pub held_out: i64,
    /// How many should be.
    pub expected: f64,
    /// Probability of a deviation at least as large, if the assignment is what it should be;
    /// absent where nobody is to be held out.
    pub p_value: Option<f64>,
}

/// A deviation less likely than this makes results not to be trusted.
pub const MISMATCH: f64 = 0.001;

impl SampleRatio {
    /// Whether results are not to be trusted.
    pub fn is_mismatch(&self) -> bool {
        self.p_value.is_some_and(|p| p < MISMATCH)
    }

    /// Counts every customer once: arms are sticky.
    fn of(facts: &[RecoveryFact]) -> Self {
        let mut seen = BTreeSet::new();
        let (mut held_out, mut expected, mut variance) = (0, 0.0, 0.0);
        for fact in facts.iter().filter(|fact| seen.insert(fact.assigned)) {
            let share = f64::from(fact.holdout) / f64::from(PARTS);
            held_out += i64::from(fact.arm == Arm::HeldOut);
            expected += share;
            variance += share * (1.0 - share);
        }
        let p_value = (variance > 0.0).then(|| two_sided((held_out as f64 - expected) / variance.sqrt()));
        Self { assigned: seen.len() as i64, held_out, expected, p_value }
    }
}

/// What a sequence was worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovery {
    /// Both arms.
    pub arms: Comparison,
    /// Both arms by variant: step and variant.
    pub variants: BTreeMap<(String, String), Comparison>,
    /// Whether the arms are as large as they should be.
    pub sample_ratio: SampleRatio,
}

impl Recovery {
    /// Counts facts as they stood at `as_of`, with a recovery window in microseconds.
    pub fn of(facts: &[RecoveryFact], window: i64, as_of: Timestamp) -> Self {
        let mut arms = Comparison::default();
        let mut variants: BTreeMap<(String, String), Comparison> = BTreeMap::new();
        for fact in facts {
            arms.add(fact, window, as_of);
            for way in &fact.ways {
                variants.entry(way.clone()).or_default().add(fact, window, as_of);
            }
        }
        Self { arms, variants, sample_ratio: SampleRatio::of(facts) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY;

    const NOW: Timestamp = Timestamp(100 * DAY);

    fn fact(number: u128, arm: Arm) -> RecoveryFact {
        RecoveryFact {
            assigned: Uuid::from_u128(number),
            arm,
            holdout: 2_000,
            ways: Vec::new(),
            is_running: false,
            due_at: Timestamp(9 * DAY),
            reached_at: Some(Timestamp(10 * DAY)),
            ended: None,
            is_void: false,
            unsubscribed_at: None,
            complained_at: None,
            answers: Vec::new(),
        }
    }

    fn counts(fact: &RecoveryFact) -> Counts {
        Recovery::of(std::slice::from_ref(fact), 7 * DAY, NOW).arms.treated
    }

    #[test]
    fn a_recovery_lies_after_the_first_message_and_within_the_window() {
        let ended = |days: i64, by| RecoveryFact {
            ended: Some((Timestamp(days * DAY), by)),
            ..fact(1, Arm::Treated)
        };
        let recovered = |days, by| counts(&ended(days, by)).recovered;
        assert_eq!([9, 10, 11, 17, 18].map(|day| recovered(day, EndedBy::CustomerReturned)), [0, 0, 1, 1, 0]);
        assert_eq!(recovered(11, EndedBy::Advanced), 1);
        // Somebody else revived it.
        assert_eq!(recovered(11, EndedBy::AgentActed), 0);
        assert_eq!(counts(&ended(18, EndedBy::CustomerReturned)).returned, 1);
        let unsent = RecoveryFact { reached_at: None, ..ended(11, EndedBy::CustomerReturned) };
        assert_eq!((counts(&unsent).recovered, counts(&unsent).returned, counts(&unsent).reached), (0, 1, 0));
    }

    #[test]
    fn the_last_answer_in_time_says_whether_a_customer_is_satisfied() {
        let answered = |answers: &[(i64, f64)]| {
            let answers = answers.iter().map(|(days, score)| (Timestamp(days * DAY), *score)).collect();
            let found = counts(&RecoveryFact { answers, ..fact(1, Arm::Treated) });
            (found.rated, found.satisfied)
        };
        assert_eq!(answered(&[]), (0, 0));
        // The first message went on day 10, and the window ends with day 17.
        assert_eq!([9, 10, 11, 17, 18].map(|day| answered(&[(day, 5.0)]).0), [0, 0, 1, 1, 0]);
        assert_eq!(
            [3.0, 3.9, 4.0, 5.0].map(|score| answered(&[(11, score)])),
            [(1, 0), (1, 0), (1, 1), (1, 1)]
        );
        assert_eq!(answered(&[(11, 5.0), (12, 1.0)]), (1, 0));
        assert_eq!(answered(&[(11, 1.0), (11, 5.0), (20, 1.0)]), (1, 1));
        let unsent = RecoveryFact {
            answers: vec![(Timestamp(11 * DAY), 5.0)],
            reached_at: None,
            ..fact(1, Arm::Treated)
        };
        assert_eq!(counts(&unsent).rated, 0);
    }

    #[test]
    fn what_a_late_event_took_back_is_counted_beside_the_others() {
        let void = RecoveryFact { is_void: true, ..fact(1, Arm::Treated) };
        assert_eq!(counts(&void), Counts { voided: 1, ..Counts::default() });
    }

    #[test]
    fn a_run_is_open_while_it_can_still_be_recovered() {
        assert_eq!(counts(&fact(1, Arm::Treated)).open, 0);
        let young = RecoveryFact { reached_at: Some(NOW.plus(-7 * DAY)), ..fact(1, Arm::Treated) };
        assert_eq!(counts(&young).open, 1);
        let unreached = RecoveryFact { reached_at: None, is_running: true, ..young };
        assert_eq!(counts(&unreached).open, 1);
        assert_eq!(counts(&RecoveryFact { is_running: false, ..unreached }).open, 0);
    }

    #[test]
    fn the_uplift_is_what_the_arms_differ_by() {
        let many = |arm, all: u128, back: u128, from: u128| -> Vec<RecoveryFact> {
            let one = |number: u128| {
                let ended = (number < back).then_some((Timestamp(11 * DAY), EndedBy::CustomerReturned));
                RecoveryFact { ended, ..fact(from + number, arm) }
            };
            (0..all).map(one).collect()
        };
        let mut facts = many(Arm::Treated, 800, 240, 0);
        facts.extend(many(Arm::HeldOut, 200, 40, 10_000));
        let found = Recovery::of(&facts, 7 * DAY, NOW);
        let uplift = found.arms.uplift().expect("both arms");
        assert!((uplift.value - 0.1).abs() < 1e-12 && uplift.interval.low > 0.02, "{uplift:?}");
        assert!((found.arms.incremental().expect("both arms") - 80.0).abs() < 1e-9);
        assert!(!found.sample_ratio.is_mismatch());
        // 320 of 1,000 where 200 should be.
        facts.extend(many(Arm::HeldOut, 120, 0, 20_000));
        assert!(Recovery::of(&facts, 7 * DAY, NOW).sample_ratio.is_mismatch());
    }

    #[test]
    fn a_customer_with_many_runs_was_assigned_once() {
        let facts: Vec<_> = (0..50).map(|_| fact(1, Arm::HeldOut)).collect();
        let ratio = Recovery::of(&facts, 7 * DAY, NOW).sample_ratio;
        assert_eq!((ratio.assigned, ratio.held_out), (1, 1));
        assert!((ratio.expected - 0.2).abs() < 1e-12);
    }
}
