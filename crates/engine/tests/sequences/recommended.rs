//! What to try: the delay and the hour that one half of the customers recommends and the other checks.

use rekindle_core::ingest::NewEvent;
use rekindle_core::metrics::Ratio;
use rekindle_core::metrics::recovery::timing::{LEAST_RUNS, Recommendation};
use rekindle_core::sequence::arm::Chance;
use rekindle_core::sequence::{Action, Branch, Case, Sequence, Wait};
use rekindle_core::time::HOUR;
use rekindle_engine::runs::{LedgerQuery, RunView};
use rekindle_testkit::build::{EventExt, at, event};
use rekindle_testkit::databases;

use crate::house::{House, sequence, step, webhook};

/// Half of them are called late; of each half of those that a hash makes, some fifty.
const CUSTOMERS: usize = 200;
/// When those are called who are not kept waiting: ten past midnight, as soon as they are due.
const SOON: i64 = 600;
/// When the others are, twenty hours later: from twelve hours on, and at eight in the evening.
const LATE: i64 = SOON + 20 * 3_600;
/// The bucket of either delay, and that of either hour.
const LATE_BUCKETS: [usize; 2] = [6, 20];

fn is_late(number: usize) -> bool {
    number.is_multiple_of(2)
}

/// Of those who are called late five in six come back, and of the others one in six.
fn comes_back(number: usize) -> bool {
    let returns = if is_late(number) { 5 } else { 1 };
    number / 2 % 6 < returns
}

/// A call, at once or twenty hours later, as the word says after which the silence began.
fn paced() -> Sequence {
    let late = Case {
        when: "event.properties.pace == 'late'".into(),
        steps: vec![step("rest", Action::Wait(Wait::wall(20 * HOUR)))],
    };
    let pace = Branch { cases: vec![late], otherwise: Vec::new() };
    sequence(vec![step("pace", Action::Branch(pace)), step("call", Action::CallWebhook(webhook()))])
}

fn word(id: &str, kind: &str, number: usize, second: i64) -> NewEvent {
    let conversation = format!("q{number}");
    event(&format!("{id}{number}"), kind, second).of(&conversation).from_customer(&format!("who{number}"))
}

/// Takes in events that come together.
async fn take_in(house: &House, second: i64, events: Vec<NewEvent>) {
    let count = events.len();
    house.clock.set(at(second));
    let report = house.engine.ingest(house.scope, events).await.expect("it can be stored");
    assert_eq!(report.accepted as usize, count, "{report:?}");
}

/// Everybody goes quiet, is called, and comes back more than an hour after that, or does not.
async fn all_called(house: &House) {
    let quiet = |number: usize| {
        let pace = if is_late(number) { "late" } else { "soon" };
        let answer = word("b", "agent_message", number, 0).with("pace", pace);
        [word("a", "customer_message", number, 0), answer]
    };
    take_in(house, 0, (0..CUSTOMERS).flat_map(quiet).collect()).await;
    for (called, of_late) in [(SOON, false), (LATE, true)] {
        house.go(called).await;
        let back = (0..CUSTOMERS).filter(|number| is_late(*number) == of_late && comes_back(*number));
        let second = called + 5_000;
        let words = back.map(|number| word("c", "customer_message", number, second));
        take_in(house, second, words.collect()).await;
    }
    house.go(20 * 86_400).await;
}

/// Recovered of those who were called late or soon, in the half that checks or in the other.
fn share(runs: &[RunView], of_late: bool, of_checkers: bool) -> Ratio {
    let mut share = Ratio::default();
    for view in runs {
        let name = view.conversation.as_deref().expect("a conversation");
        let number = name.trim_start_matches('q').parse().expect("a number");
        let subject = view.run.customer.expect("a known customer");
        let checks = Chance { key: &[7; 32], experiment: "nudge", subject }.is_checker();
        if (is_late(number), checks) == (of_late, of_checkers) {
            share.numerator += i64::from(comes_back(number));
            share.denominator += 1;
        }
    }
    share
}

#[tokio::test]
async fn what_most_came_back_after_is_recommended_by_one_half_and_checked_by_the_other() {
    for database in databases().await {
        let house = House::with(&database, paced()).await;
        all_called(&house).await;
        let runs = house.engine.runs(house.scope, LedgerQuery::default(), 1_000).await.expect("readable");
        assert_eq!(runs.len(), CUSTOMERS);
        let [chosen, worst] = [true, false].map(|of_late| share(&runs, of_late, false));
        let [checked, others] = [true, false].map(|of_late| share(&runs, of_late, true));
        let enough = chosen.denominator.min(worst.denominator) >= LEAST_RUNS;
        assert!(enough && checked.denominator > 0 && others.denominator > 0, "{chosen:?} {worst:?}");
        let answer = house.recovery("nudge", Some(19 * 86_400)).await;
        let [delay, hour] =
            LATE_BUCKETS.map(|bucket| Some(Recommendation { bucket, chosen, worst, checked, others }));
        assert_eq!(answer.timing.recommended_delay, delay, "{}", database.name);
        assert_eq!(answer.timing.recommended_hour, hour);
        assert!(hour.is_some_and(|hour| hour.holds()));
    }
}
