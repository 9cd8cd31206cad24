//! Ledger lines of runs.

use std::collections::HashMap;

use rekindle_core::Timestamp;
use rekindle_ports::StoreResult;
use rekindle_ports::ledger::RunEvent;
use sea_orm::QueryResult;
use uuid::Uuid;

use crate::probe::Probe;
use crate::sql::{Cell, Columns, Kind, Source};
use crate::store::{SeaTx, get};
use crate::subjects::keys;

const T: &str = "run_events";

const EVENT: &Columns = &[
    ("run", Kind::Uuid),
    ("place", Kind::Int),
    ("at", Kind::Int),
    ("kind", Kind::Text),
    ("step", Kind::Text),
    ("detail", Kind::Text),
];

pub(super) async fn append(tx: &SeaTx, events: &[RunEvent]) -> StoreResult<()> {
    if events.is_empty() {
        return Ok(());
    }
    let mut places = next_places(tx, events).await?;
    let rows: Vec<Vec<Cell>> = events
        .iter()
        .map(|event| {
            let place = places.entry(event.run).or_default();
            let cells = event_cells(event, *place);
            *place += 1;
            cells
        })
        .collect();
    tx.insert(T, EVENT, &rows, "").await?;
    Ok(())
}

pub(super) async fn read(tx: &SeaTx, run: Uuid) -> StoreResult<Vec<RunEvent>> {
    let sql = format!("SELECT * FROM run_events WHERE {} AND run = {} ORDER BY place", tx.here(), tx.bind(1));
    tx.all(&sql, vec![run.into()]).await?.iter().map(event).collect()
}

/// For each run that has ledger lines: the place of the next one.
async fn next_places(tx: &SeaTx, events: &[RunEvent]) -> StoreResult<HashMap<Uuid, i32>> {
    let runs: Vec<Uuid> = events.iter().map(|event| event.run).collect();
    let Source { select, values } = tx.source(&[("run", Kind::Uuid)], &keys(&runs), 1);
    let logged = Probe { columns: "run, place", table: T, by: &["run"], and: "" };
    let sql = format!(
        "SELECT run, MAX(place) + 1 AS place FROM ({}) AS e GROUP BY run",
        tx.probe(&logged, &select)
    );
    let rows = tx.all(&sql, values).await?;
    rows.iter().map(|row| Ok((get(row, T, "run")?, get(row, T, "place")?))).collect()
}

fn event_cells(event: &RunEvent, place: i32) -> Vec<Cell> {
    vec![
        event.run.into(),
        place.into(),
        event.at.0.into(),
        event.kind.clone().into(),
        event.step.clone().into(),
        event.detail.clone().into(),
    ]
}

fn event(row: &QueryResult) -> StoreResult<RunEvent> {
    Ok(RunEvent {
        run: get(row, T, "run")?,
        at: Timestamp(get(row, T, "at")?),
        kind: get(row, T, "kind")?,
        step: get(row, T, "step")?,
        detail: get(row, T, "detail")?,
    })
}
