//! Where subjects are.

use std::collections::{BTreeSet, HashMap, HashSet};

use rekindle_core::mark::Mark;
use rekindle_core::sequence::Origin;
use rekindle_ports::Tx;
use rekindle_ports::ledger::RunRow;
use uuid::Uuid;

use super::Candidate;
use crate::engine::Inner;
use crate::error::EngineResult;
use crate::revisions::renames::KnownRenames;

/// Where a live journey is.
pub(crate) struct Place {
    /// Id of the stage.
    pub stage: String,
    /// Number of the revision in which it is live.
    pub revision: i32,
}

/// A run that is bound to a stage, and where its journey is now.
pub(crate) struct Bound<'a> {
    pub run: &'a RunRow,
    /// Id of the stage, if it is in one.
    pub stage: Option<&'a str>,
    /// Number of the revision in which it is live.
    pub revision: i32,
}

/// Those that are bound to no stage, and those whose subject is in theirs now.
pub(crate) async fn in_stages<'a>(
    tx: &mut dyn Tx,
    inner: &Inner,
    candidates: Vec<Candidate<'a>>,
) -> EngineResult<Vec<Candidate<'a>>> {
    let bound = candidates.iter().filter(|candidate| !candidate.origin.stage.is_empty());
    let pairs: BTreeSet<(String, Uuid)> =
        bound.map(|candidate| (candidate.origin.funnel.clone(), candidate.origin.subject)).collect();
    if pairs.is_empty() {
        return Ok(candidates);
    }
    let places = standing(tx, inner, pairs).await?;
    let if_there = |candidate: Candidate<'a>| {
        let Origin { funnel, subject, stage, .. } = &candidate.origin;
        if stage.is_empty() {
            return Some(candidate);
        }
        let place = places.get(&(funnel.clone(), *subject)).filter(|place| place.stage == *stage)?;
        Some(Candidate { funnel_revision: Some(place.revision), ..candidate })
    };
    Ok(candidates.into_iter().filter_map(if_there).collect())
}

/// The places of subjects in funnels; none of those that are in no stage, through or closed.
pub(crate) async fn standing(
    tx: &mut dyn Tx,
    inner: &Inner,
    pairs: BTreeSet<(String, Uuid)>,
) -> EngineResult<HashMap<(String, Uuid), Place>> {
    let pairs: Vec<(String, Uuid)> = pairs.into_iter().collect();
    let mut places = HashMap::new();
    for row in tx.live_journeys(&pairs).await? {
        let funnel = inner.revisions.compiled(tx, row.key.revision).await?;
        let revision = inner.revisions.number(tx, row.key.revision).await?;
        let standing = row.journey.passages.now(&funnel);
        if let Some(place) = standing.place.filter(|_| standing.can_go_quiet()) {
            let stage = funnel.funnel.stages[place].id.clone();
            places.insert((row.funnel, row.key.subject), Place { stage, revision });
        }
    }
    Ok(places)
}

/// Ids of the runs whose journeys are in their stage: under its name, or the one that a later
/// revision of the funnel gave it.
pub(crate) async fn at_their_stage(tx: &mut dyn Tx, bound: &[Bound<'_>]) -> EngineResult<HashSet<Uuid>> {
    let is_there = |it: &&Bound<'_>| it.stage == Some(it.run.trigger.stage.as_str());
    let mut there: HashSet<Uuid> = bound.iter().filter(is_there).map(|it| it.run.id).collect();
    // In its first revision no stage has another name yet.
    let elsewhere: Vec<&Bound<'_>> =
        bound.iter().filter(|it| it.revision > 1 && !there.contains(&it.run.id)).collect();
    if elsewhere.is_empty() {
        return Ok(there);
    }
    let subjects: Vec<Uuid> = elsewhere.iter().map(|it| it.run.trigger.subject).collect();
    let marks = tx.marks_of(&subjects).await?;
    let mut known = KnownRenames::default();
    for Bound { run, stage, revision } in elsewhere {
        let Some(from) = began_under(run, &marks) else {
            continue;
        };
        let renames = known.of(tx, &run.trigger.funnel).await?;
        let successor = renames.successor(&run.trigger.stage, from, (*revision).into());
        if successor.is_some() && successor == *stage {
            there.insert(run.id);
        }
    }
    Ok(there)
}

/// The number of the revision whose stage a run is bound to: its mark says so, or what it remembers.
fn began_under(run: &RunRow, marks: &[Mark]) -> Option<i64> {
    match run.trigger.mark() {
        Some(key) => marks.iter().find(|mark| mark.key == key).map(|mark| mark.revision),
        None => run.progress.funnel_revision.map(i64::from),
    }
}
