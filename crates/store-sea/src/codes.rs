//! Small numbers that stand for enum values in columns.

use rekindle_core::event::Author;
use rekindle_core::fold::silence::EndedBy;
use rekindle_core::funnel::OwedBy;
use rekindle_core::mark::{MarkFate, MarkKind};
use rekindle_core::sequence::arm::Arm;
use rekindle_core::sequence::{Cause, SequenceState};
use rekindle_ports::ledger::{AttemptOutcome, DeliveryState, EndReason, RunState};
use rekindle_ports::resources::{RequestKind, RunPolicy, SuppressionKind, SuppressionReason};
use rekindle_ports::rows::{FillState, LivePolicy, NameKind};
use rekindle_ports::store::replays::ReplayState;
use rekindle_ports::{StoreError, StoreResult};
use sea_orm::QueryResult;

use crate::store::get;

/// A value with a number that never changes.
pub trait Code: Copy + Sized + PartialEq + 'static {
    /// Every value with its number.
    const CODES: &'static [(Self, i32)];

    /// The number.
    fn code(self) -> i32 {
        // Every value is in the list: the round-trip test holds it.
        Self::CODES.iter().find(|(value, _)| *value == self).map_or(0, |(_, code)| *code)
    }

    /// The value of a number.
    fn from_code(code: i32) -> Option<Self> {
        Self::CODES.iter().find(|(_, known)| *known == code).map(|(value, _)| *value)
    }
}

impl Code for NameKind {
    const CODES: &'static [(Self, i32)] = &[(Self::Customer, 1), (Self::Conversation, 2)];
}

impl Code for Author {
    const CODES: &'static [(Self, i32)] =
        &[(Self::Customer, 1), (Self::Agent, 2), (Self::Bot, 3), (Self::System, 4)];
}

impl Code for OwedBy {
    const CODES: &'static [(Self, i32)] = &[(Self::Anyone, 0), (Self::Agent, 1), (Self::Customer, 2)];
}

impl Code for EndedBy {
    const CODES: &'static [(Self, i32)] = &[
        (Self::CustomerReturned, 1),
        (Self::Advanced, 2),
        (Self::Closed, 3),
        (Self::AgentActed, 4),
        (Self::Other, 5),
    ];
}

impl Code for LivePolicy {
    const CODES: &'static [(Self, i32)] = &[(Self::Drain, 1), (Self::Migrate, 2), (Self::Cancel, 3)];
}

/// Revisions of old say nothing, which is 0.
impl Code for RunPolicy {
    const CODES: &'static [(Self, i32)] = &[(Self::Drain, 0), (Self::Migrate, 1), (Self::Cancel, 2)];
}

impl Code for FillState {
    const CODES: &'static [(Self, i32)] = &[(Self::Running, 1), (Self::Done, 2), (Self::Cancelled, 3)];
}

impl Code for ReplayState {
    const CODES: &'static [(Self, i32)] = &[(Self::Running, 1), (Self::Done, 2), (Self::Cancelled, 3)];
}

impl Code for MarkKind {
    const CODES: &'static [(Self, i32)] = &[(Self::Stalled, 1), (Self::Abandoned, 2), (Self::Warned, 3)];
}

impl Code for Cause {
    // Those of silences are those of marks.
    const CODES: &'static [(Self, i32)] = &[
        (Self::Silence(MarkKind::Stalled), 1),
        (Self::Silence(MarkKind::Abandoned), 2),
        (Self::Silence(MarkKind::Warned), 3),
        (Self::Event, 10),
        (Self::Schedule, 11),
        (Self::Hand, 12),
    ];
}

impl Code for MarkFate {
    const CODES: &'static [(Self, i32)] =
        &[(Self::Live, 1), (Self::History, 2), (Self::TakenOver, 3), (Self::Voided, 4)];
}

impl Code for SequenceState {
    const CODES: &'static [(Self, i32)] =
        &[(Self::Draft, 1), (Self::Active, 2), (Self::Paused, 3), (Self::Archived, 4)];
}

impl Code for Arm {
    const CODES: &'static [(Self, i32)] = &[(Self::Treated, 1), (Self::HeldOut, 2)];
}

impl Code for RunState {
    const CODES: &'static [(Self, i32)] = &[
        (Self::Running, 1),
        (Self::Completed, 2),
        (Self::Ended, 3),
        (Self::Cancelled, 4),
        (Self::Skipped, 5),
    ];
}

impl Code for EndReason {
    const CODES: &'static [(Self, i32)] = &[
        (Self::CustomerReturned, 1),
        (Self::GoalReached, 2),
        (Self::StageLeft, 3),
        (Self::Cancelled, 4),
        (Self::SequenceArchived, 5),
        (Self::Voided, 6),
        (Self::Stale, 7),
        (Self::Erased, 8),
        (Self::History, 9),
        (Self::Failed, 10),
        (Self::QuietHours, 11),
        (Self::Paused, 12),
        (Self::NotStarted, 13),
        (Self::Filtered, 14),
        (Self::CoolDown, 15),
        (Self::AgentActed, 16),
        (Self::Overlap, 20),
        (Self::StepRemoved, 17),
        (Self::SequenceChanged, 18),
    ];
}

impl Code for DeliveryState {
    const CODES: &'static [(Self, i32)] = &[
        (Self::Scheduled, 1),
        (Self::Sending, 2),
        (Self::Delivered, 3),
        (Self::Failed, 4),
        (Self::Suppressed, 5),
        (Self::Cancelled, 6),
        (Self::Expired, 7),
        (Self::Unknown, 8),
        (Self::HeldOut, 9),
    ];
}

impl Code for AttemptOutcome {
    const CODES: &'static [(Self, i32)] =
        &[(Self::Delivered, 1), (Self::Retry, 2), (Self::Rejected, 3), (Self::Unknown, 4)];
}

impl Code for RequestKind {
    const CODES: &'static [(Self, i32)] =
        &[(Self::Funnel, 1), (Self::Sequence, 2), (Self::Destination, 3), (Self::Run, 4), (Self::Replay, 5)];
}

/// In the order of the values: lists are ordered by the code.
impl Code for SuppressionKind {
    const CODES: &'static [(Self, i32)] = &[(Self::Address, 1), (Self::Customer, 2), (Self::Domain, 3)];
}

impl Code for SuppressionReason {
    const CODES: &'static [(Self, i32)] =
        &[(Self::Unsubscribed, 1), (Self::HardBounce, 2), (Self::Complaint, 3), (Self::Manual, 4)];
}

/// Reads a column that holds a code.
pub(crate) fn coded<T: Code>(row: &QueryResult, table: &'static str, column: &'static str) -> StoreResult<T> {
    let code: i16 = get(row, table, column)?;
    known(code, table, column)
}

/// Reads a column that may hold a code.
pub(crate) fn coded_option<T: Code>(
    row: &QueryResult,
    table: &'static str,
    column: &'static str,
) -> StoreResult<Option<T>> {
    let code: Option<i16> = get(row, table, column)?;
    code.map(|code| known(code, table, column)).transpose()
}

fn known<T: Code>(code: i16, table: &'static str, column: &'static str) -> StoreResult<T> {
    T::from_code(code.into()).ok_or_else(|| StoreError::Corrupt {
        table,
        column,
        row: format!("with code {code}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks every value of an enum; does not compile when one is left out.
    macro_rules! survives {
        ($of:ident: $($value:ident),+) => {
            for value in [$($of::$value),+] {
                match value {
                    $($of::$value)|+ => {}
                }
                let code = $of::CODES.iter().filter(|(known, _)| *known == value).count();
                assert_eq!(code, 1, "{value:?} has one code");
                assert_eq!($of::from_code(value.code()), Some(value));
            }
        };
    }

    #[test]
    fn every_value_survives_the_way_through_its_number() {
        survives!(NameKind: Customer, Conversation);
        survives!(Author: Customer, Agent, Bot, System);
        survives!(OwedBy: Anyone, Agent, Customer);
        survives!(EndedBy: CustomerReturned, Advanced, Closed, AgentActed, Other);
        survives!(LivePolicy: Drain, Migrate, Cancel);
        survives!(RunPolicy: Drain, Migrate, Cancel);
        survives!(FillState: Running, Done, Cancelled);
        survives!(ReplayState: Running, Done, Cancelled);
        survives!(MarkKind: Warned, Stalled, Abandoned);
        survives!(MarkFate: Live, History, TakenOver, Voided);
        survives!(SequenceState: Draft, Active, Paused, Archived);
        survives!(RunState: Running, Completed, Ended, Cancelled, Skipped);
        survives!(EndReason: CustomerReturned, GoalReached, StageLeft, Cancelled, SequenceArchived, Voided, Stale, History, Erased, Failed, QuietHours, Paused, NotStarted, Filtered, CoolDown, AgentActed, StepRemoved, SequenceChanged, Overlap);
        survives!(Arm: Treated, HeldOut);
        survives!(DeliveryState: Scheduled, Sending, Delivered, Failed, Suppressed, Cancelled, Expired, Unknown, HeldOut);
        survives!(AttemptOutcome: Delivered, Retry, Rejected, Unknown);
        survives!(RequestKind: Funnel, Sequence, Destination, Run, Replay);
        survives!(SuppressionKind: Address, Customer, Domain);
        survives!(SuppressionReason: Unsubscribed, HardBounce, Complaint, Manual);
    }
}
