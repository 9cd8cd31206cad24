//! Where subjects are.

use std::collections::{BTreeSet, HashSet};

use rekindle_ports::Tx;
use uuid::Uuid;

use super::Candidate;
use crate::engine::Inner;
use crate::error::EngineResult;

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
    let stand = standing(tx, inner, pairs).await?;
    let is_there = |candidate: &Candidate<'_>| {
        let origin = &candidate.origin;
        origin.stage.is_empty()
            || stand.contains(&(origin.funnel.clone(), origin.subject, origin.stage.clone()))
    };
    Ok(candidates.into_iter().filter(is_there).collect())
}

/// Of subjects in funnels: those that are in a stage now, neither through nor closed, each with its
/// stage.
pub(crate) async fn standing(
    tx: &mut dyn Tx,
    inner: &Inner,
    pairs: BTreeSet<(String, Uuid)>,
) -> EngineResult<HashSet<(String, Uuid, String)>> {
    let pairs: Vec<(String, Uuid)> = pairs.into_iter().collect();
    let mut stand = HashSet::new();
    for row in tx.live_journeys(&pairs).await? {
        let funnel = inner.revisions.compiled(tx, row.key.revision).await?;
        let standing = row.journey.passages.now(&funnel);
        if let Some(place) = standing.place.filter(|_| standing.can_go_quiet()) {
            stand.insert((row.funnel, row.key.subject, funnel.funnel.stages[place].id.clone()));
        }
    }
    Ok(stand)
}
