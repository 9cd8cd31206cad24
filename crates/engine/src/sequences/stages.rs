//! What becomes of sequences whose stage or funnel goes away.

use std::collections::BTreeMap;

use rekindle_core::Timestamp;
use rekindle_core::funnel::Funnel;
use rekindle_core::sequence::SequenceState;
use rekindle_core::violation::Violation;
use rekindle_ports::Tx;
use rekindle_ports::resources::SequenceRow;

use super::definition::lacks;
use super::{revised, tagged};
use crate::error::{EngineError, EngineResult, Precondition};

/// Runs that end because the stage that started them is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Orphaned {
    /// Sequence id.
    pub sequence: String,
    /// Stage id.
    pub stage: String,
}

/// Sequences that are not over and name a stage which the new revision removes.
pub(crate) async fn bound_to_removed(
    tx: &mut dyn Tx,
    funnel: &str,
    before: &Funnel,
    after: &Funnel,
) -> EngineResult<Vec<SequenceRow>> {
    let goes = |stage: &str| before.stage_index(stage).is_some() && after.stage_index(stage).is_none();
    let bound = open_sequences(tx, funnel).await?;
    Ok(bound.into_iter().filter(|row| goes(&row.body.trigger.stage)).collect())
}

/// The stage that takes over must have the rule that the sequence starts on.
pub(crate) fn map_violations(
    bound: &[SequenceRow],
    after: &Funnel,
    map: &BTreeMap<String, String>,
) -> Vec<Violation> {
    bound
        .iter()
        .filter_map(|row| {
            let trigger = &row.body.trigger;
            let to = after.stages.iter().find(|stage| Some(&stage.id) == map.get(&trigger.stage))?;
            let kind = trigger.on.silence()?;
            let message = format!("{}, on which the sequence {:?} starts", lacks(kind), row.id);
            let field = format!("stageMap.{}", trigger.stage);
            to.rule(kind).is_none().then_some(Violation { field, message })
        })
        .collect()
}

/// Refuses a revision that says nothing of a stage that sequences name.
pub(crate) fn check_mapped(bound: &[SequenceRow], map: &BTreeMap<String, String>) -> EngineResult<()> {
    let unmapped: Vec<&SequenceRow> =
        bound.iter().filter(|row| !map.contains_key(&row.body.trigger.stage)).collect();
    if unmapped.is_empty() {
        return Ok(());
    }
    let stages = listed(unmapped.iter().map(|row| row.body.trigger.stage.as_str()));
    let sequences = listed(unmapped.iter().map(|row| row.id.as_str()));
    Err(EngineError::Precondition {
        reason: Precondition::StageInUse,
        message: format!(
            "sequences ({sequences}) name stages that go ({stages}): stage_map must say what becomes of them"
        ),
        metadata: vec![("stages".into(), stages), ("sequences".into(), sequences)],
    })
}

/// Refuses to delete a funnel that sequences name.
pub(crate) async fn check_unused(tx: &mut dyn Tx, funnel: &str) -> EngineResult<()> {
    let bound = open_sequences(tx, funnel).await?;
    if bound.is_empty() {
        return Ok(());
    }
    let sequences = listed(bound.iter().map(|row| row.id.as_str()));
    Err(EngineError::Precondition {
        reason: Precondition::FunnelInUse,
        message: format!("sequences that are not archived name it: {sequences}"),
        metadata: vec![("sequences".into(), sequences)],
    })
}

/// Binds sequences to the stages that take over; where none does, pauses them and says whose runs end.
pub(crate) async fn follow(
    tx: &mut dyn Tx,
    bound: &[SequenceRow],
    map: &BTreeMap<String, String>,
    now: Timestamp,
) -> EngineResult<Vec<Orphaned>> {
    let mut orphaned = Vec::new();
    for seen in bound {
        // Read once more under its lock: a verb may have changed it meanwhile.
        let Some(row) = tx.sequence(&seen.id).await? else {
            continue;
        };
        let stage = row.body.trigger.stage.clone();
        let row = match map.get(&stage).map(String::as_str) {
            Some("") => {
                orphaned.push(Orphaned { sequence: row.id.clone(), stage });
                let state =
                    if row.state == SequenceState::Active { SequenceState::Paused } else { row.state };
                tagged(SequenceRow { state, updated_at: now, ..row })
            }
            Some(to) => {
                let mut body = row.body.clone();
                to.clone_into(&mut body.trigger.stage);
                revised(row, body, now)
            }
            None => continue,
        };
        tx.save_sequence(&row).await?;
    }
    Ok(orphaned)
}

async fn open_sequences(tx: &mut dyn Tx, funnel: &str) -> EngineResult<Vec<SequenceRow>> {
    let bound = tx.sequences_of(funnel).await?;
    Ok(bound.into_iter().filter(|row| row.state != SequenceState::Archived).collect())
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}
