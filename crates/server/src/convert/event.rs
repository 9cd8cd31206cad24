//! Events: in as clients send them, out as they are stored; and what is said of refused ones.

use rekindle_core::Timestamp;
use rekindle_core::ingest::{NewEvent, Rejection, RejectionReason};
use rekindle_core::violation::{Violation, Violations};
use rekindle_engine::subjects::EventLine;
use rekindle_proto::v1;

use super::{choice, time, value};

/// Reads an event; every wrong field is named, those that the core checks too.
pub fn event(message: v1::Event) -> Result<NewEvent, Vec<Violation>> {
    let mut v = Violations::new();
    v.require(message.occur_time.is_some(), "occurTime", "is required");
    let occurred_at = message.occur_time.as_ref().and_then(|at| time::instant(at, "occurTime", &mut v));
    let author = choice::author(message.author_type, "authorType", &mut v);
    let properties = message.properties.as_ref();
    let properties = properties.map(|map| value::properties(map, "properties", &mut v)).unwrap_or_default();
    let event = NewEvent {
        id: message.id,
        conversation: given(message.conversation),
        customer: given(message.customer),
        kind: message.r#type,
        occurred_at: occurred_at.unwrap_or(Timestamp::EARLIEST),
        sequence: message.sequence,
        author,
        public: message.public,
        automated: message.automated.then_some(true),
        closing: message.closing,
        text: given(message.text),
        properties,
    };
    if v.is_empty() {
        return Ok(event);
    }
    let mut found = v.into_vec();
    found.extend(event.check());
    Err(found)
}

/// A stored event as a message, with the names it was sent with.
pub fn to_event(line: &EventLine) -> v1::Event {
    let event = &line.stored.event;
    v1::Event {
        id: event.id.clone(),
        conversation: line.conversation.clone().unwrap_or_default(),
        customer: line.stored.customer_name.clone().unwrap_or_default(),
        r#type: event.kind.clone(),
        occur_time: Some(time::to_instant(event.occurred_at)),
        sequence: event.sequence,
        author_type: choice::to_author(event.author).into(),
        public: Some(event.public),
        automated: event.automated,
        closing: event.closing,
        text: event.text.clone().unwrap_or_default(),
        properties: Some(value::to_struct(&event.properties)),
        receive_time: Some(time::to_instant(event.received_at)),
        effective_time: Some(time::to_instant(event.effective_at)),
        clamped: line.stored.clamped,
    }
}

/// A rejection as a message; `batch_sequence` is that of the batch in a stream, else 0.
pub fn to_rejection(rejection: Rejection, batch_sequence: i64) -> v1::EventRejection {
    let (reason, message) = match rejection.reason {
        RejectionReason::Invalid => (v1::ErrorReason::EventInvalid, said(&rejection.violations)),
        RejectionReason::IdReused => {
            (v1::ErrorReason::EventIdReused, "another event with this id is stored, and stays".to_owned())
        }
        RejectionReason::SubjectErased => {
            (v1::ErrorReason::SubjectErased, "its conversation or customer was erased".to_owned())
        }
    };
    v1::EventRejection {
        index: rejection.index as i32,
        event_id: rejection.id,
        reason: reason.into(),
        message,
        field_violations: rejection.violations.into_iter().map(to_violation).collect(),
        batch_sequence,
    }
}

/// A violation as a message.
pub fn to_violation(violation: Violation) -> v1::FieldViolation {
    v1::FieldViolation { field: violation.field, description: violation.message }
}

fn said(violations: &[Violation]) -> String {
    let parts: Vec<String> = violations.iter().map(|it| format!("{}: {}", it.field, it.message)).collect();
    parts.join("; ")
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use rekindle_core::event::Author;
    use rekindle_core::value::Value;

    use super::*;

    fn message() -> v1::Event {
        v1::Event {
            id: "e1".into(),
            conversation: "c1".into(),
            r#type: "customer_message".into(),
            occur_time: Some(time::to_instant(Timestamp::EARLIEST.plus(5))),
            author_type: v1::AuthorType::Bot.into(),
            public: Some(false),
            text: "hello".into(),
            properties: Some(value::to_struct(&[("plan".into(), Value::from("pro"))].into())),
            ..v1::Event::default()
        }
    }

    #[test]
    fn an_event_is_read_field_by_field_and_empty_means_absent() {
        let read = event(message()).expect("a valid event");
        assert_eq!((read.id.as_str(), read.kind.as_str()), ("e1", "customer_message"));
        assert_eq!((read.conversation.as_deref(), read.customer), (Some("c1"), None));
        assert_eq!(read.occurred_at, Timestamp::EARLIEST.plus(5));
        assert_eq!((read.author, read.public, read.automated), (Some(Author::Bot), Some(false), None));
        assert_eq!(read.properties["plan"], Value::from("pro"));
    }

    #[test]
    fn every_wrong_field_of_an_event_is_named() {
        let wrong = v1::Event {
            id: String::new(),
            occur_time: None,
            author_type: 99,
            properties: Some(value::to_struct(&[("n".into(), Value::Number(f64::NAN))].into())),
            ..message()
        };
        let found = event(wrong).expect_err("four wrong fields");
        let fields: Vec<_> = found.into_iter().map(|violation| violation.field).collect();
        assert_eq!(fields, ["occurTime", "authorType", "properties.n", "id"]);
    }

    #[test]
    fn a_rejection_says_where_why_and_in_which_batch() {
        let violations = vec![Violation { field: "id".into(), message: "is wrong".into() }];
        let rejection =
            Rejection { index: 3, id: String::new(), reason: RejectionReason::Invalid, violations };
        let message = to_rejection(rejection, 17);
        assert_eq!((message.index, message.batch_sequence), (3, 17));
        assert_eq!(message.reason(), v1::ErrorReason::EventInvalid);
        assert_eq!(message.field_violations[0].field, "id");
        assert_eq!(message.message, "id: is wrong");
    }
}
