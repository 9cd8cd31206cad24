//! What a sequence was worth, by the ledger and the silences.

use rekindle_core::event::Author;
use rekindle_core::metrics::Period;
use rekindle_core::metrics::recovery::Counts;
use rekindle_core::metrics::recovery::verdict::Verdict;
use rekindle_core::sequence::arm::Arm;
use rekindle_core::sequence::{Action, Sequence, Split, Variant};
use rekindle_core::time::{DAY, HOUR};
use rekindle_engine::metrics::{RecoveryAnswer, RecoveryQuestion};
use rekindle_engine::suppressions::NewSuppression;
use rekindle_engine::{Creation, EngineError};
use rekindle_ports::resources::{SuppressionKind, SuppressionReason};
use rekindle_testkit::build::{EventExt, FunnelExt, at, event};
use rekindle_testkit::databases;

use crate::house::{House, call, sequence, step, support, wait};

const CUSTOMERS: u32 = 40;

/// A customer asks at 0, is answered, and says nothing more.
async fn quiet(house: &House, number: u32) {
    for (id, kind) in [("a", "customer_message"), ("b", "agent_message")] {
        let word = event(&format!("{id}{number}"), kind, 0).of(&format!("q{number}"));
        house.hear(word.from_customer(&format!("who{number}"))).await;
    }
}

/// Everybody goes quiet and is called, or would be; who is treated and who is held out.
async fn all_quiet(house: &House) -> [Vec<u32>; 2] {
    for number in 0..CUSTOMERS {
        quiet(house, number).await;
    }
    house.go(600).await;
    let mut arms = [Vec::new(), Vec::new()];
    for view in house.runs().await {
        let name = view.conversation.expect("a conversation");
        let number = name.trim_start_matches('q').parse().expect("a number");
        arms[usize::from(view.run.arm == Arm::HeldOut)].push(number);
    }
    for arm in &mut arms {
        arm.sort_unstable();
    }
    arms
}

async fn say(house: &House, number: u32, kind: &str, seconds: i64) {
    let word = event(&format!("{kind}{number}-{seconds}"), kind, seconds).of(&format!("q{number}"));
    house.hear(word.from_customer(&format!("who{number}"))).await;
}

/// An answer to how satisfied the customer is.
async fn rate(house: &House, number: u32, score: f64, seconds: i64) {
    let answer = event(&format!("csat{number}-{seconds}"), "csat_answer", seconds).of(&format!("q{number}"));
    house.hear(answer.from_customer(&format!("who{number}")).with("score", score)).await;
}

fn split() -> Sequence {
    let variant = |id: &str| Variant { id: id.into(), weight: 1, steps: vec![call(id)] };
    let split = Split { variants: vec![variant("a"), variant("b")] };
    Sequence { holdout: 5_000, ..sequence(vec![step("toss", Action::Split(split))]) }
}

#[tokio::test]
async fn arms_are_compared_by_who_came_back_in_time() {
    for database in databases().await {
        let house = House::with(&database, split()).await;
        let [treated, held_out] = all_quiet(&house).await;
        assert!(treated.len() >= 10 && held_out.len() >= 10, "{} {}", treated.len(), held_out.len());
        // Six of the treated come back within a week, one after it; of one our side spoke first.
        for number in &treated[..6] {
            say(&house, *number, "customer_message", 7_200).await;
        }
        say(&house, treated[6], "customer_message", 9 * 86_400).await;
        say(&house, treated[7], "agent_message", 10_000).await;
        say(&house, treated[7], "customer_message", 11_000).await;
        // Two of those held out come back by themselves.
        for number in &held_out[..2] {
            say(&house, *number, "customer_message", 9_000).await;
        }
        house.go(20 * 86_400).await;
        let answer = house.recovery("nudge", None).await;
        let arms = &answer.recovery.arms;
        let (all, out) = (treated.len() as i64, held_out.len() as i64);
        let expected = Counts { eligible: all, reached: all, returned: 7, recovered: 6, ..Counts::default() };
        assert_eq!(arms.treated, expected, "{}", database.name);
        let expected = Counts { eligible: out, reached: out, returned: 2, recovered: 2, ..Counts::default() };
        assert_eq!(arms.held_out, expected);
        let uplift = arms.uplift().expect("both arms");
        assert!((uplift.value - (6.0 / all as f64 - 2.0 / out as f64)).abs() < 1e-12);
        let sample = &answer.recovery.sample_ratio;
        assert_eq!((sample.assigned, sample.held_out), (i64::from(CUSTOMERS), out));
        assert!(!sample.is_mismatch());
        // Every run took one way, those held out too.
        let ways: Vec<_> = answer.recovery.variants.iter().collect();
        assert_eq!(ways.iter().map(|(way, _)| way.1.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let sum = |of: fn(&Counts) -> i64| ways.iter().map(|(_, arms)| of(&arms.treated)).sum::<i64>();
        assert_eq!((sum(|it| it.eligible), sum(|it| it.recovered)), (all, 6));
        // As it stood before anybody came back.
        let early = house.recovery("nudge", Some(7_000)).await.recovery.arms;
        assert_eq!((early.treated.recovered, early.treated.open, early.treated.eligible), (0, all, all));
    }
}

#[tokio::test]
async fn who_unsubscribes_and_whose_silence_was_none_are_counted_apart() {
    for database in databases().await {
        let house = House::with(&database, split()).await;
        let [treated, _] = all_quiet(&house).await;
        house.clock.set(at(5_000));
        let suppression = NewSuppression {
            kind: SuppressionKind::Customer,
            value: format!("who{}", treated[0]),
            reason: SuppressionReason::Unsubscribed,
            note: String::new(),
        };
        house.engine.add_suppression(house.scope, suppression).await.expect("a good entry");
        // It was said in time, and came late.
        let late =
            event("late", "customer_message", 300).of(&format!("q{}", treated[1])).by(Author::Customer);
        house.clock.set(at(6_000));
        house.engine.ingest(house.scope, vec![late]).await.expect("it can be stored");
        house.go(20 * 86_400).await;
        let found = house.recovery("nudge", None).await.recovery.arms.treated;
        assert_eq!((found.unsubscribed, found.voided), (1, 1), "{}", database.name);
        assert_eq!(found.eligible, treated.len() as i64 - 1);
    }
}

#[tokio::test]
async fn a_sequence_that_brings_back_unsatisfied_customers_is_no_winner() {
    for database in databases().await {
        let house = House::with(&database, split()).await;
        let [treated, held_out] = all_quiet(&house).await;
        // All of the treated come back, and nobody else.
        for number in &treated {
            say(&house, *number, "customer_message", 7_200).await;
        }
        let better = house.recovery("nudge", None).await.recovery;
        assert_eq!(better.verdict(&better.arms), Verdict::Better, "{}", database.name);
        // The last word counts, and the week after the message at 600 alone.
        for (score, seconds) in [(5.0, 8_000), (3.0, 9_000)] {
            for number in &treated {
                rate(&house, *number, score, seconds).await;
            }
        }
        for number in &held_out {
            rate(&house, *number, 4.0, 9_000).await;
        }
        let end = 600 + 7 * 86_400;
        rate(&house, treated[0], 5.0, end).await;
        rate(&house, treated[1], 5.0, end + 1).await;
        house.go(20 * 86_400).await;
        let answer = house.recovery("nudge", None).await.recovery;
        let counted = |counts: &Counts| (counts.rated, counts.satisfied);
        assert_eq!(counted(&answer.arms.treated), (treated.len() as i64, 1), "{}", database.name);
        let out = held_out.len() as i64;
        assert_eq!(counted(&answer.arms.held_out), (out, out));
        assert!(answer.arms.uplift().expect("both arms").is_more());
        assert_eq!(answer.verdict(&answer.arms), Verdict::Harmful);
        // Before anybody said so.
        let early = house.recovery("nudge", Some(7_500)).await.recovery;
        assert_eq!(counted(&early.arms.treated), (0, 0));
        assert_eq!(early.verdict(&early.arms), Verdict::Better);
    }
}

#[tokio::test]
async fn a_customer_whom_the_funnel_follows_answers_in_any_conversation_and_in_none() {
    for database in databases().await {
        let house = House::bare(&database);
        house.furnish().await;
        let engine = &house.engine;
        let made =
            engine.create_funnel(house.scope, "people", support().of_customers(), Creation::default()).await;
        made.expect("a good funnel");
        while engine.fill_step(house.scope).await.expect("the fill goes on") {}
        let mut nudge = sequence(vec![call("call")]);
        nudge.trigger.funnel = "people".into();
        let made = engine.create_sequence(house.scope, "nudge", nudge, Creation::default()).await;
        made.expect("a good sequence");
        engine.start_sequence(house.scope, "nudge", None).await.expect("nothing stands in the way");
        for number in 0..3 {
            quiet(&house, number).await;
        }
        house.go(600).await;
        let elsewhere = event("in-another", "csat_answer", 1_000).of("other").from_customer("who0");
        house.hear(elsewhere.with("score", 5.0)).await;
        house.hear(event("in-none", "csat_answer", 1_000).only("who1").with("score", 2.0)).await;
        let treated = house.recovery("nudge", None).await.recovery.arms.treated;
        let expected =
            Counts { eligible: 3, reached: 3, open: 3, rated: 2, satisfied: 1, ..Counts::default() };
        assert_eq!(treated, expected, "{}", database.name);
    }
}

#[tokio::test]
async fn the_last_message_before_a_return_is_credited_whatever_sequence_sent_it() {
    for database in databases().await {
        let steps = vec![call("first"), wait("rest", HOUR), call("second")];
        let house = House::with(&database, sequence(steps)).await;
        let other = sequence(vec![wait("rest", 2 * HOUR), call("theirs")]);
        let made = house.engine.create_sequence(house.scope, "other", other, Creation::default()).await;
        made.expect("a good sequence");
        house.engine.start_sequence(house.scope, "other", None).await.expect("nothing stands in the way");
        for number in 0..4 {
            quiet(&house, number).await;
        }
        // The first goes at 600, the second an hour later, theirs two hours later.
        house.go(600).await;
        say(&house, 0, "customer_message", 700).await;
        house.go(4_200).await;
        say(&house, 1, "customer_message", 5_000).await;
        house.go(7_800).await;
        say(&house, 2, "customer_message", 8_000).await;
        // Too late to be a recovery, so that nothing is credited for it.
        say(&house, 3, "customer_message", 10 * 86_400).await;
        house.go(20 * 86_400).await;
        let credited = |answer: RecoveryAnswer| {
            let steps: Vec<_> = answer.credit.steps.into_iter().collect();
            (answer.recovery.arms.treated.recovered, steps, answer.credit.elsewhere)
        };
        let found = credited(house.recovery("nudge", None).await);
        assert_eq!(found, (3, vec![("first".into(), 1), ("second".into(), 1)], 1), "{}", database.name);
        let found = credited(house.recovery("other", None).await);
        assert_eq!(found, (1, vec![("theirs".into(), 1)], 0));
        // As it stood before the second came back.
        let found = credited(house.recovery("nudge", Some(4_900)).await);
        assert_eq!(found, (1, vec![("first".into(), 1)], 0));
    }
}

#[tokio::test]
async fn a_sequence_that_nobody_knows_is_not_found() {
    for database in databases().await {
        let house = House::bare(&database);
        let period = Period::default();
        let question = RecoveryQuestion { sequence: "gone".into(), period, window: DAY, as_of: None };
        let answer = house.engine.query_recovery(house.scope, question).await;
        assert!(matches!(answer, Err(EngineError::NotFound { .. })), "{answer:?}");
    }
}
