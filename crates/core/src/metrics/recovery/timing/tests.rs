use super::*;
use crate::fold::silence::EndedBy;

const DUE: Timestamp = Timestamp(500 * DAY);
const NOW: Timestamp = Timestamp(1_000 * DAY);
const LEARNER: Uuid = Uuid::from_u128(1);
const CHECKER: Uuid = Uuid::from_u128(2);
/// Two buckets of the delay: the second and the seventh.
const SOON: i64 = 30 * MINUTE;
const LATE: i64 = 20 * HOUR;

/// Reached so long after it came due; back an hour later, or not at all.
fn fact(assigned: Uuid, arm: Arm, delay: i64, is_back: bool) -> RecoveryFact {
    let at = DUE.plus(delay);
    RecoveryFact {
        assigned,
        arm,
        holdout: 2_000,
        ways: Vec::new(),
        is_running: false,
        due_at: DUE,
        reached_at: Some(at),
        ended: is_back.then_some((at.plus(HOUR), EndedBy::CustomerReturned)),
        is_void: false,
        unsubscribed_at: None,
        complained_at: None,
        answers: Vec::new(),
    }
}

/// So many of the treated, of whom so many come back.
fn many(assigned: Uuid, delay: i64, all: usize, back: usize) -> Vec<RecoveryFact> {
    (0..all).map(|number| fact(assigned, Arm::Treated, delay, number < back)).collect()
}

fn timing_at(facts: &[RecoveryFact], as_of: Timestamp, zone: &TimeZone) -> Timing {
    Timing::of(facts, 7 * DAY, as_of, |assigned| Who { zone, checks: assigned == CHECKER })
}

fn timing(facts: &[RecoveryFact]) -> Timing {
    timing_at(facts, NOW, &TimeZone::UTC)
}

fn of(numerator: i64, denominator: i64) -> Ratio {
    Ratio { numerator, denominator }
}

/// Buckets with runs, by number.
fn filled(slots: &[Slot]) -> Vec<(usize, Slot)> {
    let all = slots.iter().copied().enumerate();
    all.filter(|(_, slot)| slot.treated.denominator + slot.held_out.denominator > 0).collect()
}

#[test]
fn a_delay_belongs_to_the_bucket_that_it_begins() {
    let delays = [-1, 0, 15 * MINUTE - 1, 15 * MINUTE, HOUR - 1, HOUR, 7 * DAY - 1, 7 * DAY, 400 * DAY];
    assert_eq!(delays.map(bucket_of), [0, 0, 0, 1, 1, 2, 9, 10, 10]);
    // Each begins where the one before it ends, and holds its first delay and its last.
    let mut end = Some(0);
    for bucket in 0..DELAYS {
        let (start, until) = delays_of(bucket);
        assert_eq!((Some(start), bucket_of(start)), (end, bucket));
        assert!(until.is_none_or(|until| bucket_of(until - 1) == bucket && bucket_of(until) == bucket + 1));
        end = until;
    }
    assert_eq!(end, None);
}

#[test]
fn an_hour_is_that_of_the_customers_clock() {
    let hour = |at: &str, zone: &str| {
        let zone = TimeZone::get(zone).expect("a known zone");
        hour_of(Timestamp::parse(at).expect("an instant"), &zone)
    };
    let late = "2026-03-01T23:30:00Z";
    assert_eq!(hour(late, "UTC"), Some(23));
    assert_eq!(hour(late, "Europe/Berlin"), Some(0));
    assert_eq!(hour(late, "Asia/Kolkata"), Some(5));
    assert_eq!(hour(late, "America/St_Johns"), Some(20));
    // The hour that a zone repeats is one bucket.
    let twice = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"];
    assert_eq!(twice.map(|at| hour(at, "Europe/Berlin")), [Some(2), Some(2)]);
}

#[test]
fn runs_are_counted_by_delay_and_hour_in_their_arm() {
    let mut facts = many(LEARNER, SOON, 3, 1);
    facts.push(fact(CHECKER, Arm::Treated, SOON, true));
    facts.push(fact(LEARNER, Arm::HeldOut, SOON, true));
    facts.push(fact(LEARNER, Arm::HeldOut, LATE, false));
    let found = timing(&facts);
    let soon = Slot { treated: of(2, 4), held_out: of(1, 1) };
    let late = Slot { treated: of(0, 0), held_out: of(0, 1) };
    assert_eq!((found.by_delay.len(), filled(&found.by_delay)), (DELAYS, vec![(1, soon), (6, late)]));
    assert_eq!((found.by_hour.len(), filled(&found.by_hour)), (HOURS, vec![(0, soon), (20, late)]));
    assert!((soon.uplift().expect("both arms").value + 0.5).abs() < 1e-12);
    assert_eq!(late.uplift(), None);
}

#[test]
fn a_run_is_counted_when_its_window_is_over() {
    let back = fact(LEARNER, Arm::Treated, SOON, true);
    let end = DUE.plus(SOON + 7 * DAY);
    let counted = |fact: &RecoveryFact, as_of: Timestamp| {
        filled(&timing_at(std::slice::from_ref(fact), as_of, &TimeZone::UTC).by_delay).len()
    };
    // It came back long before; who has not yet is not known to be gone.
    assert_eq!([counted(&back, end), counted(&back, end.plus(1))], [0, 1]);
    assert_eq!(counted(&RecoveryFact { is_void: true, ..back.clone() }, NOW), 0);
    assert_eq!(counted(&RecoveryFact { reached_at: None, ..back }, NOW), 0);
}

/// By Wilson 40 of 60 are 0.541 to 0.773, and 10 of 60 are 0.093 to 0.280.
#[test]
fn what_is_better_beyond_doubt_is_recommended_and_checked_by_the_other_half() {
    let mut facts = many(LEARNER, SOON, 60, 40);
    facts.extend(many(LEARNER, LATE, 60, 10));
    let unchecked = timing(&facts).recommended_delay.expect("a difference");
    assert!(!unchecked.holds(), "nobody could check it");
    facts.extend(many(CHECKER, SOON, 20, 12));
    facts.extend(many(CHECKER, LATE, 20, 4));
    facts.extend(many(CHECKER, 3 * HOUR, 5, 2));
    // Those held out recommend nothing.
    facts.extend((0..100).map(|_| fact(LEARNER, Arm::HeldOut, 3 * HOUR, true)));
    let found = timing(&facts);
    let mut expected = Recommendation {
        bucket: 1,
        chosen: of(40, 60),
        worst: of(10, 60),
        checked: of(12, 20),
        others: of(6, 25),
    };
    assert_eq!(found.recommended_delay, Some(expected));
    assert!(expected.holds());
    // Half past midnight and eight in the evening; at three, five of the other half.
    let hour = found.recommended_hour.expect("a difference");
    assert_eq!((hour.bucket, hour.others), (0, of(6, 25)));
    // Nearly as many of the others come back, and then as many.
    facts.extend(many(CHECKER, LATE, 20, 18));
    expected.others = of(24, 45);
    assert_eq!(timing(&facts).recommended_delay, Some(expected));
    assert!(expected.holds());
    facts.extend(many(CHECKER, LATE, 15, 12));
    let equal = timing(&facts).recommended_delay.expect("the same half learns");
    assert_eq!((equal.others, equal.holds()), (of(36, 60), false));
}

#[test]
fn the_lower_end_decides_so_that_few_are_not_taken_for_better() {
    // 30 of 30 are 0.886 to 1, and 285 of 300 are 0.919 to 0.969.
    let mut facts = many(LEARNER, SOON, 30, 30);
    facts.extend(many(LEARNER, HOUR, 300, 285));
    facts.extend(many(LEARNER, LATE, 30, 3));
    let found = timing(&facts).recommended_delay.expect("a difference");
    assert_eq!((found.bucket, found.chosen, found.worst), (2, of(285, 300), of(3, 30)));
}

#[test]
fn what_cannot_be_told_apart_is_not_recommended() {
    let told = |buckets: &[(Uuid, i64, usize, usize)]| {
        let facts = buckets.iter().flat_map(|(who, delay, all, back)| many(*who, *delay, *all, *back));
        timing(&facts.collect::<Vec<_>>()).recommended_delay.map(|found| found.bucket)
    };
    assert_eq!(told(&[]), None);
    assert_eq!(told(&[(LEARNER, SOON, 500, 400)]), None);
    // 20 of 60 are 0.227 to 0.459, and 30 of 60 are 0.377 to 0.623.
    assert_eq!(told(&[(LEARNER, SOON, 60, 30), (LEARNER, LATE, 60, 20)]), None);
    assert_eq!(told(&[(LEARNER, SOON, 30, 25), (LEARNER, LATE, 30, 2)]), Some(1));
    assert_eq!(told(&[(LEARNER, SOON, 29, 25), (LEARNER, LATE, 30, 2)]), None);
    assert_eq!(told(&[(LEARNER, SOON, 30, 25), (LEARNER, LATE, 29, 2)]), None);
    // The half that checks has no say.
    assert_eq!(told(&[(CHECKER, SOON, 60, 50), (CHECKER, LATE, 60, 2)]), None);
}
