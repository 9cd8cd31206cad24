//! What was started and sent, against the silences that are there.

use std::collections::{HashMap, HashSet};

use rekindle_proto::v1::RunEndReason;
use rekindle_proto::v1::delivery::State as DeliveryState;
use rekindle_proto::v1::delivery_attempt::Outcome;
use rekindle_proto::v1::run::State as RunState;

use super::events::Conversations;
use super::{Delivery, History, Role, Run, Sent, Violation};
use crate::arrivals::Arrival;

/// How much later than its run's end an attempt may seem to begin: a unit of work reads the
/// clock before it waits for its turn, so two of them may be stamped the other way round.
const TURN: i64 = 2_000_000;

/// Each silence has one run, each run its deliveries, each delivery its messages.
pub fn check(history: &History) -> Vec<Violation> {
    let facts = Facts::of(history);
    let mut violations = facts.runs();
    for run in &history.runs {
        violations.extend(facts.deliveries_of(run));
    }
    for delivery in &history.deliveries {
        violations.extend(facts.attempts(delivery));
        violations.extend(facts.came_back(delivery));
    }
    violations.extend(facts.arrivals());
    violations
}

struct Facts<'a> {
    history: &'a History,
    conversations: Conversations<'a>,
    runs: HashMap<&'a str, &'a Run>,
    arrivals: HashMap<&'a str, Vec<&'a Arrival>>,
}

impl<'a> Facts<'a> {
    fn of(history: &'a History) -> Self {
        let mut arrivals: HashMap<&str, Vec<&Arrival>> = HashMap::new();
        for arrival in &history.arrivals {
            arrivals.entry(&arrival.id).or_default().push(arrival);
        }
        Self {
            history,
            conversations: Conversations::of(history),
            runs: history.runs.iter().map(|run| (run.name.as_str(), run)).collect(),
            arrivals,
        }
    }

    fn runs(&self) -> Vec<Violation> {
        let mut anchors = HashSet::new();
        let mut violations = Vec::new();
        for run in &self.history.runs {
            if !anchors.insert(run.anchor.as_str()) {
                violations.push(Violation::RunTwice { anchor: run.anchor.clone() });
            }
            let conversation = self.conversations.get(&run.conversation);
            let silence = conversation.and_then(|it| it.silence());
            if silence.is_none_or(|(anchor, _)| anchor != run.anchor) {
                violations.push(Violation::RunWithoutSilence { run: run.name.clone() });
            } else if !self.is_in_place(run) {
                violations.push(Violation::RunAstray { run: run.name.clone(), state: run.state });
            }
        }
        let missing = self
            .conversations
            .silent()
            .filter(|(_, it)| it.silence().is_some_and(|(anchor, _)| !anchors.contains(anchor)));
        violations.extend(missing.map(|(name, _)| Violation::RunMissing { conversation: name.to_owned() }));
        violations
    }

    /// Whether a run has ended as the conversation's events say it must.
    fn is_in_place(&self, run: &Run) -> bool {
        let Some(conversation) = self.conversations.get(&run.conversation) else {
            return false;
        };
        let skipped = (run.state, run.reason) == (RunState::Skipped, RunEndReason::History);
        let completed = run.state == RunState::Completed;
        match conversation.back {
            None if conversation.is_history() => skipped,
            None => completed,
            Some(_) => skipped || completed || run.state == RunState::Ended,
        }
    }

    fn deliveries_of(&self, run: &Run) -> Vec<Violation> {
        let mut violations = Vec::new();
        for step in &self.history.steps {
            let of_step = |delivery: &&Delivery| delivery.run == run.name && delivery.step == *step;
            let count = self.history.deliveries.iter().filter(of_step).count();
            let (run_id, step) = (run.name.clone(), step.clone());
            if run.state == RunState::Completed && count == 0 {
                violations.push(Violation::DeliveryMissing { run: run_id, step });
            } else if count > 1 || (run.state == RunState::Skipped && count > 0) {
                violations.push(Violation::DeliveryTwice { run: run_id, step });
            }
        }
        violations
    }

    /// A final state, and a reason for every attempt after the first.
    fn attempts(&self, delivery: &Delivery) -> Vec<Violation> {
        let id = || delivery.id.clone();
        let is_delivered = delivery.state == DeliveryState::Delivered;
        let mut violations = Vec::new();
        if !self.is_settled(delivery) {
            violations.push(Violation::DeliveryAstray { id: id(), state: delivery.state });
        }
        if let Some((last, before)) = delivery.attempts.split_last() {
            let has_cause = |outcome| matches!(outcome, Outcome::Unknown | Outcome::Retry);
            if !before.iter().all(|attempt| has_cause(attempt.outcome)) {
                violations.push(Violation::SentAgain { id: id() });
            }
            if (last.outcome == Outcome::Delivered) != is_delivered {
                violations.push(Violation::Unfounded { id: id() });
            }
        }
        if is_delivered && !self.arrivals.contains_key(delivery.id.as_str()) {
            violations.push(Violation::NeverArrived { id: id() });
        }
        violations
    }

    /// Whether a delivery is in a final state; where nobody came back, in one that is no refusal,
    /// since the receiver takes every call.
    fn is_settled(&self, delivery: &Delivery) -> bool {
        use DeliveryState::{Cancelled, Delivered, Expired, Failed, HeldOut, Suppressed, Unknown};
        let wanted = matches!(delivery.state, Delivered | Unknown);
        let run = self.runs.get(delivery.run.as_str());
        let conversation = run.and_then(|run| self.conversations.get(&run.conversation));
        let came_back = conversation.is_some_and(|it| it.back.is_some());
        wanted || (came_back && matches!(delivery.state, Cancelled | Failed | Suppressed | Expired | HeldOut))
    }

    /// No attempt began after the customer's return was acknowledged.
    fn came_back(&self, delivery: &Delivery) -> Option<Violation> {
        let run = self.runs.get(delivery.run.as_str())?;
        let is_return = |sent: &&Sent| sent.role == Role::Return && sent.conversation == run.conversation;
        let acked = self.history.sent.iter().find(is_return).and_then(|sent| sent.acked_at);
        let ended = run.ended_at.filter(|_| run.state == RunState::Ended).map(|ended| ended + TURN);
        let limit = acked.into_iter().chain(ended).min()?;
        let late = delivery.attempts.iter().any(|attempt| attempt.started_at > limit);
        late.then(|| Violation::SentAfterReturn { id: delivery.id.clone() })
    }

    fn arrivals(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        for (id, arrivals) in &self.arrivals {
            let id = || (*id).to_owned();
            let delivery = self.history.deliveries.iter().find(|delivery| delivery.id == id());
            if delivery.is_none_or(|delivery| delivery.attempts.len() < arrivals.len()) {
                violations.push(Violation::ArrivalWithoutAttempt { id: id() });
            }
            if arrivals.iter().any(|arrival| arrival.body != arrivals[0].body) {
                violations.push(Violation::BytesChanged { id: id() });
            }
            if arrivals.iter().any(|arrival| !arrival.fault.is_empty()) {
                violations.push(Violation::Faulty { id: id() });
            }
        }
        violations
    }
}
