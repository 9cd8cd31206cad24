//! What a sequence would have done: the question and its answer.

use rekindle_core::Timestamp;
use rekindle_core::metrics::Period;
use rekindle_core::sequence::simulate::Simulation;
use rekindle_core::violation::Violations;
use rekindle_engine::sequences::{SimulatedMessage, SimulationAnswer};
use rekindle_proto::v1;

use super::preview::to_previewed;
use super::time;
use crate::name::Collection;

/// Sample messages where nothing is said.
const USUAL_SAMPLES: i32 = 3;
/// Most sample messages.
const MOST_SAMPLES: i32 = 10;

/// Reads the period and the number of samples.
pub fn bounds(request: &v1::SimulateSequenceRequest, v: &mut Violations) -> (Period, usize) {
    let period = request.period.as_ref().map(|period| time::period(period, "period", v)).unwrap_or_default();
    let samples = request.sample_count.unwrap_or(USUAL_SAMPLES);
    v.require((0..=MOST_SAMPLES).contains(&samples), "sampleCount", "takes 0 to 10");
    (period, usize::try_from(samples).unwrap_or_default())
}

/// The answer as a message.
pub fn to_answer(period: &Period, answer: SimulationAnswer) -> v1::SimulateSequenceResponse {
    v1::SimulateSequenceResponse {
        as_of_time: Some(time::to_instant(answer.as_of)),
        period: Some(time::to_period(period)),
        funnel_revision: answer.funnel_revision,
        complete: answer.complete,
        simulation: Some(to_simulation(&answer.simulation)),
        samples: answer.messages.into_iter().map(to_sample).collect(),
    }
}

fn to_simulation(found: &Simulation) -> v1::Simulation {
    v1::Simulation {
        due_count: found.due,
        agent_owed_count: found.agent_owed,
        eligible_count: found.eligible,
        filtered_count: found.filtered,
        cooling_down_count: found.cooling_down,
        held_out_count: found.held_out,
        came_back_count: found.came_back,
        moved_on_count: found.moved_on,
        written_to_count: found.written_to,
        wrote_nothing_count: found.wrote_nothing,
        open_count: found.open,
        came_back_after_count: found.came_back_after,
        message_count: found.messages,
        left_out_count: found.left_out,
        deferred_count: found.deferred,
        hours: found.hourly.hours().map(to_hour).collect(),
        later_message_count: found.hourly.later(),
    }
}

fn to_hour((hour, sent): (Timestamp, i64)) -> v1::HourCount {
    v1::HourCount { start_time: Some(time::to_instant(hour)), message_count: sent }
}

fn to_sample(sample: SimulatedMessage) -> v1::SimulatedMessage {
    let name = |collection: Collection, id: Option<String>| match id {
        Some(id) => collection.name(&id),
        None => String::new(),
    };
    v1::SimulatedMessage {
        conversation: name(Collection::Conversations, sample.conversation),
        customer: name(Collection::Customers, sample.customer),
        send_time: Some(time::to_instant(sample.sent_at)),
        message: Some(to_previewed(sample.message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(request: &v1::SimulateSequenceRequest) -> Result<(Period, usize), Vec<String>> {
        let mut v = Violations::new();
        let read = bounds(request, &mut v);
        v.into_result(read).map_err(|found| found.into_iter().map(|violation| violation.field).collect())
    }

    #[test]
    fn three_samples_of_all_history_are_given_unless_something_else_is_asked_for() {
        let mut request = v1::SimulateSequenceRequest::default();
        assert_eq!(read(&request), Ok((Period::default(), 3)));
        request.sample_count = Some(0);
        assert_eq!(read(&request), Ok((Period::default(), 0)));
        let at = pbjson_types::Timestamp { seconds: 1_767_225_600, nanos: 0 };
        request.period = Some(v1::Period { start_time: Some(at), end_time: Some(at) });
        for wrong in [-1, 11, i32::MIN] {
            request.sample_count = Some(wrong);
            assert_eq!(read(&request), Err(vec!["period.endTime".to_owned(), "sampleCount".to_owned()]));
        }
    }
}
