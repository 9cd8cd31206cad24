//! A small history in which everything happens that makes folding hard.

use rekindle_core::funnel::{Funnel, OwedBy};
use rekindle_core::ingest::NewEvent;
use rekindle_testkit::build::{EventExt, FunnelExt, event, funnel};

/// Asked, answered, bought; quiet after some seconds; only customers who are not on trial.
pub fn example_funnel() -> Funnel {
    funnel(&["customer_message", "agent_message", "purchase"])
        .stall(0, 5, OwedBy::Agent)
        .stall(1, 5, OwedBy::Customer)
        .abandon(1, 50, OwedBy::Anyone)
        .stage_rule(0, "customer.plan != \"trial\"")
        .ended("resolution")
        .reopened("reopen")
}

/// Six conversations of two customers, in batches: owners that change, attributes that come
/// late, events in the wrong order, redeliveries.
pub fn example_batches() -> Vec<Vec<NewEvent>> {
    let chat = |number: usize, kind: &str, seconds: i64| {
        event(&format!("{kind}-{number}-{seconds}"), kind, seconds).of(&format!("chat-{number}"))
    };
    let plan = |id: &str, who: &str, seconds: i64, plan: &str| {
        event(id, "customer_updated", seconds).only(who).with("plan", plan)
    };
    let first: Vec<NewEvent> = (0..6)
        .map(|number| chat(number, "customer_message", 10 + number as i64).from_customer("ada"))
        .collect();
    let second: Vec<NewEvent> = (0..6).map(|number| chat(number, "agent_message", 20)).collect();
    vec![
        first.clone(),
        second,
        vec![chat(0, "customer_message", 2), chat(1, "purchase", 40), first[3].clone()],
        vec![plan("late-plan", "ada", 11, "trial"), chat(2, "customer_message", 1).from_customer("bob")],
        vec![
            plan("plan", "bob", 0, "pro"),
            chat(3, "resolution", 60),
            chat(4, "note", 30),
            chat(2, "purchase", 70),
        ],
        vec![chat(3, "reopen", 90), chat(4, "customer_message", 100), first[0].clone()],
    ]
}
