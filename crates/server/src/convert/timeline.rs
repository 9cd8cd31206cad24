//! The history of a conversation or a customer.

use rekindle_core::mark::{Mark, MarkFate};
use rekindle_engine::runs::DeliveryView;
use rekindle_engine::subjects::{DeliveryLine, Happening, SilenceLine, StageMove, TimelineEntry};
use rekindle_proto::v1;
use rekindle_proto::v1::timeline_entry::Entry;

use super::delivery::to_delivery;
use super::event::to_event;
use super::run::{named, to_run_event};
use super::{choice, time};
use crate::name::Collection;

/// One entry as a message.
pub fn to_entry(entry: &TimelineEntry) -> v1::TimelineEntry {
    let conversation = entry.conversation.as_deref();
    let what = match &entry.what {
        Happening::Event(line) => Entry::Event(to_event(line)),
        Happening::StageMove(line) => Entry::StageMove(to_move(line)),
        Happening::Silence(line) => Entry::Silence(to_silence(line)),
        Happening::Mark(mark) => Entry::Mark(to_mark(mark)),
        Happening::Run(line) => Entry::RunEvent(to_run_event(&line.event, line.index as i64)),
        Happening::Delivery(line) => Entry::Delivery(to_message(line, conversation)),
    };
    v1::TimelineEntry {
        time: Some(time::to_instant(entry.at)),
        conversation: named(Collection::Conversations, conversation),
        entry: Some(what),
    }
}

fn to_move(line: &StageMove) -> v1::StageMove {
    v1::StageMove {
        funnel: Collection::Funnels.name(&line.funnel),
        revision: line.revision,
        passage: line.passage as i32,
        from_stage: line.from.clone().unwrap_or_default(),
        to_stage: line.to.clone(),
        event_id: line.event.clone(),
    }
}

fn to_silence(line: &SilenceLine) -> v1::Silence {
    v1::Silence {
        funnel: Collection::Funnels.name(&line.funnel),
        revision: line.revision,
        stage: line.stage.clone(),
        owed_by: choice::to_owed_by(line.owed_by).into(),
        anchor_event_id: line.anchor.clone(),
        since_time: Some(time::to_instant(line.since)),
        stall_time: line.stall_at.map(time::to_instant),
        abandon_time: line.abandon_at.map(time::to_instant),
        until_time: line.until.map(time::to_instant),
    }
}

fn to_mark(mark: &Mark) -> v1::Mark {
    v1::Mark {
        funnel: Collection::Funnels.name(&mark.key.funnel),
        // Revisions are counted one by one, far from the end of the smaller type.
        revision: i32::try_from(mark.revision).unwrap_or_default(),
        stage: mark.key.stage.clone(),
        kind: choice::to_silence_kind(mark.key.kind).into(),
        owed_by: choice::to_owed_by(mark.owed_by).into(),
        anchor_event_id: mark.key.anchor.clone(),
        since_time: Some(time::to_instant(mark.anchor.at)),
        due_time: Some(time::to_instant(mark.due_at)),
        notice_time: Some(time::to_instant(mark.noticed_at)),
        void_time: mark.voided_at.map(time::to_instant),
        reason: mark.reason.clone(),
        fate: to_fate(mark.fate).into(),
    }
}

fn to_fate(fate: MarkFate) -> v1::mark::Fate {
    match fate {
        MarkFate::Live => v1::mark::Fate::Live,
        MarkFate::History => v1::mark::Fate::History,
        MarkFate::TakenOver => v1::mark::Fate::TakenOver,
        MarkFate::Voided => v1::mark::Fate::Voided,
    }
}

fn to_message(line: &DeliveryLine, conversation: Option<&str>) -> v1::Delivery {
    to_delivery(&DeliveryView {
        delivery: line.delivery.clone(),
        attempts: line.attempts.clone(),
        conversation: conversation.map(str::to_owned),
        customer: line.customer.clone(),
    })
}
