//! What customers answered when they were asked how satisfied they are, after they were written to.

use std::collections::{BTreeSet, HashMap};

use rekindle_core::Timestamp;
use rekindle_ports::Tx;
use rekindle_ports::facts::RunFact;
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use super::BATCH;
use crate::error::EngineResult;

/// CSAT answers by conversation or customer, in the order of their events: when, and the score.
pub(super) struct Answers(HashMap<Uuid, Vec<(Timestamp, f64)>>);

impl Answers {
    /// Those that lie within the window of some run's first message.
    pub(super) async fn of(tx: &mut dyn Tx, runs: &[RunFact], window: i64) -> EngineResult<Self> {
        let mut found = Self(HashMap::new());
        let reached = runs.iter().filter_map(|run| run.reached_at);
        let (Some(first), Some(last)) = (reached.clone().min(), reached.max()) else {
            return Ok(found);
        };
        for kind in [NameKind::Conversation, NameKind::Customer] {
            let asked = runs.iter().filter(|run| run.reached_at.is_some()).map(whose);
            let keys: BTreeSet<Uuid> = asked.filter(|(of, _)| *of == kind).map(|(_, key)| key).collect();
            let keys: Vec<Uuid> = keys.into_iter().collect();
            for batch in keys.chunks(BATCH) {
                for (subject, event) in tx.csat_answers(kind, batch, first, last.plus(window)).await? {
                    let score = event.score().map(|score| (event.effective_at, score));
                    found.0.entry(subject).or_default().extend(score);
                }
            }
        }
        Ok(found)
    }

    /// Those of a run's conversation, or of its customer where it follows customers.
    pub(super) fn to(&self, run: &RunFact) -> Vec<(Timestamp, f64)> {
        self.0.get(&whose(run).1).cloned().unwrap_or_default()
    }
}

/// Whose answers concern a run.
fn whose(run: &RunFact) -> (NameKind, Uuid) {
    match run.conversation {
        Some(conversation) => (NameKind::Conversation, conversation),
        None => (NameKind::Customer, run.customer.unwrap_or(run.subject)),
    }
}
