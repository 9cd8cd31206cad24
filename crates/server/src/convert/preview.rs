//! Previews: for whom, and what would be sent.

use rekindle_core::violation::Violations;
use rekindle_engine::sequences::{PreviewData, PreviewedMessage};
use rekindle_proto::v1;
use rekindle_proto::v1::preview_sequence_request::Data;

use super::delivery::masked;
use super::event::to_violation;
use super::{time, value};
use crate::name::Collection;

/// Reads for whom to write.
pub fn data(message: Option<&Data>, v: &mut Violations) -> PreviewData {
    match message {
        None => PreviewData::MadeUp,
        Some(Data::Conversation(name)) => {
            PreviewData::Conversation(Collection::Conversations.parse_within(name, "conversation", v))
        }
        Some(Data::Sample(sample)) => {
            let values = value::properties(sample, "sample", v);
            // Keys are texts and numbers are finite, so that JSON can always be written.
            PreviewData::Sample(serde_json::to_value(values).unwrap_or_default())
        }
    }
}

/// A message that would be sent.
pub fn to_previewed(message: PreviewedMessage) -> v1::PreviewedMessage {
    let is_mail = message.body.is_empty() && message.recipient.contains('@');
    v1::PreviewedMessage {
        step: message.step,
        wall_delay: Some(time::to_duration(message.wall_delay)),
        business_delay: Some(time::to_duration(message.business_delay)),
        recipient: if is_mail { masked(&message.recipient) } else { String::new() },
        subject: message.subject,
        text: message.text,
        html: message.html,
        body: message.body,
        violations: message.violations.into_iter().map(to_violation).collect(),
    }
}
