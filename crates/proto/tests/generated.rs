//! What others rely on in the generated code: proto JSON and the descriptors.

use pbjson_types::Duration;
use prost::Message;
use rekindle_proto::FILE_DESCRIPTOR_SET;
use rekindle_proto::v1::{Event, Funnel, OwedBy, TimeBasis};
use serde_json::json;

#[test]
fn a_funnel_written_as_proto_json_is_read_and_written_back() {
    let text = json!({
        "displayName": "Support",
        "conversionWindow": "604800s",
        "stages": [{
            "id": "waiting",
            "enter": [{"eventTypes": ["agent_message"], "where": "event.public"}],
            "stall": {"after": "1200s", "basis": "TIME_BASIS_BUSINESS", "owedBy": "OWED_BY_CUSTOMER"},
        }],
    });
    let funnel: Funnel = serde_json::from_value(text.clone()).expect("proto JSON");

    let stall = funnel.stages[0].stall.as_ref().expect("a stall rule");
    assert_eq!(stall.after, Some(Duration { seconds: 1200, nanos: 0 }));
    assert_eq!(stall.basis(), TimeBasis::Business);
    assert_eq!(stall.owed_by(), OwedBy::Customer);
    assert_eq!(serde_json::to_value(&funnel).expect("JSON"), text);
}

#[test]
fn a_misspelt_field_is_an_error_that_names_it() {
    let error = serde_json::from_value::<Funnel>(json!({"stagse": []})).expect_err("a typo");
    assert!(error.to_string().contains("stagse"), "{error}");
}

#[test]
fn properties_keep_their_kinds_over_json_and_the_wire() {
    let text = json!({"id": "e1", "type": "order", "properties": {"paid": true, "cents": 1250.0, "of": ["a", null]}});
    let event: Event = serde_json::from_value(text.clone()).expect("proto JSON");
    let sent = Event::decode(event.encode_to_vec().as_slice()).expect("a message");
    assert_eq!(serde_json::to_value(&sent).expect("JSON"), text);
}

#[test]
fn the_descriptors_name_every_service_and_keep_number_nine_for_known_time() {
    let set = prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("descriptors");
    let services: Vec<&str> = set
        .file
        .iter()
        .flat_map(|file| &file.service)
        .map(prost_types::ServiceDescriptorProto::name)
        .collect();
    assert_eq!(
        services,
        [
            "ConversationService",
            "CustomerService",
            "DeliveryService",
            "DestinationService",
            "FunnelService",
            "IngestService",
            "MetricsService",
            "ReplayService",
            "RunService",
            "SequenceService",
            "SuppressionService",
            "WorkspaceService",
        ]
    );
    let questions: Vec<_> = set
        .file
        .iter()
        .flat_map(|file| &file.message_type)
        .filter(|message| ["QueryFunnelRequest", "ListFunnelSubjectsRequest"].contains(&message.name()))
        .collect();
    assert_eq!(questions.len(), 2);
    assert!(questions.iter().all(|message| message.field.iter().all(|field| field.number() != 9)));
}
