//! Requests as bytes: whatever can be decoded is read into values or refused by its fields, and
//! what was read is written back and read again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use rekindle_core::funnel::CompiledFunnel;
use rekindle_core::sequence;
use rekindle_core::violation::Violations;
use rekindle_proto::v1;
use rekindle_server::convert::question::{Context, figures};
use rekindle_server::convert::{destination, event, funnel, sequence as sequences, workspace};
use rekindle_server::status::ApiError;

/// Most bytes of a refusal: what clients take.
const HEADERS: usize = 8 * 1024;

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    match kind % 6 {
        0 => funnels(bytes),
        1 => events(bytes),
        2 => read_sequences(bytes),
        3 => {
            if let Ok(message) = v1::Destination::decode(bytes) {
                let _ = destination::destination(&message, "id");
            }
        }
        4 => {
            if let Ok(message) = v1::Workspace::decode(bytes) {
                let _ = workspace::workspace(message);
            }
        }
        _ => questions(bytes),
    }
});

fn funnels(bytes: &[u8]) {
    let Ok(message) = v1::Funnel::decode(bytes) else {
        return;
    };
    match funnel::funnel(&message, "id") {
        Ok(read) => {
            let again = funnel::funnel(&funnel::to_definition(&read), "id");
            assert_eq!(again.as_ref(), Ok(&read), "a definition that was written back is another");
            if let Err(violations) = CompiledFunnel::new(read) {
                refused(violations);
            }
        }
        Err(violations) => refused(violations),
    }
}

fn events(bytes: &[u8]) {
    let Ok(message) = v1::Event::decode(bytes) else {
        return;
    };
    match event::event(message) {
        Ok(event) => {
            let event = event.normalized();
            if event.check().is_empty() {
                assert!(event.occurred_at.is_acceptable());
                assert_eq!(event.digest(), event.clone().normalized().digest());
            }
        }
        Err(violations) => refused(violations),
    }
}

fn read_sequences(bytes: &[u8]) {
    let Ok(message) = v1::Sequence::decode(bytes) else {
        return;
    };
    match sequences::sequence(&message, "id") {
        Ok(read) => {
            let mut v = Violations::new();
            sequence::validate::validate(&read, &mut v);
            let again = sequences::sequence(&sequences::to_definition(&read), "id");
            assert_eq!(again.as_ref(), Ok(&read), "a definition that was written back is another");
        }
        Err(violations) => refused(violations),
    }
}

fn questions(bytes: &[u8]) {
    let Ok(message) = v1::QueryFunnelRequest::decode(bytes) else {
        return;
    };
    let mut v = Violations::new();
    let context = Context { funnel: "support".into(), subject: None, default_zone: "UTC" };
    let _ = figures(&message, context, &mut v);
    if !v.is_empty() {
        refused(v.into_vec());
    }
}

/// A refusal names a field, and is no larger than a client takes.
fn refused(violations: Vec<rekindle_core::violation::Violation>) {
    assert!(!violations.is_empty(), "refused without a word");
    let response = ApiError::fields(violations).into_status("id").into_http::<()>();
    let size: usize = response.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    assert!(size < HEADERS, "a refusal of {size} bytes");
}
