//! Shares that were held out when runs began, and revisions in which they go on that hold out others.

use std::ops::Range;

use rekindle_core::sequence::{Action, Sequence, Wait};
use rekindle_core::time::DAY;
use rekindle_engine::sequences::SequenceChange;
use rekindle_ports::resources::RunPolicy;
use rekindle_testkit::build::{EventExt, event};
use rekindle_testkit::databases;

use crate::house::{House, change, sequence, step, webhook};

/// A call at once, and a rest.
fn told(holdout: u16) -> Sequence {
    let steps =
        vec![step("tell", Action::CallWebhook(webhook())), step("rest", Action::Wait(Wait::wall(DAY)))];
    Sequence { holdout, ..sequence(steps) }
}

/// Customers are answered at a second, go quiet, and are called, or would be.
async fn quiet(house: &House, customers: Range<u32>, second: i64) {
    for number in customers {
        for (id, kind) in [("a", "customer_message"), ("b", "agent_message")] {
            let word = event(&format!("{id}{number}"), kind, second).of(&format!("q{number}"));
            house.hear(word.from_customer(&format!("who{number}"))).await;
        }
    }
    house.go(second + 600).await;
}

#[tokio::test]
async fn arms_are_expected_as_large_as_they_were_when_runs_began() {
    for database in databases().await {
        let house = House::with(&database, told(2_000)).await;
        quiet(&house, 0..20, 0).await;
        let migrate = SequenceChange { run_policy: RunPolicy::Migrate, ..change(told(1_000)) };
        let published = house.engine.update_sequence(house.scope, "nudge", migrate).await;
        assert_eq!(published.expect("a good change").impact.moving, 20);
        quiet(&house, 20..30, 1_000).await;
        let runs = house.runs().await;
        assert!(runs.iter().all(|view| view.run.sequence_revision == 2), "{}: {runs:#?}", database.name);
        let answer = house.recovery("nudge", None).await;
        let sample = answer.recovery.sample_ratio;
        assert_eq!(sample.assigned, 30, "{}", database.name);
        // A fifth of twenty, and a tenth of ten.
        assert!((sample.expected - 5.0).abs() < 1e-9, "{sample:?}");
    }
}
