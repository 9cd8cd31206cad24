//! Messages that would have gone, written for their real subjects.

use rekindle_core::Timestamp;
use rekindle_core::sequence::simulate::Sample;
use rekindle_ports::resources::SequenceRow;
use rekindle_ports::{Deliver, Tx};

use super::SimulatedMessage;
use crate::error::EngineResult;
use crate::loops::locks::lock_subjects;
use crate::sequences::PreviewedMessage;
use crate::sequences::preview::{Desk, unreal};

/// Writes them with what is known of their subjects now.
pub(super) async fn write(
    tx: &mut dyn Tx,
    deliver: &dyn Deliver,
    sequence: &SequenceRow,
    samples: &[Sample],
    now: Timestamp,
) -> EngineResult<Vec<SimulatedMessage>> {
    let mut messages = Vec::with_capacity(samples.len());
    for sample in samples {
        let Sample { conversation, customer, since, due_at, sent_at, .. } = *sample;
        let locked = lock_subjects(tx, conversation.into_iter().chain(customer)).await?;
        let run = unreal(sequence, conversation, customer, (since, due_at), sent_at);
        let desk = Desk::of(tx, deliver, sequence.clone(), run, &locked, None, now).await?;
        let steps = sequence.body.each_step();
        let Some((path, step)) = steps.iter().find(|(_, step)| step.id == sample.step) else {
            continue;
        };
        let message = desk.message(deliver, path, step);
        messages.push(SimulatedMessage {
            conversation: locked.conversation(conversation).map(|row| row.name.clone()),
            customer: locked.customer(customer).map(|row| row.name.clone()),
            sent_at,
            message: PreviewedMessage { wall_delay: sent_at.since(due_at), ..message },
        });
    }
    Ok(messages)
}
