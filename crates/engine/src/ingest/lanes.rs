//! Which lane an event takes: everything about a customer takes the same.

use std::sync::atomic::{AtomicU64, Ordering};

use rekindle_core::ingest::NewEvent;
use xxhash_rust::xxh3::xxh3_64;

/// Conversations whose lane is remembered; two with one place forget each other. 1 MB.
const PLACES: usize = 1 << 17;
/// Bits of a place that hold the lane; the others tell conversations apart.
const LANE_BITS: u32 = 8;

/// Lanes, and which of them conversations took that had named their customer.
#[derive(Debug)]
pub(super) struct Lanes {
    count: u64,
    remembered: Vec<AtomicU64>,
}

impl Lanes {
    /// So many lanes, of which nobody has taken any.
    pub fn new(count: usize) -> Self {
        let count = count.clamp(1, 1 << (LANE_BITS - 1)) as u64;
        // A single lane needs no memory.
        let places = if count == 1 { 0 } else { PLACES };
        Self { count, remembered: (0..places).map(|_| AtomicU64::new(0)).collect() }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// The lane of an event: its customer's, or that which its conversation took before. One whose
    /// customer was named long ago, or to another process, may take another: it waits for the other
    /// lane's commit then, as it would for another replica's.
    pub fn of(&self, event: &NewEvent) -> usize {
        let lane = |name: &String| xxh3_64(name.as_bytes()) % self.count;
        let lane = match (&event.customer, &event.conversation) {
            (Some(customer), Some(conversation)) => self.remember(conversation, lane(customer)),
            (Some(customer), None) => lane(customer),
            (None, Some(conversation)) => self.recall(conversation).unwrap_or_else(|| lane(conversation)),
            (None, None) => 0,
        };
        lane as usize
    }

    fn remember(&self, conversation: &str, lane: u64) -> u64 {
        if let Some((place, mark)) = self.place(conversation) {
            // No lane is 0 here, so that nothing is remembered of an empty place.
            place.store(mark | (lane + 1), Ordering::Relaxed);
        }
        lane
    }

    fn recall(&self, conversation: &str) -> Option<u64> {
        let (place, mark) = self.place(conversation)?;
        let lane = place.load(Ordering::Relaxed).checked_sub(mark)?;
        lane.checked_sub(1).filter(|lane| *lane < self.count)
    }

    /// The place of a conversation, and what marks it there as this one's.
    fn place(&self, conversation: &str) -> Option<(&AtomicU64, u64)> {
        let hash = xxh3_64(conversation.as_bytes());
        let place = self.remembered.get(hash as usize % self.remembered.len().max(1))?;
        Some((place, hash >> LANE_BITS << LANE_BITS))
    }
}

#[cfg(test)]
mod tests {
    use rekindle_testkit::build;

    use super::*;

    fn event(conversation: Option<&str>, customer: Option<&str>) -> NewEvent {
        let (conversation, customer) = (conversation.map(str::to_owned), customer.map(str::to_owned));
        NewEvent { conversation, customer, ..build::event("e", "said", 0) }
    }

    #[test]
    fn a_conversation_stays_in_the_lane_of_the_customer_it_named() {
        let lanes = Lanes::new(4);
        for number in 0..1_000 {
            let (chat, customer) = (format!("chat-{number}"), format!("customer-{}", number / 3));
            let named = lanes.of(&event(Some(&chat), Some(&customer)));
            assert_eq!(lanes.of(&event(None, Some(&customer))), named);
            assert_eq!(lanes.of(&event(Some(&chat), None)), named, "{chat}");
        }
    }

    #[test]
    fn every_lane_is_taken_and_there_is_no_other() {
        let mut taken = [false; 4];
        let lanes = Lanes::new(4);
        for number in 0..100 {
            taken[lanes.of(&event(Some(&format!("chat-{number}")), None))] = true;
        }
        assert_eq!(taken, [true; 4]);
        assert_eq!(Lanes::new(1).of(&event(Some("chat"), Some("customer"))), 0);
    }
}
