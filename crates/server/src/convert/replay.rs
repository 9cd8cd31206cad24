//! Replays: what they are about, and how far they are.

use rekindle_ports::store::replays::{Covers, ReplayRow, ReplayState};
use rekindle_proto::v1;
use rekindle_proto::v1::replay::{State, What};

use super::run::named;
use super::time;
use crate::name::Collection;

/// A replay as a message.
pub fn to_replay(row: &ReplayRow) -> v1::Replay {
    v1::Replay {
        name: Collection::Replays.name(&row.id.to_string()),
        what: Some(to_what(&row.covers)),
        state: to_state(row.state).into(),
        total_count: row.total,
        done_count: row.done(),
        replayed_count: row.replayed,
        skipped_count: row.skipped,
        create_time: Some(time::to_instant(row.created_at)),
        end_time: row.ended_at.map(time::to_instant),
    }
}

/// What a replay is about, as a message.
pub fn to_what(covers: &Covers) -> What {
    match covers {
        Covers::Delivery(id) => What::Delivery(Collection::Deliveries.name(id)),
        Covers::Run(id) => What::Run(Collection::Runs.name(&id.to_string())),
        Covers::Failures(of) => What::Failures(v1::ReplayPeriod {
            period: Some(v1::Period {
                start_time: of.from.map(time::to_instant),
                end_time: of.until.map(time::to_instant),
            }),
            sequence: named(Collection::Sequences, of.sequence.as_deref()),
            destination: named(Collection::Destinations, of.destination.as_deref()),
        }),
    }
}

fn to_state(state: ReplayState) -> State {
    match state {
        ReplayState::Running => State::Running,
        ReplayState::Done => State::Done,
        ReplayState::Cancelled => State::Cancelled,
    }
}
