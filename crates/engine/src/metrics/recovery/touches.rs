//! Messages that customers got before they came back, of any sequence.

use std::collections::{BTreeSet, HashSet};

use rekindle_core::Timestamp;
use rekindle_core::metrics::recovery::RecoveryFact;
use rekindle_core::metrics::recovery::credit::Touch;
use rekindle_core::sequence::arm::Arm;
use rekindle_ports::Tx;
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use super::BATCH;
use crate::error::EngineResult;

/// What was delivered to the customers of recovered runs, from the first message of any of these
/// runs to the last return. `nobodys` are conversations whose customer is not known.
pub(super) async fn before_returns(
    tx: &mut dyn Tx,
    sequence: &str,
    facts: &[RecoveryFact],
    nobodys: &HashSet<Uuid>,
    window: i64,
    as_of: Timestamp,
) -> EngineResult<Vec<Touch>> {
    let treated = facts.iter().filter(|fact| fact.arm == Arm::Treated);
    let recovered: Vec<(Uuid, Timestamp, Timestamp)> = treated
        .filter_map(|fact| Some((fact.assigned, fact.reached_at?, fact.recovered_at(window, as_of)?)))
        .collect();
    let first = recovered.iter().map(|(_, reached, _)| *reached).min();
    let last = recovered.iter().map(|(_, _, back)| *back).max();
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(Vec::new());
    };
    let mut touches = Vec::new();
    for kind in [NameKind::Customer, NameKind::Conversation] {
        let of_kind = |key: &Uuid| nobodys.contains(key) == (kind == NameKind::Conversation);
        let keys: BTreeSet<Uuid> = recovered.iter().map(|(key, _, _)| *key).filter(of_kind).collect();
        let keys: Vec<Uuid> = keys.into_iter().collect();
        for batch in keys.chunks(BATCH) {
            for fact in tx.touches(kind, batch, first, last).await? {
                let step = (fact.sequence == sequence).then_some(fact.step);
                touches.push(Touch { customer: fact.subject, at: fact.at, step });
            }
        }
    }
    Ok(touches)
}
