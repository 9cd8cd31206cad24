//! Writes deliveries that are over or wait again, and lets their runs go on.

use rekindle_core::Timestamp;
use rekindle_ports::Tx;
use rekindle_ports::ledger::{AttemptRow, DeliveryKey, DeliveryRow, DeliveryState, RunEvent};
use rekindle_ports::rows::Claimed;
use uuid::Uuid;

use crate::error::EngineResult;

/// Held deliveries as they are now, and attempts.
#[derive(Default)]
pub(super) struct Settled {
    given_back: Vec<(Claimed<DeliveryKey>, DeliveryRow)>,
    attempts: Vec<AttemptRow>,
    notes: Vec<RunEvent>,
}

impl Settled {
    /// A delivery that is over, or waits again.
    pub fn add(&mut self, claim: Claimed<DeliveryKey>, delivery: DeliveryRow) {
        self.given_back.push((claim, delivery));
    }

    /// An attempt, new or with its outcome.
    pub fn attempt(&mut self, attempt: AttemptRow) {
        self.attempts.push(attempt);
    }

    /// A line for the ledger of a run that goes on.
    pub fn note(&mut self, line: RunEvent) {
        self.notes.push(line);
    }

    /// Writes them; whether a run goes on.
    pub async fn save(self, tx: &mut dyn Tx, now: Timestamp) -> EngineResult<bool> {
        tx.save_deliveries(&self.given_back, true).await?;
        tx.save_attempts(&self.attempts).await?;
        let over = || self.given_back.iter().map(|(_, delivery)| delivery).filter(|it| it.state.is_final());
        let mut lines = self.notes.clone();
        lines.extend(over().map(|delivery| line(delivery, now)));
        tx.log_run(&lines).await?;
        let runs: Vec<Uuid> = over().map(|delivery| delivery.run).collect();
        tx.wake_runs(&runs, now).await?;
        Ok(!runs.is_empty())
    }
}

fn line(delivery: &DeliveryRow, now: Timestamp) -> RunEvent {
    let DeliveryRow { id, state, reason, .. } = delivery;
    let kind = if *state == DeliveryState::HeldOut { "held_out" } else { "delivery_settled" };
    RunEvent {
        run: delivery.run,
        at: now,
        kind: kind.into(),
        step: delivery.step.clone(),
        detail: format!("{id}: {state:?} {reason}").trim_end().to_owned(),
    }
}
