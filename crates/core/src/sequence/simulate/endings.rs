//! What ended runs that never were, read from history.

use crate::fold::Passages;
use crate::funnel::CompiledFunnel;
use crate::time::Timestamp;

/// When a journey that was in a stage at an instant left it, went through the last one or was
/// closed.
pub fn left_at(
    funnel: &CompiledFunnel,
    passages: &Passages,
    place: usize,
    after: Timestamp,
) -> Option<Timestamp> {
    let openings = passages.0.iter().map(|passage| passage.opened.at);
    let moves = passages.0.iter().flat_map(|passage| passage.moves.iter().map(|step| step.by.at));
    let left = openings.chain(moves).filter(|at| *at > after).filter(|at| {
        let standing = passages.at(funnel, *at);
        standing.place != Some(place) || standing.completed
    });
    let endings = passages.0.iter().flat_map(|passage| &passage.endings);
    let closed = endings.map(|ending| ending.ended_at).filter(|at| *at > after);
    left.chain(closed).min()
}
