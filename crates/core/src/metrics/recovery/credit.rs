//! Which message came last before a return: for display (`semantics.md` Q13).
//!
//! Who was written to last need not be who brought the customer back; what a sequence brought
//! back is the uplift, and nothing else claims it.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

use super::RecoveryFact;
use crate::sequence::arm::Arm;
use crate::time::Timestamp;

/// A message that was delivered to a customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// The customer, or the conversation where nobody knows whose it is.
    pub customer: Uuid,
    /// When it was delivered.
    pub at: Timestamp,
    /// Id of the step that sent it; nothing for a message of another sequence.
    pub step: Option<String>,
}

/// Recovered runs of the treated, by the message that came last.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credit {
    /// By step of the sequence; none that came last nowhere.
    pub steps: BTreeMap<String, i64>,
    /// Those where another sequence wrote last.
    pub elsewhere: i64,
}

impl Credit {
    /// Credits each recovered run of the treated to the last message within the window before the
    /// return. `touches` are in the order of their delivery.
    pub fn of(facts: &[RecoveryFact], touches: &[Touch], window: i64, as_of: Timestamp) -> Self {
        let mut of_customer: HashMap<Uuid, Vec<&Touch>> = HashMap::new();
        for touch in touches {
            of_customer.entry(touch.customer).or_default().push(touch);
        }
        let mut credit = Self::default();
        for fact in facts.iter().filter(|fact| fact.arm == Arm::Treated) {
            let Some(back) = fact.recovered_at(window, as_of) else {
                continue;
            };
            let got = of_customer.get(&fact.assigned).into_iter().flatten();
            let last = got.rev().find(|touch| touch.at < back).filter(|touch| back.since(touch.at) <= window);
            match last.map(|touch| &touch.step) {
                Some(Some(step)) => *credit.steps.entry(step.clone()).or_default() += 1,
                Some(None) => credit.elsewhere += 1,
                None => {}
            }
        }
        credit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::silence::EndedBy;
    use crate::time::DAY;

    const NOW: Timestamp = Timestamp(100 * DAY);

    /// Came back on day 20, five days after the first message.
    fn back(customer: u128, arm: Arm) -> RecoveryFact {
        RecoveryFact {
            assigned: Uuid::from_u128(customer),
            arm,
            holdout: 2_000,
            ways: Vec::new(),
            is_running: false,
            due_at: Timestamp(14 * DAY),
            reached_at: Some(Timestamp(15 * DAY)),
            ended: Some((Timestamp(20 * DAY), EndedBy::CustomerReturned)),
            is_void: false,
            unsubscribed_at: None,
            complained_at: None,
            answers: Vec::new(),
        }
    }

    fn touch(customer: u128, day: i64, step: Option<&str>) -> Touch {
        Touch { customer: Uuid::from_u128(customer), at: Timestamp(day * DAY), step: step.map(str::to_owned) }
    }

    fn credit(facts: &[RecoveryFact], touches: &[Touch]) -> (Vec<(String, i64)>, i64) {
        let found = Credit::of(facts, touches, 7 * DAY, NOW);
        (found.steps.into_iter().collect(), found.elsewhere)
    }

    #[test]
    fn the_last_message_before_the_return_is_credited() {
        let facts = [1, 2, 3].map(|customer| back(customer, Arm::Treated));
        let touches = [
            touch(1, 15, Some("ask")),
            touch(1, 18, Some("tell")),
            touch(2, 15, Some("ask")),
            touch(2, 19, None),
            touch(3, 15, Some("ask")),
            // At the return and after it: too late to have brought anybody back.
            touch(3, 20, Some("tell")),
            touch(3, 21, None),
        ];
        assert_eq!(credit(&facts, &touches), (vec![("ask".into(), 1), ("tell".into(), 1)], 1));
    }

    #[test]
    fn nothing_is_credited_for_who_did_not_come_back_or_got_no_message() {
        let touches = [touch(1, 15, Some("ask"))];
        let none = (Vec::new(), 0);
        assert_eq!(credit(&[back(1, Arm::HeldOut)], &touches), none);
        assert_eq!(credit(&[RecoveryFact { ended: None, ..back(1, Arm::Treated) }], &touches), none);
        assert_eq!(credit(&[RecoveryFact { is_void: true, ..back(1, Arm::Treated) }], &touches), none);
        assert_eq!(credit(&[back(2, Arm::Treated)], &touches), none);
        // Eight days before.
        assert_eq!(credit(&[back(1, Arm::Treated)], &[touch(1, 12, Some("ask"))]), none);
    }
}
