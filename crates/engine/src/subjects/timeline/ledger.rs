//! What the ledger tells: what was noticed and done.

use rekindle_core::mark::{Mark, MarkKind};
use rekindle_ports::Tx;
use rekindle_ports::ledger::{AttemptRow, DeliveryRow, RunRow};
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use super::{DELIVERY, DeliveryLine, Happening, MARK, Placed, RUN, RunLine, TimelineCursor, Whose};
use crate::error::EngineResult;

/// Most runs and deliveries that a history tells: the newest.
const MOST: u32 = 10_000;

/// Marks, lines of runs, and deliveries.
pub(super) async fn entries(tx: &mut dyn Tx, whose: &Whose) -> EngineResult<Vec<Placed>> {
    let marks = tx.marks_of(&whose.subjects).await?;
    let mut entries: Vec<Placed> = marks.into_iter().map(mark_entry).collect();
    for run in tx.runs(&whose.filter, MOST).await? {
        let log = tx.run_log(run.id).await?;
        entries.extend(
            log.into_iter()
                .enumerate()
                .map(|(place, event)| run_entry(RunLine { run: run.clone(), index: place + 1, event })),
        );
    }
    entries.extend(deliveries(tx, whose).await?);
    Ok(entries)
}

fn mark_entry(mark: Mark) -> Placed {
    let kind = match mark.key.kind {
        MarkKind::Warned => 0,
        MarkKind::Stalled => 1,
        MarkKind::Abandoned => 2,
    };
    let key = &mark.key;
    let id = format!("{}\u{0}{}\u{0}{}\u{0}{}", key.funnel, key.subject, key.stage, key.anchor);
    Placed {
        place: TimelineCursor { at: mark.noticed_at, rank: MARK, sequence: kind, id },
        conversation: mark.conversation,
        what: Happening::Mark(mark),
    }
}

fn run_entry(line: RunLine) -> Placed {
    let RunRow { id, conversation, .. } = line.run;
    Placed {
        place: TimelineCursor {
            at: line.event.at,
            rank: RUN,
            sequence: line.index as i64,
            id: id.to_string(),
        },
        conversation,
        what: Happening::Run(line),
    }
}

async fn deliveries(tx: &mut dyn Tx, whose: &Whose) -> EngineResult<Vec<Placed>> {
    let rows = tx.deliveries(&whose.filter, MOST).await?;
    let ids: Vec<String> = rows.iter().map(|delivery| delivery.id.clone()).collect();
    let mut attempts = tx.attempts_of(&ids).await?;
    let customers: Vec<Uuid> = rows.iter().filter_map(|delivery| delivery.customer).collect();
    let names = tx.names(NameKind::Customer, &customers).await?;
    let entry = |delivery: DeliveryRow| {
        let attempts = attempts.remove(&delivery.id).unwrap_or_default();
        let customer = delivery.customer.and_then(|key| names.get(&key).cloned());
        delivery_entry(DeliveryLine { delivery, attempts, customer })
    };
    Ok(rows.into_iter().map(entry).collect())
}

fn delivery_entry(line: DeliveryLine) -> Placed {
    let at = line.attempts.first().map_or(line.delivery.created_at, |first: &AttemptRow| first.started_at);
    Placed {
        place: TimelineCursor { at, rank: DELIVERY, sequence: 0, id: line.delivery.id.clone() },
        conversation: line.delivery.conversation,
        what: Happening::Delivery(line),
    }
}
