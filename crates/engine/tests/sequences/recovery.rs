//! What a sequence was worth, by the ledger and the silences.

use rekindle_core::event::Author;
use rekindle_core::metrics::Period;
use rekindle_core::metrics::recovery::Counts;
use rekindle_core::sequence::arm::Arm;
use rekindle_core::sequence::{Action, Sequence, Split, Variant};
use rekindle_core::time::DAY;
use rekindle_engine::EngineError;
use rekindle_engine::metrics::{RecoveryAnswer, RecoveryQuestion};
use rekindle_engine::suppressions::NewSuppression;
use rekindle_ports::resources::{SuppressionKind, SuppressionReason};
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::databases;

use crate::house::{House, sequence, step, webhook};

const CUSTOMERS: u32 = 40;

async fn asked(house: &House, as_of: Option<i64>) -> RecoveryAnswer {
    let question = RecoveryQuestion {
        sequence: "nudge".into(),
        period: Period::default(),
        window: 7 * DAY,
        as_of: as_of.map(at),
    };
    house.engine.query_recovery(house.scope, question).await.expect("there is such a sequence")
}

/// Everybody goes quiet and is called, or would be; who is treated and who is held out.
async fn all_quiet(house: &House) -> [Vec<u32>; 2] {
    for number in 0..CUSTOMERS {
        for (id, kind) in [("a", "customer_message"), ("b", "agent_message")] {
            let word = event(&format!("{id}{number}"), kind, 0).of(&format!("q{number}"));
            house.hear(word.from_customer(&format!("who{number}"))).await;
        }
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

fn split() -> Sequence {
    let variant = |id: &str| Variant {
        id: id.into(),
        weight: 1,
        steps: vec![step(id, Action::CallWebhook(webhook()))],
    };
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
        let answer = asked(&house, None).await;
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
        let early = asked(&house, Some(7_000)).await.recovery.arms;
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
        let found = asked(&house, None).await.recovery.arms.treated;
        assert_eq!((found.unsubscribed, found.voided), (1, 1), "{}", database.name);
        assert_eq!(found.eligible, treated.len() as i64 - 1);
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
