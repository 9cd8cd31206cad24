//! What holds however a game went.

use std::collections::BTreeMap;

use rekindle_core::Timestamp;
use rekindle_core::calendar::{Hours, zone_named};
use rekindle_core::sequence::arm::Arm;
use rekindle_core::sequence::contact::LimitPeriod;
use rekindle_core::violation::Violations;
use rekindle_engine::runs::{DeliveryView, LedgerQuery, RunView};
use rekindle_ports::ledger::{AttemptOutcome, DeliveryState, Message, RunState};
use rekindle_testkit::build::at;

use super::game::{Game, hours};

/// How much happened.
#[derive(Debug, Default)]
pub struct Tally {
    pub runs: usize,
    pub sends: usize,
    pub held_out: usize,
    pub deferred: usize,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.sends += other.sends;
        self.held_out += other.held_out;
        self.deferred += other.deferred;
    }
}

/// Checks every promise; panics with the name of the game and the one that is broken.
pub async fn keep(game: &Game, name: &str) -> Tally {
    let runs = game.house.runs().await;
    let (engine, scope) = (&game.house.engine, game.house.scope);
    let deliveries = engine.deliveries(scope, LedgerQuery::default(), 1_000).await.expect("readable");
    let by_run: BTreeMap<_, _> = runs.iter().map(|view| (view.run.id, view)).collect();
    for view in &runs {
        assert_ne!(
            view.run.state,
            RunState::Running,
            "{name}: a run does not end: {view:#?}\n{:#?}",
            game.sequence
        );
        assert_ne!(view.run.end_reason, Some(rekindle_ports::ledger::EndReason::Failed), "{name}: {view:#?}");
    }
    for delivery in &deliveries {
        let run = by_run.get(&delivery.delivery.run).expect("its run");
        settled(name, delivery);
        nothing_after_the_end(name, run, delivery);
        if !delivery.delivery.internal {
            nobody_who_is_held_out(name, run, delivery);
            nobody_who_is_suppressed(game, name, delivery);
            no_mail_at_night(game, name, delivery);
        }
    }
    no_more_than_the_limits(game, name, &deliveries);
    what_arrived_is_on_record(game, name, &deliveries);
    let mut deferred = 0;
    for view in &runs {
        let lines = engine.run_events(scope, view.run.id).await.expect("readable");
        deferred += lines.iter().filter(|line| line.kind == "deferred").count();
    }
    Tally {
        runs: runs.len(),
        sends: game.house.courier.sent().len(),
        held_out: deliveries.iter().filter(|it| it.delivery.state == DeliveryState::HeldOut).count(),
        deferred,
    }
}

/// Every message ends in a named state, and is taken once at the most.
fn settled(name: &str, view: &DeliveryView) {
    assert!(view.delivery.state.is_final(), "{name}: a message hangs: {view:#?}");
    let taken = view.attempts.iter().filter(|it| it.outcome == Some(AttemptOutcome::Delivered)).count();
    assert!(taken <= 1, "{name}: taken {taken} times: {view:#?}");
    assert_eq!(taken == 1, view.delivery.state == DeliveryState::Delivered, "{name}: {view:#?}");
}

/// No attempt begins after its run ended before its last step.
fn nothing_after_the_end(name: &str, run: &RunView, view: &DeliveryView) {
    let is_early = matches!(run.run.state, RunState::Ended | RunState::Cancelled);
    let Some(ended) = run.run.ended_at.filter(|_| is_early) else {
        return;
    };
    let late = view.attempts.iter().find(|attempt| attempt.started_at > ended);
    assert!(late.is_none(), "{name}: sent after the run ended at {ended:?}: {view:#?}");
}

fn nobody_who_is_held_out(name: &str, run: &RunView, view: &DeliveryView) {
    if run.run.arm == Arm::HeldOut {
        assert!(view.attempts.is_empty(), "{name}: sent to somebody who is held out: {view:#?}");
    }
}

fn nobody_who_is_suppressed(game: &Game, name: &str, view: &DeliveryView) {
    let customer = view.customer.as_deref().unwrap_or_default();
    if let Some(since) = game.suppressed.get(customer) {
        let late = view.attempts.iter().find(|attempt| attempt.started_at > at(*since));
        assert!(late.is_none(), "{name}: sent to {customer} who is suppressed: {view:#?}");
    }
}

fn no_mail_at_night(game: &Game, name: &str, view: &DeliveryView) {
    let (Some(quiet), Message::Email { .. }) = (&game.sequence.quiet, &view.delivery.message) else {
        return;
    };
    let hours = Hours::compile(&quiet.hours, &[], &mut Violations::new()).expect("valid hours");
    let customer = view.customer.as_deref().unwrap_or_default();
    for attempt in &view.attempts {
        let moves = game.zones.get(customer).map_or(&[][..], Vec::as_slice);
        // A move at the instant of a send comes after it.
        let zone = moves.iter().rfind(|(since, _)| at(*since) < attempt.started_at);
        let zone = zone.map_or("UTC", |(_, zone)| zone.as_str());
        let calendar = hours.within(zone_named(zone).expect("a zone"));
        let free = calendar.next_closed(attempt.started_at);
        assert_eq!(free, Some(attempt.started_at), "{name}: sent at night in {zone}: {view:#?}");
    }
}

fn no_more_than_the_limits(game: &Game, name: &str, deliveries: &[DeliveryView]) {
    let mut contacts: BTreeMap<&str, Vec<Timestamp>> = BTreeMap::new();
    for view in deliveries {
        let delivery = &view.delivery;
        let counts = matches!(
            delivery.state,
            DeliveryState::Delivered | DeliveryState::Unknown | DeliveryState::HeldOut
        );
        if counts && !delivery.internal && matches!(delivery.message, Message::Email { .. }) {
            let first = view.attempts.first().map(|attempt| attempt.started_at).or(delivery.ended_at);
            let customer = view.customer.as_deref().unwrap_or_default();
            contacts.entry(customer).or_default().push(first.expect("a moment"));
        }
    }
    for (customer, mut instants) in contacts {
        instants.sort_unstable();
        for limit in &game.limits {
            let LimitPeriod::Rolling(span) = limit.period else { unreachable!("limits of games roll") };
            for window in instants.windows(limit.count as usize + 1) {
                let apart = window[window.len() - 1].since(window[0]);
                let most = limit.count;
                assert!(
                    apart >= span,
                    "{name}: {customer} got {} within {} h, and {most} in {} h are allowed",
                    window.len(),
                    hours(apart),
                    hours(span)
                );
            }
        }
    }
}

/// Everything that arrived has an attempt on record, every time.
fn what_arrived_is_on_record(game: &Game, name: &str, deliveries: &[DeliveryView]) {
    let mut arrived: BTreeMap<String, usize> = BTreeMap::new();
    for sent in game.house.courier.sent() {
        *arrived.entry(sent.id).or_default() += 1;
    }
    for (id, times) in arrived {
        let view = deliveries.iter().find(|view| view.delivery.id == id).expect("on record");
        assert!(view.attempts.len() >= times, "{name}: {id} arrived {times} times: {view:#?}");
    }
}
