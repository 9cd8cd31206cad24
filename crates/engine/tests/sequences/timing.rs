//! When the first message came, by the wait and by the customer's clock.

use rekindle_core::metrics::Ratio;
use rekindle_core::metrics::recovery::timing::{DELAYS, HOURS, Slot};
use rekindle_core::sequence::arm::Arm;
use rekindle_core::sequence::{Action, Sequence, Wait};
use rekindle_core::time::HOUR;
use rekindle_engine::workspace::WorkspaceChange;
use rekindle_testkit::build::{EventExt, event};
use rekindle_testkit::databases;

use crate::house::{House, sequence, step, webhook};

const CUSTOMERS: u32 = 16;
/// When the wait of an hour is over: ten past one in UTC. They were due at 600.
const CALLED: i64 = 600 + 3_600;
const WEEK: i64 = 7 * 86_400;

/// Half of the customers live in India, where it is twenty to seven then.
fn is_in_india(number: u32) -> bool {
    number.is_multiple_of(2)
}

/// The first four come back.
fn comes_back(number: u32) -> bool {
    number < 4
}

/// Everybody goes quiet, is called an hour after that was noticed, or would be, and some come back.
async fn all_called(house: &House) {
    for number in 0..CUSTOMERS {
        let who = format!("who{number}");
        if is_in_india(number) {
            let moved = event(&format!("zone{number}"), "customer_updated", 0).only(&who);
            house.hear(moved.with("zone", "Asia/Kolkata")).await;
        }
        for (id, kind) in [("a", "customer_message"), ("b", "agent_message")] {
            let word = event(&format!("{id}{number}"), kind, 0).of(&format!("q{number}"));
            house.hear(word.from_customer(&who)).await;
        }
    }
    house.go(600).await;
    house.go(CALLED).await;
    for number in (0..CUSTOMERS).filter(|number| comes_back(*number)) {
        let word = event(&format!("c{number}"), "customer_message", 5_000).of(&format!("q{number}"));
        house.hear(word.from_customer(&format!("who{number}"))).await;
    }
    house.go(20 * 86_400).await;
}

/// What a bucket comes to that holds those customers for whom `is_wanted` holds.
async fn slot(house: &House, is_wanted: fn(u32) -> bool) -> Slot {
    let mut slot = Slot::default();
    for view in house.runs().await {
        let name = view.conversation.expect("a conversation");
        let number = name.trim_start_matches('q').parse().expect("a number");
        if is_wanted(number) {
            let share = match view.run.arm {
                Arm::Treated => &mut slot.treated,
                Arm::HeldOut => &mut slot.held_out,
            };
            share.denominator += 1;
            share.numerator += i64::from(comes_back(number));
        }
    }
    slot
}

fn filled(slots: &[Slot]) -> Vec<(usize, Slot)> {
    slots.iter().copied().enumerate().filter(|(_, slot)| *slot != Slot::default()).collect()
}

#[tokio::test]
async fn first_messages_are_told_by_their_delay_and_by_the_hour_on_the_customers_clock() {
    for database in databases().await {
        let steps =
            vec![step("rest", Action::Wait(Wait::wall(HOUR))), step("call", Action::CallWebhook(webhook()))];
        let house = House::with(&database, Sequence { holdout: 5_000, ..sequence(steps) }).await;
        all_called(&house).await;
        let all = slot(&house, |_| true).await;
        let (treated, held_out) = (all.treated.denominator, all.held_out.denominator);
        assert_eq!(treated + held_out, i64::from(CUSTOMERS));
        assert!(treated > 0 && held_out > 0, "{treated} {held_out}");
        let found = house.recovery("nudge", Some(19 * 86_400)).await.timing;
        // From an hour on, and at six and at one.
        assert_eq!(filled(&found.by_delay), [(2, all)], "{}", database.name);
        let india = slot(&house, is_in_india).await;
        let elsewhere = slot(&house, |number| !is_in_india(number)).await;
        assert_eq!(filled(&found.by_hour), [(1, elsewhere), (6, india)]);
        assert_eq!((found.by_delay.len(), found.by_hour.len()), (DELAYS, HOURS));
        // So few recommend nothing.
        assert_eq!((found.recommended_delay, found.recommended_hour), (None, None));
        // While the window is open nobody counts, not even who came back.
        assert!(filled(&house.recovery("nudge", Some(CALLED + WEEK)).await.timing.by_delay).is_empty());
        assert_eq!(
            filled(&house.recovery("nudge", Some(CALLED + WEEK + 1)).await.timing.by_delay),
            [(2, all)]
        );
    }
}

#[tokio::test]
async fn who_names_no_zone_lives_on_the_clock_of_the_workspace() {
    for database in databases().await {
        let call = step("call", Action::CallWebhook(webhook()));
        let house = House::with(&database, sequence(vec![call])).await;
        let mut body = house.engine.workspace(house.scope).await.expect("a workspace").body;
        body.zone = "Asia/Tokyo".into();
        let change = WorkspaceChange { body, etag: None };
        house.engine.update_workspace(house.scope, change).await.expect("a good workspace");
        for (who, zone) in [("ann", "Nowhere/Land"), ("bob", "Europe/Berlin")] {
            let moved = event(&format!("zone-{who}"), "customer_updated", 0).only(who);
            house.hear(moved.with("zone", zone)).await;
        }
        for who in ["ann", "bob", "cid"] {
            for (id, kind) in [("a", "customer_message"), ("b", "agent_message")] {
                let word = event(&format!("{id}-{who}"), kind, 0).of(&format!("of-{who}"));
                house.hear(word.from_customer(who)).await;
            }
        }
        house.go(600).await;
        house.go(20 * 86_400).await;
        let of = |denominator| Slot { treated: Ratio { numerator: 0, denominator }, ..Slot::default() };
        let found = house.recovery("nudge", Some(19 * 86_400)).await.timing;
        // Ten past midnight in UTC is ten past one in Berlin, and ten past nine in Tokyo.
        assert_eq!(filled(&found.by_hour), [(1, of(1)), (9, of(2))], "{}", database.name);
        // Called the moment it was due.
        assert_eq!(filled(&found.by_delay), [(0, of(3))]);
    }
}
