//! The events that are sent, the same for the same seed.
//!
//! A conversation has eight events over a few hours: one or two of stage 1, further stages in
//! order as far as it comes, and messages in between. One event in twenty arrives up to a day
//! late. Two conversations in a hundred fall silent for longer than the funnels allow and go on.

use pbjson_types::value::Kind;
use pbjson_types::{Struct, Timestamp, Value};
use rekindle_proto::v1;

use crate::draws::Draws;

/// Events of a conversation.
pub const EVENTS: usize = 8;
/// Event types of the five stages.
pub const STAGES: [&str; 5] = ["contact", "quote", "negotiation", "order", "delivery"];
/// Everything else that is said.
const MESSAGES: [&str; 2] = ["agent_message", "customer_message"];
/// Where events come from, the first more often than the last.
pub const CHANNELS: [&str; 5] = ["email", "chat", "phone", "store", "social"];

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// How long before `end` the first conversation begins.
const SPAN: i64 = 48 * HOUR;
/// A silence longer than this is a stall; see [`crate::definitions`].
pub const STALL: i64 = 40 * HOUR;
/// Bytes of an event's properties as JSON.
const PROPERTY_BYTES: usize = 120;

/// A seeded set of conversations.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Number of conversations; a customer has two of them.
    pub conversations: u32,
    /// What makes ids of two workloads differ: a letter.
    pub prefix: char,
    /// Seed of every draw.
    pub seed: u64,
    /// By when everything has happened, in microseconds since 1970.
    pub end: i64,
}

/// In which order events arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As they arrive, all conversations mixed.
    Time,
    /// One conversation after the other, as they arrive.
    Conversation,
}

/// One event, before it is written out.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// Number of the conversation.
    pub conversation: u32,
    /// Number of the event in it.
    pub place: u8,
    /// Its type: a stage, or a message.
    kind: u8,
    /// When it happened.
    pub at: i64,
    /// When it arrives.
    arrives: i64,
}

impl Workload {
    /// All events in the order of their arrival.
    pub fn slots(&self, order: Order) -> Vec<Slot> {
        let mut slots: Vec<Slot> =
            (0..self.conversations).flat_map(|number| self.conversation(number)).collect();
        match order {
            Order::Time => slots.sort_by_key(|slot| (slot.arrives, slot.conversation, slot.place)),
            Order::Conversation => slots.sort_by_key(|slot| (slot.conversation, slot.arrives, slot.place)),
        }
        slots
    }

    fn conversation(&self, number: u32) -> [Slot; EVENTS] {
        let mut draws = Draws::of(self.seed, u64::from(number));
        let kinds = kinds(&mut draws);
        let (latest, silent) = if draws.once_in(50) { (HOUR, true) } else { (SPAN - 8 * HOUR, false) };
        let mut at = self.end - SPAN + draws.below(latest as u64) as i64;
        let long = silent.then(|| 1 + draws.below(EVENTS as u64 - 1) as usize);
        std::array::from_fn(|place| {
            if place > 0 {
                at += MINUTE + draws.below((50 * MINUTE) as u64) as i64;
            }
            if long == Some(place) {
                at += STALL + HOUR / 4;
            }
            let delay = if draws.once_in(20) { draws.below(DAY as u64) as i64 } else { 0 };
            Slot { conversation: number, place: place as u8, kind: kinds[place], at, arrives: at + delay }
        })
    }

    /// The client's id of a conversation.
    pub fn conversation_name(&self, slot: &Slot) -> String {
        format!("c{}{:07}", self.prefix, slot.conversation)
    }

    /// The client's id of the customer.
    pub fn customer_name(&self, slot: &Slot) -> String {
        format!("p{}{:07}", self.prefix, slot.conversation / 2)
    }

    /// The client's id of an event.
    pub fn id(&self, slot: &Slot) -> String {
        format!("c{}{:07}-{}", self.prefix, slot.conversation, slot.place)
    }

    /// An event's type.
    pub fn kind(slot: &Slot) -> &'static str {
        let kind = usize::from(slot.kind);
        STAGES.get(kind).copied().unwrap_or_else(|| MESSAGES[kind % MESSAGES.len()])
    }

    /// Channel and amount of an event.
    fn facts(&self, slot: &Slot) -> (&'static str, u32) {
        let mut draws = Draws::of(!self.seed, u64::from(slot.conversation));
        let channel = draws.below(15);
        // 5, 4, 3, 2 and 1 of 15.
        let channel = [5, 9, 12, 14, 15].iter().position(|end| channel < *end).unwrap_or(0);
        (CHANNELS[channel], draws.below(1_000) as u32)
    }

    /// An event's properties as JSON of 120 bytes.
    pub fn properties_json(&self, slot: &Slot) -> String {
        let (channel, amount) = self.facts(slot);
        let begin = format!(r#"{{"amount":{amount},"channel":"{channel}","note":""#);
        format!("{begin}{}\"}}", note(begin.len() + 2))
    }

    /// The event as it is sent.
    pub fn event(&self, slot: &Slot) -> v1::Event {
        let (channel, amount) = self.facts(slot);
        let note = note(self.properties_json(slot).find(r#""note":""#).unwrap_or(0) + 10);
        let text = |text: String| Value { kind: Some(Kind::StringValue(text)) };
        let number = Value { kind: Some(Kind::NumberValue(f64::from(amount))) };
        let fields = [("amount", number), ("channel", text(channel.to_owned())), ("note", text(note))];
        v1::Event {
            id: self.id(slot),
            conversation: self.conversation_name(slot),
            customer: self.customer_name(slot),
            r#type: Self::kind(slot).to_owned(),
            occur_time: Some(timestamp(slot.at)),
            properties: Some(Struct {
                fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            }),
            ..Default::default()
        }
    }
}

/// Types of the events of a conversation: 1.5 of stage 1, 1.5 of later stages, messages.
fn kinds(draws: &mut Draws) -> [u8; EVENTS] {
    // Of 20 conversations, 12, 9, 6 and 3 come to the later stages.
    let draw = draws.below(20);
    let deepest = [12, 9, 6, 3].iter().filter(|reach| draw < **reach).count() as u8;
    let mut stages: Vec<u8> = (1..=deepest).collect();
    if draws.once_in(2) {
        stages.insert(draws.below(stages.len() as u64 + 1) as usize, 0);
    }
    let mut places: Vec<usize> = (1..EVENTS).collect();
    draws.shuffle(&mut places);
    places.truncate(stages.len());
    places.sort_unstable();
    // Beside the stages: a message of one side or the other.
    let mut kinds =
        std::array::from_fn(|place| if place == 0 { 0 } else { (STAGES.len() + place % 2) as u8 });
    for (place, stage) in places.into_iter().zip(stages) {
        kinds[place] = stage;
    }
    kinds
}

fn note(before: usize) -> String {
    "x".repeat(PROPERTY_BYTES.saturating_sub(before))
}

/// An instant for the API, from microseconds since 1970.
pub fn timestamp(micros: i64) -> Timestamp {
    Timestamp { seconds: micros.div_euclid(1_000_000), nanos: (micros.rem_euclid(1_000_000) * 1_000) as i32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workload() -> Workload {
        Workload { conversations: 2_000, prefix: 'w', seed: 42, end: 1_800_000_000_000_000 }
    }

    #[test]
    fn the_same_seed_gives_the_same_events_in_either_order() {
        let workload = workload();
        let ids = |order| {
            let mut ids: Vec<_> = workload.slots(order).iter().map(|slot| workload.id(slot)).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(Order::Time), ids(Order::Conversation));
        assert_eq!(ids(Order::Time).len(), 16_000);
    }

    #[test]
    fn a_conversation_has_one_and_a_half_events_of_stage_1_and_properties_of_120_bytes() {
        let workload = workload();
        let slots = workload.slots(Order::Time);
        let first = slots.iter().filter(|slot| Workload::kind(slot) == STAGES[0]).count();
        assert!((2_850..3_150).contains(&first), "{first}");
        for slot in slots.iter().take(100) {
            let json: serde_json::Value = serde_json::from_str(&workload.properties_json(slot)).unwrap();
            assert_eq!(json.to_string().len(), PROPERTY_BYTES);
            let sent = serde_json::to_value(&workload.event(slot).properties).unwrap();
            assert_eq!((&sent["channel"], &sent["note"]), (&json["channel"], &json["note"]));
        }
    }

    #[test]
    fn one_event_in_twenty_is_late() {
        let slots = workload().slots(Order::Time);
        let late = slots.iter().filter(|slot| slot.arrives > slot.at).count();
        assert!((700..900).contains(&late), "{late} of {}", slots.len());
        assert!(slots.iter().all(|slot| slot.arrives - slot.at < DAY && slot.at <= workload().end));
    }
}
