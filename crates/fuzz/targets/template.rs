//! Templates: whatever is written, checking and rendering end, and what comes out is bounded.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rekindle_delivery::template::{Kind, OUTPUT_BYTES, SOURCE_BYTES, Templates};
use serde_json::json;

const KINDS: [Kind; 5] = [Kind::Subject, Kind::Text, Kind::Html, Kind::Json, Kind::Address];

fuzz_target!(|input: (u8, &str)| {
    let (kind, source) = (KINDS[usize::from(input.0) % KINDS.len()], input.1);
    if Templates.check(source, kind).is_err() {
        return;
    }
    assert!(source.len() <= SOURCE_BYTES, "a template of {} bytes was taken", source.len());
    let context = json!({
        "customer": {"id": "ada", "name": "Ada <script>", "email": "ada@example.com", "n": 3},
        "conversation": {"id": "c-1", "tags": ["a", "b", "c"], "deep": {"a": {"b": null}}},
        "funnel": {"id": "support", "display_name": "Support"},
        "stage": {"id": "asked", "display_name": "Asked"},
        "silence": {"since": "2026-03-02T09:00:00Z", "due": "2026-03-02T10:00:00Z", "owed_by": "customer"},
        "unsubscribe_url": "https://example.com/u/1",
    });
    let Ok(text) = Templates.render(source, kind, &context) else {
        return;
    };
    assert!(text.len() <= OUTPUT_BYTES, "{} bytes were rendered", text.len());
    match kind {
        Kind::Subject | Kind::Address => assert!(!text.contains(['\r', '\n', '\0']), "{text:?}"),
        Kind::Json => assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{text:?}"),
        Kind::Text | Kind::Html => {}
    }
});
