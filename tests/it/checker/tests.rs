//! The checker itself: a good history passes, and each promise broken in it is told.

use rekindle_proto::v1::RunEndReason;
use rekindle_proto::v1::delivery::State as DeliveryState;
use rekindle_proto::v1::delivery_attempt::Outcome;
use rekindle_proto::v1::run::State as RunState;

use super::{Attempt, Delivery, History, Role, Run, Sent, Stored, Violation, check};
use crate::arrivals::Arrival;
use crate::desk::STALL;

/// When the good history begins.
const START: i64 = 1_000_000_000_000_000;
const SECOND: i64 = 1_000_000;
/// The only step of the good history.
const CALL: &str = "call";

/// Four conversations: `quiet` was called once, `retried` twice, `back` was called and came back,
/// `late` was stored too late to start anything.
fn good() -> History {
    let mut history = History { steps: vec![text(CALL)], ..History::default() };
    for conversation in ["quiet", "retried", "back", "late"] {
        let receipt = if conversation == "late" { STALL } else { 1_000 };
        history.say(conversation, Role::Ask, START, receipt);
        history.say(conversation, Role::Answer, START, receipt);
    }
    history.say("back", Role::Return, START + 3 * SECOND, 1_000);
    history.stalled = ["quiet", "retried", "late"].map(str::to_owned).to_vec();
    history.run("quiet", RunState::Completed, RunEndReason::Unspecified);
    history.run("retried", RunState::Completed, RunEndReason::Unspecified);
    history.run("back", RunState::Ended, RunEndReason::CustomerReturned);
    history.run("late", RunState::Skipped, RunEndReason::History);
    history.deliver("quiet", &[Outcome::Delivered]);
    history.deliver("retried", &[Outcome::Unknown, Outcome::Delivered]);
    history.deliver("back", &[Outcome::Delivered]);
    history
}

impl History {
    fn say(&mut self, conversation: &str, role: Role, at: i64, receipt: i64) {
        let (id, conversation) = (format!("{conversation}-{}", role.word()), conversation.to_owned());
        let event_type = role.event_type().to_owned();
        let received_at = at + receipt;
        self.stored.push(Stored {
            id: id.clone(),
            conversation: conversation.clone(),
            event_type,
            at,
            received_at,
        });
        self.sent.push(Sent { id, conversation, role, at, acked_at: Some(received_at + 1_000) });
    }

    fn run(&mut self, conversation: &str, state: RunState, reason: RunEndReason) {
        self.runs.push(Run {
            name: conversation.to_owned(),
            conversation: conversation.to_owned(),
            anchor: format!("{conversation}-answer"),
            state,
            reason,
            ended_at: Some(START + 3 * SECOND),
        });
    }

    /// A delivery whose every attempt reached the receiver.
    fn deliver(&mut self, conversation: &str, outcomes: &[Outcome]) {
        let id = format!("{conversation}-1");
        let attempt = |outcome: &Outcome| Attempt { started_at: START + 2 * SECOND, outcome: *outcome };
        self.arrivals.extend(outcomes.iter().map(|_| arrival(&id)));
        self.deliveries.push(Delivery {
            id,
            run: conversation.to_owned(),
            step: text(CALL),
            state: DeliveryState::Delivered,
            attempts: outcomes.iter().map(attempt).collect(),
        });
    }

    fn run_mut(&mut self, name: &str) -> &mut Run {
        self.runs.iter_mut().find(|run| run.name == name).expect("a run of the good history")
    }

    fn delivery_mut(&mut self, run: &str) -> &mut Delivery {
        self.deliveries.iter_mut().find(|it| it.run == run).expect("a delivery of the good history")
    }

    fn remove_run(&mut self, name: &str) {
        self.runs.retain(|run| run.name != name);
    }

    fn remove_delivery(&mut self, run: &str) {
        self.deliveries.retain(|delivery| delivery.run != run);
        self.arrivals.retain(|arrival| arrival.id != format!("{run}-1"));
    }
}

fn arrival(id: &str) -> Arrival {
    Arrival {
        id: id.to_owned(),
        body: id.as_bytes().to_vec(),
        conversation: String::new(),
        arrived: START + 2 * SECOND,
        fault: String::new(),
    }
}

/// What the checker says of the good history after `harm`.
fn after(harm: impl FnOnce(&mut History)) -> Vec<Violation> {
    let mut history = good();
    harm(&mut history);
    check(&history)
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn a_history_that_keeps_every_promise_passes() {
    assert_eq!(check(&good()), []);
}

#[test]
fn an_event_that_was_not_acknowledged_may_be_stored_or_not() {
    let unheard = |history: &mut History| {
        for sent in &mut history.sent {
            sent.acked_at = None;
        }
    };
    assert_eq!(after(unheard), []);
    let never_stored = |history: &mut History| {
        unheard(history);
        history.stored.retain(|event| event.id != "back-return");
        history.stalled.push(text("back"));
        *history.run_mut("back") = Run { state: RunState::Completed, ..history.run_mut("back").clone() };
    };
    assert_eq!(after(never_stored), []);
}

#[test]
fn a_lost_event_is_told() {
    let lost = after(|history| history.stored.retain(|event| event.id != "back-return"));
    assert!(lost.contains(&Violation::Lost { event: text("back-return") }), "{lost:?}");
}

#[test]
fn an_event_stored_twice_is_told() {
    let twice = after(|history| history.stored.push(history.stored[0].clone()));
    assert_eq!(twice, [Violation::StoredTwice { event: text("quiet-ask") }]);
}

#[test]
fn an_event_that_nobody_sent_or_that_was_changed_is_told() {
    let moved = after(|history| history.stored[0].at += 1);
    assert_eq!(moved, [Violation::Changed { event: text("quiet-ask") }]);
    let made_up = after(|history| {
        let id = text("made-up");
        history.stored.push(Stored { id, ..history.stored[0].clone() });
    });
    assert_eq!(made_up, [Violation::Changed { event: text("made-up") }]);
}

#[test]
fn a_stall_that_the_figures_lack_or_make_up_is_told() {
    let missing = after(|history| history.stalled.retain(|conversation| conversation != "quiet"));
    assert_eq!(missing, [Violation::StallMissing { conversation: text("quiet") }]);
    for wrong in ["quiet", "back"] {
        let told = after(|history| history.stalled.push(text(wrong)));
        assert_eq!(told, [Violation::StallWrong { conversation: text(wrong) }]);
    }
}

#[test]
fn a_missing_run_is_told() {
    let missing = after(|history| {
        history.remove_run("quiet");
        history.remove_delivery("quiet");
    });
    assert_eq!(missing, [Violation::RunMissing { conversation: text("quiet") }]);
    let skipped = after(|history| history.remove_run("late"));
    assert_eq!(skipped, [Violation::RunMissing { conversation: text("late") }]);
}

#[test]
fn a_second_run_of_a_silence_is_told() {
    let twice = after(|history| {
        let again = Run { name: text("again"), ..history.run_mut("back").clone() };
        history.runs.push(again);
    });
    assert_eq!(twice, [Violation::RunTwice { anchor: text("back-answer") }]);
}

#[test]
fn a_run_without_a_silence_is_told() {
    let without = after(|history| history.run_mut("back").anchor = text("back-ask"));
    assert_eq!(without, [Violation::RunWithoutSilence { run: text("back") }]);
}

#[test]
fn a_run_that_has_not_ended_as_it_must_is_told() {
    for (run, state) in
        [("quiet", RunState::Scheduled), ("quiet", RunState::Ended), ("late", RunState::Completed)]
    {
        let astray = after(|history| history.run_mut(run).state = state);
        assert!(astray.contains(&Violation::RunAstray { run: text(run), state }), "{astray:?}");
    }
}

#[test]
fn a_run_that_sent_nothing_or_too_much_is_told() {
    let nothing = after(|history| history.remove_delivery("quiet"));
    assert_eq!(nothing, [Violation::DeliveryMissing { run: text("quiet"), step: text(CALL) }]);
    let left_out = after(|history| history.steps.push(text("mail")));
    let of = |run| Violation::DeliveryMissing { run: text(run), step: text("mail") };
    assert_eq!(left_out, [of("quiet"), of("retried")]);
    let twice = after(|history| {
        let again = Delivery { id: text("again"), ..history.delivery_mut("quiet").clone() };
        history.deliveries.push(again);
        history.arrivals.push(arrival("again"));
    });
    assert_eq!(twice, [Violation::DeliveryTwice { run: text("quiet"), step: text(CALL) }]);
    let of_history = after(|history| history.deliver("late", &[Outcome::Delivered]));
    assert_eq!(of_history, [Violation::DeliveryTwice { run: text("late"), step: text(CALL) }]);
}

#[test]
fn a_delivery_that_is_not_over_or_was_dropped_is_told() {
    for state in
        [DeliveryState::Scheduled, DeliveryState::Sending, DeliveryState::Failed, DeliveryState::Cancelled]
    {
        let astray = after(|history| {
            let delivery = history.delivery_mut("quiet");
            delivery.state = state;
            delivery.attempts[0].outcome = Outcome::Unknown;
        });
        assert_eq!(astray, [Violation::DeliveryAstray { id: text("quiet-1"), state }]);
    }
}

#[test]
fn a_state_that_no_attempt_bears_out_is_told() {
    let unfounded = after(|history| history.delivery_mut("quiet").attempts[0].outcome = Outcome::Unknown);
    assert_eq!(unfounded, [Violation::Unfounded { id: text("quiet-1") }]);
    let unheard = after(|history| history.delivery_mut("quiet").state = DeliveryState::Unknown);
    assert_eq!(unheard, [Violation::Unfounded { id: text("quiet-1") }]);
}

#[test]
fn a_delivery_that_never_arrived_is_told() {
    let never = after(|history| history.arrivals.retain(|arrival| arrival.id != "quiet-1"));
    assert_eq!(never, [Violation::NeverArrived { id: text("quiet-1") }]);
}

#[test]
fn a_message_that_nobody_began_is_told() {
    let more = after(|history| history.arrivals.push(arrival("quiet-1")));
    assert_eq!(more, [Violation::ArrivalWithoutAttempt { id: text("quiet-1") }]);
    let stray = after(|history| history.arrivals.push(arrival("stray")));
    assert_eq!(stray, [Violation::ArrivalWithoutAttempt { id: text("stray") }]);
}

#[test]
fn a_second_send_without_a_cause_is_told() {
    for outcome in [Outcome::Delivered, Outcome::Rejected, Outcome::Unspecified] {
        let again = after(|history| history.delivery_mut("retried").attempts[0].outcome = outcome);
        assert_eq!(again, [Violation::SentAgain { id: text("retried-1") }]);
    }
}

#[test]
fn other_bytes_under_one_id_are_told() {
    let changed = after(|history| history.arrivals[1].body.push(b' '));
    assert_eq!(changed, [Violation::BytesChanged { id: text("retried-1") }]);
}

#[test]
fn a_message_with_a_fault_is_told() {
    let unsigned = after(|history| history.arrivals[0].fault = text("signature invalid"));
    assert_eq!(unsigned, [Violation::Faulty { id: text("quiet-1") }]);
}

#[test]
fn an_attempt_after_the_customer_came_back_is_told() {
    let acked = START + 3 * SECOND + 2_000;
    let after_ack = after(|history| history.delivery_mut("back").attempts[0].started_at = acked + 1);
    assert_eq!(after_ack, [Violation::SentAfterReturn { id: text("back-1") }]);
    let after_end = after(|history| {
        for sent in &mut history.sent {
            sent.acked_at = None;
        }
        history.delivery_mut("back").attempts[0].started_at = START + 6 * SECOND;
    });
    assert_eq!(after_end, [Violation::SentAfterReturn { id: text("back-1") }]);
}
