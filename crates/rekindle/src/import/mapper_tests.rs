//! Rows of every shape, and the events they become.

use serde_json::json;

use super::super::mapping::Spec;
use super::*;

fn mapped(mapping: &str, row: Value) -> Result<Value, Vec<Fault>> {
    let mapping = Mapping::new(Spec::from_yaml(mapping).expect("YAML")).expect("a mapping");
    let Value::Object(row) = row else {
        panic!("a row is an object: {row}");
    };
    event(&mapping, 7, &row).map(|event| serde_json::to_value(event).expect("JSON"))
}

#[test]
fn our_own_names_map_by_themselves() {
    let row = json!({
        "id": "e1", "conversation": "c", "customer": "u", "type": "agent_message",
        "occurTime": "2026-01-02T03:04:05Z", "sequence": "12", "authorType": "AUTHOR_TYPE_AGENT",
        "public": false, "automated": true, "closing": true, "text": "hi",
        "properties": {"plan": "pro", "n": 2}, "receiveTime": "2026-01-02T03:04:06Z"
    });
    assert_eq!(
        mapped("{}", row).expect("an event"),
        json!({
            "id": "e1", "conversation": "c", "customer": "u", "type": "agent_message",
            "occurTime": "2026-01-02T03:04:05+00:00", "sequence": "12",
            "authorType": "AUTHOR_TYPE_AGENT", "public": false, "automated": true,
            "closing": true, "text": "hi", "properties": {"plan": "pro", "n": 2.0}
        })
    );
}

#[test]
fn the_shape_of_event_lines_has_a_preset() {
    let row = json!({
        "id": "a", "seq": 3, "conversation": "c", "customer": "u", "event": "Wait",
        "ts": "2010-01-13T08:40:25Z", "props": {"author": "krischan", "text": "hello"}
    });
    assert_eq!(
        mapped("format: events", row).expect("an event"),
        json!({
            "id": "a", "sequence": "3", "conversation": "c", "customer": "u", "type": "Wait",
            "occurTime": "2010-01-13T08:40:25+00:00",
            "properties": {"author": "krischan", "text": "hello"}
        })
    );
}

#[test]
fn columns_that_nothing_maps_become_properties() {
    let row = json!({
        "mql_id": "m1", "first_contact_date": "2018-02-01", "origin": "social", "landing": "",
        "score": "4.5", "paid": "yes", "secret": "x"
    });
    let mapping = "map: {conversation: mql_id, occurred_at: first_contact_date, properties.channel: origin}\n\
                   const: {type: lead, properties.source: file}\n\
                   numbers: [score]\nbooleans: [paid]\nskip: [secret]\n";
    assert_eq!(
        mapped(mapping, row).expect("an event"),
        json!({
            "conversation": "m1", "type": "lead", "occurTime": "2018-02-01T00:00:00+00:00",
            "properties": {"channel": "social", "source": "file", "score": 4.5, "paid": true}
        })
    );
}

#[test]
fn paths_lead_into_objects_and_keys_with_dots_come_first() {
    let row = json!({
        "a.b": "flat", "a": {"b": "deep", "who": "agent"}, "type": "x", "ts": 1_262_304_000
    });
    let mapping = "map: {conversation: a.b, author: a.who, occurred_at: ts, text: a.b}\nrest: false\n";
    assert_eq!(
        mapped(mapping, row).expect("an event"),
        json!({
            "conversation": "flat", "type": "x", "occurTime": "2010-01-01T00:00:00+00:00",
            "authorType": "AUTHOR_TYPE_AGENT", "text": "flat"
        })
    );
}

#[test]
fn every_wrong_field_is_named_at_once() {
    let row = json!({
        "conversation": {}, "sequence": "many", "author": "cat", "public": "perhaps",
        "occurred_at": "soon", "n": "x"
    });
    let mut faults: Vec<String> =
        mapped("numbers: [n]", row).expect_err("a wrong row").into_iter().map(|(field, _)| field).collect();
    faults.sort();
    assert_eq!(
        faults,
        ["author", "conversation", "occurred_at", "properties.n", "public", "sequence", "type"]
    );
}

#[test]
fn an_event_needs_a_conversation_or_a_customer() {
    let row = |who: &str| json!({"type": "x", "occurred_at": "2026-01-01", who: "u"});
    assert!(mapped("{}", row("customer")).is_ok());
    assert_eq!(
        mapped("{}", row("nobody")).expect_err("nobody"),
        [("conversation".to_owned(), "is missing, and so is the customer".to_owned())]
    );
}

#[test]
fn the_same_in_every_row_stands_in_where_a_cell_is_empty() {
    let row = json!({"type": "", "occurred_at": "2026-01-01", "customer": "u"});
    let event = mapped("const: {type: visit}", row).expect("an event");
    assert_eq!(event["type"], "visit");
}

#[test]
fn the_line_number_becomes_the_sequence_when_asked_for() {
    let row = json!({"type": "x", "occurred_at": "2026-01-01", "customer": "u"});
    assert_eq!(mapped("number_lines: true", row).expect("an event")["sequence"], "7");
}

#[test]
fn a_column_called_properties_is_one_like_any_other() {
    let row = json!({"type": "x", "occurred_at": "2026-01-01", "customer": "u", "properties": "3"});
    assert_eq!(mapped("{}", row.clone()).expect("an event")["properties"], json!({"properties": "3"}));
    assert!(mapped("map: {properties: properties}", row).is_err());
}
