//! Runs of sequences, and what happened in them.

use rekindle_core::sequence::Cause;
use rekindle_core::sequence::arm::Arm;
use rekindle_engine::runs::{RunView, Statement};
use rekindle_ports::ledger::{EndReason, RunEvent, RunRow, RunState};
use rekindle_proto::v1;

use super::{choice, time};
use crate::name::Collection;

/// A run as a message.
pub fn to_run(view: &RunView) -> v1::Run {
    let row = &view.run;
    v1::Run {
        name: Collection::Runs.name(&row.id.to_string()),
        sequence: Collection::Sequences.name(&row.sequence),
        sequence_revision: row.sequence_revision,
        conversation: named(Collection::Conversations, view.conversation.as_deref()),
        customer: named(Collection::Customers, view.customer.as_deref()),
        trigger: Some(to_trigger(view)),
        state: state_of(row).into(),
        end_reason: row.end_reason.map(to_end_reason).unwrap_or_default().into(),
        current_step: view.current_step.clone(),
        next_time: row.next_at.map(time::to_instant),
        create_time: Some(time::to_instant(row.created_at)),
        end_time: row.ended_at.map(time::to_instant),
        arm: to_arm(row.arm).into(),
        pause_time: row.paused_at.filter(|_| row.state == RunState::Running).map(time::to_instant),
    }
}

/// A line of a run's ledger, in its place from 1.
pub fn to_run_event(event: &RunEvent, index: i64) -> v1::RunEvent {
    v1::RunEvent {
        run: Collection::Runs.name(&event.run.to_string()),
        index,
        time: Some(time::to_instant(event.at)),
        kind: to_kind(&event.kind).into(),
        step: event.step.clone(),
        delivery: named(Collection::Deliveries, delivery_of(event)),
        detail: event.detail.clone(),
    }
}

/// A sentence of a story.
pub fn to_statement(told: &Statement) -> v1::Statement {
    let some = |collection: Collection, id: &str| named(collection, (!id.is_empty()).then_some(id));
    let input =
        |(key, value): &(&str, String)| v1::statement::Input { key: (*key).into(), value: value.clone() };
    v1::Statement {
        time: Some(time::to_instant(told.at)),
        run: told.run.map(|run| Collection::Runs.name(&run.to_string())).unwrap_or_default(),
        sequence: some(Collection::Sequences, &told.sequence),
        step: told.step.clone(),
        delivery: some(Collection::Deliveries, &told.delivery),
        text: told.text.clone(),
        inputs: told.inputs.iter().map(input).collect(),
    }
}

/// Where a run stands: one that waits for its time is scheduled, one that awaits a delivery is
/// at work.
pub fn state_of(row: &RunRow) -> v1::run::State {
    match row.state {
        RunState::Running if row.paused_at.is_some() => v1::run::State::Paused,
        RunState::Running if row.next_at.is_some() => v1::run::State::Scheduled,
        RunState::Running => v1::run::State::Running,
        RunState::Completed => v1::run::State::Completed,
        RunState::Ended => v1::run::State::Ended,
        RunState::Cancelled => v1::run::State::Cancelled,
        RunState::Skipped => v1::run::State::Skipped,
    }
}

/// Which states a filter means: none for any.
pub fn states(state: v1::run::State) -> Vec<RunState> {
    match state {
        v1::run::State::Unspecified => Vec::new(),
        v1::run::State::Scheduled | v1::run::State::Running | v1::run::State::Paused => {
            vec![RunState::Running]
        }
        v1::run::State::Completed => vec![RunState::Completed],
        v1::run::State::Ended => vec![RunState::Ended],
        v1::run::State::Cancelled => vec![RunState::Cancelled],
        v1::run::State::Skipped => vec![RunState::Skipped],
    }
}

/// The name of a resource that may not be known.
pub fn named(collection: Collection, id: Option<&str>) -> String {
    id.map(|id| collection.name(id)).unwrap_or_default()
}

fn to_trigger(view: &RunView) -> v1::RunTrigger {
    let (row, mark) = (&view.run, view.mark.as_ref());
    v1::RunTrigger {
        funnel: Collection::Funnels.name(&row.trigger.funnel),
        // Revisions are counted one by one, far from the end of the smaller type.
        funnel_revision: mark.and_then(|mark| i32::try_from(mark.revision).ok()).unwrap_or_default(),
        stage: row.trigger.stage.clone(),
        kind: row.trigger.silence().map(choice::to_silence_kind).unwrap_or_default().into(),
        owed_by: mark.map(|mark| choice::to_owed_by(mark.owed_by)).unwrap_or_default().into(),
        anchor_event_id: row.trigger.anchor.clone(),
        since_time: Some(time::to_instant(row.since)),
        due_time: Some(time::to_instant(row.due_at)),
        notice_time: Some(time::to_instant(row.noticed_at)),
        void_time: mark.and_then(|mark| mark.voided_at).map(time::to_instant),
        reason: mark.map(|mark| mark.reason.clone()).unwrap_or_default(),
        cause: to_cause(row.trigger.cause).into(),
    }
}

fn to_cause(cause: Cause) -> v1::RunCause {
    match cause {
        Cause::Silence(_) => v1::RunCause::Silence,
        Cause::Event => v1::RunCause::Event,
        Cause::Schedule => v1::RunCause::Schedule,
        Cause::Hand => v1::RunCause::Hand,
    }
}

/// Lines about a delivery begin with its id.
fn delivery_of(event: &RunEvent) -> Option<&str> {
    let about_one =
        matches!(event.kind.as_str(), "delivery_created" | "delivery_settled" | "held_out" | "resolved");
    // A run that is replayed is in no step.
    let about_one = about_one || (event.kind == "replayed" && !event.step.is_empty());
    about_one.then(|| event.detail.split(':').next()).flatten()
}

fn to_arm(arm: Arm) -> v1::Arm {
    match arm {
        Arm::Treated => v1::Arm::Treated,
        Arm::HeldOut => v1::Arm::HeldOut,
    }
}

fn to_end_reason(reason: EndReason) -> v1::RunEndReason {
    match reason {
        EndReason::CustomerReturned => v1::RunEndReason::CustomerReturned,
        EndReason::GoalReached => v1::RunEndReason::JourneyClosed,
        EndReason::StageLeft => v1::RunEndReason::StageReached,
        EndReason::Cancelled => v1::RunEndReason::Operator,
        EndReason::SequenceArchived => v1::RunEndReason::SequenceArchived,
        EndReason::Voided => v1::RunEndReason::LateEvent,
        EndReason::Stale => v1::RunEndReason::Stale,
        EndReason::History => v1::RunEndReason::History,
        EndReason::Erased => v1::RunEndReason::Erased,
        EndReason::Failed => v1::RunEndReason::Failed,
        EndReason::QuietHours => v1::RunEndReason::QuietHours,
        EndReason::Paused => v1::RunEndReason::SequencePaused,
        EndReason::NotStarted => v1::RunEndReason::NotStarted,
        EndReason::Filtered => v1::RunEndReason::Filtered,
        EndReason::CoolDown => v1::RunEndReason::CoolDown,
        EndReason::AgentActed => v1::RunEndReason::AgentActed,
        EndReason::Overlap => v1::RunEndReason::Overlap,
        EndReason::StepRemoved => v1::RunEndReason::StepRemoved,
        EndReason::SequenceChanged => v1::RunEndReason::SequenceChanged,
    }
}

/// The ledger keeps words, so that older versions can read newer lines.
fn to_kind(word: &str) -> v1::run_event::Kind {
    use v1::run_event::Kind;
    match word {
        "started" => Kind::Started,
        "skipped" => Kind::Skipped,
        "waiting" => Kind::Waiting,
        "delivery_created" => Kind::DeliveryPlanned,
        "attempt_started" => Kind::AttemptStarted,
        "attempt_finished" => Kind::AttemptFinished,
        "delivery_settled" => Kind::DeliverySettled,
        "completed" => Kind::Completed,
        "ended" => Kind::Ended,
        "cancelled" => Kind::Cancelled,
        "retargeted" => Kind::Retargeted,
        "resolved" => Kind::Resolved,
        "overtaken" => Kind::Overtaken,
        "branched" => Kind::Branched,
        "repeated" => Kind::Repeated,
        "met" => Kind::Met,
        "timed_out" => Kind::TimedOut,
        "deferred" => Kind::Deferred,
        "left_out" => Kind::LeftOut,
        "held_out" => Kind::HeldOut,
        "ended_here" => Kind::EndedHere,
        "paused" => Kind::Paused,
        "resumed" => Kind::Resumed,
        "learnt" => Kind::Learnt,
        "migrated" => Kind::Migrated,
        "replayed" => Kind::Replayed,
        _ => Kind::Unspecified,
    }
}
