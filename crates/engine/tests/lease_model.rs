//! The lease protocol as a model, checked state by state, with broken twins.
//!
//! Workers share a queue. A claim is one statement: it takes a ready row, or a
//! running one whose lease has ended, and raises the row's epoch; so does whatever
//! ends a claim. Every write in between compares the epoch, and no clock is asked
//! whether a write is safe. An attempt is committed before it is made, so that an
//! open one, found by the next claim, is an outcome nobody knows: it is sent again
//! or parked, as the item's owner wants. A send begins only under a lease: a worker
//! that was slow renews first, and learns whether another has taken over. An ingest that ends a run raises the epoch
//! of what the run was about to send; what is being sent at that moment is still
//! recorded, or left unknown (`AtCancel`): both are safe.
//!
//! Between any two steps a worker may crash and forget, be paused while time
//! passes (it is then not scheduled), lose the reply to a commit that happened,
//! or hear nothing from the outside world. The faults of a run are counted, so
//! that there are finitely many states; once they are spent a worker that lives
//! keeps its lease. A twin differs from the protocol in one rule and must be caught.

#[path = "lease_model/properties.rs"]
mod properties;
#[path = "lease_model/protocol.rs"]
mod protocol;
#[path = "lease_model/queue.rs"]
mod queue;
#[path = "lease_model/reach.rs"]
mod reach;
#[path = "lease_model/state.rs"]
mod state;
#[path = "lease_model/timers.rs"]
mod timers;

use std::collections::BTreeSet;

use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};

use crate::protocol::{AtCancel, Flaw, Reply, Rules};
use crate::queue::{Action, Queue};
use crate::state::{Answer, Ending, Policy, State, Status};
use crate::timers::Timers;

/// Two workers, an item of each policy, and any two faults.
fn two_items() -> Queue {
    Queue {
        workers: 2,
        items: vec![Policy::Resend, Policy::Park],
        faults: 3,
        cancels: true,
        rules: Rules { ttl: 1, at_cancel: AtCancel::LetFinish, flaw: None },
    }
}

/// Workers that fight over one item through any three faults.
fn one_item(workers: usize, policy: Policy) -> Queue {
    Queue {
        workers,
        items: vec![policy],
        faults: 5,
        cancels: true,
        rules: Rules { ttl: 2, at_cancel: AtCancel::LetFinish, flaw: None },
    }
}

#[test]
fn two_workers_and_two_items_keep_every_invariant_and_reach_every_ending() {
    let checker = two_items().checker().threads(2).symmetry_fn(State::canonical).spawn_dfs().join();
    println!("two items: {} states, {} steps", checker.unique_state_count(), checker.state_count());
    checker.assert_properties();
}

#[test]
fn two_workers_and_one_item_keep_every_invariant_through_many_faults() {
    keeps_every_invariant("two workers, resend", one_item(2, Policy::Resend));
    keeps_every_invariant("two workers, park", one_item(2, Policy::Park));
}

#[test]
fn three_workers_and_one_item_keep_every_invariant() {
    let mut queue = one_item(3, Policy::Resend);
    queue.rules.ttl = 1;
    queue.faults = 4;
    keeps_every_invariant("three workers", queue);
}

#[test]
fn an_attempt_begun_before_a_cancel_is_still_recorded_or_left_unknown_and_both_are_safe() {
    let overtaken = [
        Action::Claim { worker: 0, item: 0 },
        Action::Begin { worker: 0, reply: Reply::Heard },
        Action::Cancel { item: 0 },
        Action::Send { worker: 0, answer: Answer::Taken },
        Action::Record { worker: 0, reply: Reply::Heard },
    ];
    let mut queue = two_items();
    assert_eq!(after(&queue, &overtaken).rows[0].ending(), Some(Ending::Delivered));
    queue.rules.at_cancel = AtCancel::Fence;
    assert_eq!(after(&queue, &overtaken).rows[0].ending(), Some(Ending::Cancelled));
    keeps_every_invariant("two items, cancel fences", queue);
}

#[test]
fn from_every_state_every_item_can_still_end_in_a_named_state() {
    for policy in [Policy::Resend, Policy::Park] {
        let found = reach::from_everywhere(&uncancelled(policy), State::canonical, State::all_ended);
        println!("can end, {policy:?}: {} states", found.states);
        assert_eq!(found.lost, None);
    }
}

#[test]
fn without_takeover_there_are_states_from_which_an_item_never_ends() {
    let twin = uncancelled(Policy::Resend).with(Flaw::NoTakeover);
    let found = reach::from_everywhere(&twin, State::canonical, State::all_ended);
    let lost = found.lost.expect("a crash leaves a running row that nobody takes");
    assert_eq!(lost.rows[0].status, Status::Running);
}

#[test]
fn what_a_crashed_worker_left_open_is_taken_over_and_sent_again_when_the_policy_is_resend() {
    let last = after(&one_item(2, Policy::Resend), &crash_after_sending());
    assert_eq!(last.rows[0].ending(), Some(Ending::Delivered));
    assert_eq!(last.outside[0].len(), 2);
}

#[test]
fn what_a_crashed_worker_left_open_ends_unknown_when_the_policy_is_park() {
    let until_parked = &crash_after_sending()[..8];
    let last = after(&one_item(2, Policy::Park), until_parked);
    assert_eq!(last.rows[0].ending(), Some(Ending::Unknown));
    assert_eq!(last.outside[0].len(), 1);
}

#[test]
fn a_worker_that_wakes_after_a_takeover_writes_nothing() {
    let heard = Reply::Heard;
    let woken = [
        Action::Claim { worker: 0, item: 0 },
        Action::Begin { worker: 0, reply: heard },
        Action::Send { worker: 0, answer: Answer::Taken },
        Action::Tick,
        Action::Tick,
        Action::Claim { worker: 1, item: 0 },
        Action::Begin { worker: 1, reply: heard },
    ];
    let queue = one_item(2, Policy::Resend);
    let before = after(&queue, &woken);
    let last = after(&queue, &[&woken[..], &[Action::Record { worker: 0, reply: heard }]].concat());
    assert_eq!(last.rows, before.rows);
    assert_eq!(last.jobs[0], None);
}

#[test]
fn recording_without_the_fence_gives_an_attempt_two_outcomes() {
    let harm = [properties::ONE_OUTCOME, properties::NO_STALE_WRITE, properties::ENDINGS_TRUE];
    caught(Flaw::RecordUnfenced, Policy::Resend, &harm);
}

#[test]
fn a_claim_that_keeps_the_epoch_lets_two_workers_send_the_same_attempt() {
    caught(Flaw::ClaimKeepsEpoch, Policy::Resend, &[properties::SENT_ONCE, properties::NO_STALE_WRITE]);
}

#[test]
fn a_claim_that_ignores_the_lease_gives_one_item_to_two_workers() {
    caught(Flaw::ClaimIgnoresLease, Policy::Resend, &[properties::ONE_LEASE]);
}

#[test]
fn sending_before_the_attempt_is_committed_repeats_a_send_for_no_reason_after_a_crash() {
    let harm = [properties::STARTED_FIRST, properties::REASON_TO_REPEAT, properties::PARKED];
    caught(Flaw::SendsBeforeAttempt, Policy::Park, &harm);
    let send = |worker| Action::Send { worker, answer: Answer::Taken };
    let (mine, theirs) = (Action::Claim { worker: 0, item: 0 }, Action::Claim { worker: 1, item: 0 });
    let crash = [mine, send(0), Action::Crash { worker: 0 }, Action::Tick, Action::Tick, theirs, send(1)];
    let last = after(&one_item(2, Policy::Park).with(Flaw::SendsBeforeAttempt), &crash);
    assert_eq!((last.outside[0].len(), last.rows[0].attempts.len()), (2, 0));
}

#[test]
fn sending_without_a_lease_sends_what_another_has_taken_over() {
    caught(Flaw::SendsWithoutLease, Policy::Resend, &[properties::NOT_AFTER_TAKEOVER]);
}

#[test]
fn a_cancel_that_keeps_the_epoch_lets_an_attempt_start_after_it() {
    caught(Flaw::CancelKeepsEpoch, Policy::Resend, &[properties::NOTHING_AFTER_CANCEL]);
}

#[test]
fn looking_at_the_epoch_before_the_lock_lets_an_attempt_start_after_a_cancel() {
    caught(
        Flaw::BeginUnfenced,
        Policy::Resend,
        &[properties::NOTHING_AFTER_CANCEL, properties::NO_STALE_WRITE],
    );
}

#[test]
fn forgetting_to_park_after_a_crash_sends_an_item_twice() {
    caught(Flaw::ParkForgotten, Policy::Park, &[properties::PARKED]);
    let last = after(&one_item(2, Policy::Park).with(Flaw::ParkForgotten), &crash_after_sending());
    assert_eq!(last.outside[0].iter().filter(|sent| sent.taken).count(), 2);
}

#[test]
fn ending_a_claim_without_raising_the_epoch_lets_a_repeated_commit_write_a_second_outcome() {
    caught(Flaw::EndKeepsEpoch, Policy::Resend, &[properties::ONE_OUTCOME]);
}

#[test]
fn giving_back_without_the_fence_takes_the_item_from_its_new_holder() {
    caught(Flaw::ReleaseUnfenced, Policy::Resend, &[properties::ONE_LEASE, properties::NO_STALE_WRITE]);
}

#[test]
fn renewing_without_the_fence_prolongs_the_lease_of_another() {
    caught(Flaw::RenewUnfenced, Policy::Resend, &[properties::NO_STALE_WRITE]);
}

#[test]
fn timers_are_never_forgotten_and_never_written_by_a_worker_that_lost_them() {
    let checker = Timers { flaw: None }.checker().spawn_bfs().join();
    println!("timers: {} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn a_timer_that_is_deleted_and_begins_again_at_epoch_zero_lets_a_zombie_write() {
    caught_at_timers(timers::Flaw::EpochStartsAgain, timers::NO_STALE_LOOK);
}

#[test]
fn finishing_a_timer_without_raising_the_epoch_lets_a_finished_claim_write_again() {
    caught_at_timers(timers::Flaw::EndKeepsEpoch, timers::NO_STALE_LOOK);
}

#[test]
fn deciding_by_what_was_read_before_the_lock_forgets_a_journey() {
    caught_at_timers(timers::Flaw::DecidesBeforeLock, timers::NEVER_FORGOTTEN);
}

fn keeps_every_invariant(name: &str, queue: Queue) {
    let checker = queue.checker().threads(2).symmetry_fn(State::canonical).spawn_dfs().join();
    println!("{name}: {} states, {} steps", checker.unique_state_count(), checker.state_count());
    for property in properties::never() {
        checker.assert_no_discovery(property.name);
    }
}

/// A cancel would end any item: it must not be what lets one end.
fn uncancelled(policy: Policy) -> Queue {
    let mut queue = one_item(2, policy);
    queue.cancels = false;
    queue.faults = 4;
    queue
}

/// A worker sends and dies; its lease ends; the other goes on.
fn crash_after_sending() -> Vec<Action> {
    vec![
        Action::Claim { worker: 0, item: 0 },
        Action::Begin { worker: 0, reply: Reply::Heard },
        Action::Send { worker: 0, answer: Answer::Taken },
        Action::Crash { worker: 0 },
        Action::Tick,
        Action::Tick,
        Action::Claim { worker: 1, item: 0 },
        Action::Begin { worker: 1, reply: Reply::Heard },
        Action::Send { worker: 1, answer: Answer::Taken },
        Action::Record { worker: 1, reply: Reply::Heard },
    ]
}

/// The state that a sequence of steps leads to, each of which must be possible.
fn after(queue: &Queue, steps: &[Action]) -> State {
    let first = queue.init_states().remove(0);
    let path = Path::from_actions(queue, first, steps).expect("every step of the walk is possible");
    path.last_state().clone()
}

/// Asserts that the checker finds every one of these invariants broken in the twin.
fn caught(flaw: Flaw, policy: Policy, harm: &[&'static str]) {
    let invariants = properties::never();
    for name in harm {
        assert!(
            invariants.iter().any(|known| known.name == *name && known.expectation == Expectation::Always)
        );
    }
    let wanted: BTreeSet<&'static str> = harm.iter().copied().collect();
    let mut twin = one_item(2, policy).with(flaw);
    twin.faults = 2;
    let checker = twin.checker().finish_when(HasDiscoveries::AllOf(wanted)).spawn_bfs().join();
    for name in harm {
        let path = checker.assert_any_discovery(name);
        println!("{flaw:?} breaks \"{name}\": {:?}", path.into_actions());
    }
}

fn caught_at_timers(flaw: timers::Flaw, harm: &'static str) {
    let twin = Timers { flaw: Some(flaw) };
    let checker = twin.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let path = checker.assert_any_discovery(harm);
    println!("{flaw:?} breaks \"{harm}\": {:?}", path.into_actions());
}
