//! Conversations and customers, their episodes and positions.

use rekindle_core::conversation::Episode;
use rekindle_core::metrics::positions::Condition;
use rekindle_core::violation::Violations;
use rekindle_engine::subjects::{
    AttributeChange, ConversationView, CustomerView, PositionFilter, PositionView,
};
use rekindle_proto::v1;

use super::path::within;
use super::run::named;
use super::{choice, time, value};
use crate::name::Collection;

/// A conversation as a message, with all its episodes.
pub fn to_conversation(view: &ConversationView) -> v1::Conversation {
    let state = &view.row.state;
    let count = |of: fn(&Episode) -> u32| state.episodes.iter().map(|it| i64::from(of(it))).sum();
    let resolved = !state.episodes.is_empty() && state.is_resolved();
    v1::Conversation {
        name: Collection::Conversations.name(&view.row.name),
        customer: named(Collection::Customers, view.customer.as_deref()),
        attributes: Some(value::to_struct(&view.row.attributes.current())),
        state: if resolved { v1::conversation::State::Resolved } else { v1::conversation::State::Open }
            .into(),
        owed_by: choice::to_owed_by(state.owed_by()).into(),
        create_time: Some(time::to_instant(view.row.created_at)),
        first_event_time: view.row.first_at.map(time::to_instant),
        last_event_time: view.row.last_at.map(time::to_instant),
        episodes: to_episodes(&state.episodes),
        episode_count: state.episodes.len() as i32,
        event_count: view.row.event_count,
        customer_message_count: count(|episode| episode.customer_messages),
        agent_message_count: count(|episode| episode.agent_messages),
        positions: view.positions.iter().map(to_position).collect(),
    }
}

/// A conversation as lists have it: with its latest episode alone.
pub fn to_listed_conversation(view: &ConversationView) -> v1::Conversation {
    let mut message = to_conversation(view);
    message.episodes = message.episodes.pop().into_iter().collect();
    message
}

/// A customer as a message.
pub fn to_customer(view: &CustomerView) -> v1::Customer {
    v1::Customer {
        name: Collection::Customers.name(&view.row.name),
        attributes: Some(value::to_struct(&view.row.attributes.current())),
        create_time: Some(time::to_instant(view.row.created_at)),
        first_event_time: view.row.first_at.map(time::to_instant),
        last_event_time: view.row.last_at.map(time::to_instant),
        event_count: view.event_count,
        conversation_count: view.conversation_count,
        positions: view.positions.iter().map(to_position).collect(),
    }
}

/// Reads where a journey is to be.
pub fn position(message: &v1::PositionFilter, v: &mut Violations) -> PositionFilter {
    within(v, "position", |v| PositionFilter {
        funnel: Collection::Funnels.parse_within(&message.funnel, "funnel", v),
        stage: (!message.stage.is_empty()).then(|| message.stage.clone()),
        condition: condition(message.state, v),
    })
}

/// Reads attributes to set.
pub fn attributes(
    message: Option<&pbjson_types::Struct>,
    effective: Option<&pbjson_types::Timestamp>,
    request_id: String,
    customer: String,
    v: &mut Violations,
) -> AttributeChange {
    AttributeChange {
        attributes: message.map(|map| value::properties(map, "attributes", v)).unwrap_or_default(),
        at: effective.and_then(|at| time::instant(at, "effectiveTime", v)),
        request_id: (!request_id.is_empty()).then_some(request_id),
        customer: (!customer.is_empty()).then_some(customer),
    }
}

fn condition(number: i32, v: &mut Violations) -> Option<Condition> {
    match choice::known(number, "state", v) {
        v1::JourneyState::Unspecified => None,
        v1::JourneyState::Active => Some(Condition::Active),
        v1::JourneyState::Stalled => Some(Condition::Stalled),
        v1::JourneyState::Abandoned => Some(Condition::Abandoned),
        v1::JourneyState::Completed => Some(Condition::Completed),
        v1::JourneyState::Ended => Some(Condition::Ended),
    }
}

fn to_condition(condition: Condition) -> v1::JourneyState {
    match condition {
        Condition::Active => v1::JourneyState::Active,
        Condition::Stalled => v1::JourneyState::Stalled,
        Condition::Abandoned => v1::JourneyState::Abandoned,
        Condition::Completed => v1::JourneyState::Completed,
        Condition::Ended => v1::JourneyState::Ended,
    }
}

fn to_position(view: &PositionView) -> v1::JourneyPosition {
    let quiet = view.quiet.as_ref();
    v1::JourneyPosition {
        funnel: Collection::Funnels.name(&view.funnel),
        revision: view.revision,
        passage: view.passage as i32,
        stage: view.stage.clone().unwrap_or_default(),
        state: view.condition.map(to_condition).unwrap_or_default().into(),
        enter_time: view.entered_at.map(time::to_instant),
        silent_since_time: quiet.map(|quiet| time::to_instant(quiet.since)),
        owed_by: quiet.map(|quiet| choice::to_owed_by(quiet.owed_by)).unwrap_or_default().into(),
        stall_time: quiet.and_then(|quiet| quiet.stall_at).map(time::to_instant),
        abandon_time: quiet.and_then(|quiet| quiet.abandon_at).map(time::to_instant),
        live: view.live,
    }
}

/// Each with the instant at which the next one reopened the conversation.
fn to_episodes(episodes: &[Episode]) -> Vec<v1::Episode> {
    let next = episodes.iter().skip(1).map(Some).chain([None]);
    let placed = episodes.iter().zip(next).enumerate();
    placed.map(|(place, (episode, next))| to_episode(place, episode, next)).collect()
}

fn to_episode(place: usize, episode: &Episode, next: Option<&Episode>) -> v1::Episode {
    v1::Episode {
        index: place as i32,
        start_time: Some(time::to_instant(episode.started_at)),
        first_response_time: episode.first_response_at.map(time::to_instant),
        resolve_time: episode.first_resolved_at.map(time::to_instant),
        disposition: episode.disposition.clone(),
        agent_message_count: episode.agent_messages as i32,
        escalate_time: episode.escalated_at.map(time::to_instant),
        transfer_count: episode.transfers as i32,
        csat_score: episode.csat,
        ces_score: episode.ces,
        reopen_time: next.map(|next| time::to_instant(next.started_at)),
        same_issue: episode.same_issue,
        confirmed: episode.confirmed,
        last_resolve_time: episode.last_resolved_at.map(time::to_instant),
        customer_message_count: episode.customer_messages as i32,
        bot_message_count: episode.bot_messages as i32,
    }
}

#[cfg(test)]
mod tests {
    use rekindle_core::Timestamp;

    use super::*;

    #[test]
    fn an_episode_was_reopened_when_the_next_one_began() {
        let at = |minute: i64| Timestamp::EARLIEST.plus(minute * 60_000_000);
        let first = Episode { started_at: at(0), first_resolved_at: Some(at(5)), ..Episode::default() };
        let second = Episode { started_at: at(9), same_issue: true, ..Episode::default() };
        let messages = to_episodes(&[first, second]);
        assert_eq!(messages[0].reopen_time, Some(time::to_instant(at(9))));
        assert_eq!((messages[1].index, messages[1].reopen_time), (1, None));
        assert!(messages[1].same_issue);
    }

    #[test]
    fn a_position_without_its_funnel_is_named() {
        let mut v = Violations::new();
        position(&v1::PositionFilter { state: 99, ..Default::default() }, &mut v);
        let fields: Vec<_> = v.into_vec().into_iter().map(|it| it.field).collect();
        assert_eq!(fields, ["position.funnel", "position.state"]);
    }
}
