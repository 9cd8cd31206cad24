//! D10 and Q17: where a subject is, passage by passage.

use std::collections::BTreeSet;

use rekindle_core::funnel::{Funnel, Reentry, StageOrder};

use super::seen::Seen;

/// One passage.
#[derive(Debug, Clone, Default)]
pub struct ModelPassage {
    /// Index of its first event.
    pub opened: usize,
    /// Stages entered: place and index of the event.
    pub moves: Vec<(usize, usize)>,
}

impl ModelPassage {
    /// Whether it is through.
    pub fn is_completed(&self, funnel: &Funnel) -> bool {
        match funnel.order {
            StageOrder::Any => self.moves.len() == funnel.stages.len(),
            StageOrder::Ordered | StageOrder::Strict => {
                self.moves.last().is_some_and(|(place, _)| place + 1 == funnel.stages.len())
            }
        }
    }

    /// Whether the latest of its events that closes or opens it closes it.
    pub fn is_ended(&self, seen: &[Seen<'_>]) -> bool {
        let own = &seen[self.opened..];
        own.iter().rev().find(|event| event.ends || event.reopens).is_some_and(|event| event.ends)
    }
}

/// The passage in progress after all of these events; there is at least one.
pub fn current(funnel: &Funnel, seen: &[Seen<'_>]) -> ModelPassage {
    let mut opened = 0;
    for which in 1..seen.len() {
        let again = match funnel.reentry {
            Reentry::Never => false,
            Reentry::OnReopen => begins_episode(funnel, seen, which),
            Reentry::AfterEnd => {
                let before = walk(funnel, &seen[..which], opened);
                let over = before.is_completed(funnel) || before.is_ended(&seen[..which]);
                over && seen[which].stages.contains(&0)
            }
        };
        if again {
            opened = which;
        }
    }
    walk(funnel, seen, opened)
}

/// D10 from one event on.
fn walk(funnel: &Funnel, seen: &[Seen<'_>], opened: usize) -> ModelPassage {
    let mut passage = ModelPassage { opened, moves: Vec::new() };
    for (which, event) in seen.iter().enumerate().skip(opened) {
        let entered: BTreeSet<usize> = passage.moves.iter().map(|(place, _)| *place).collect();
        let allowed = |place: &usize| {
            let needs = funnel.stages[*place].requires.iter().filter_map(|id| funnel.stage_index(id));
            needs.collect::<BTreeSet<_>>().is_subset(&entered)
        };
        let next = match (funnel.order, passage.moves.last()) {
            (StageOrder::Any, _) => {
                (0..funnel.stages.len()).filter(|place| !entered.contains(place)).collect()
            }
            (_, None) => vec![0],
            (_, Some((last, _))) => after(funnel, *last),
        };
        let entering = next.into_iter().filter(allowed).find(|place| event.stages.contains(place));
        if let Some(place) = entering {
            passage.moves.push((place, which));
        }
    }
    passage
}

fn after(funnel: &Funnel, last: usize) -> Vec<usize> {
    let later = last + 1..funnel.stages.len();
    let required = later.clone().find(|place| !funnel.stages[*place].optional);
    later.filter(|place| required.is_none_or(|required| *place <= required)).collect()
}

/// Q3: whether an event reopens what was resolved, and so begins an episode.
pub fn begins_episode(funnel: &Funnel, seen: &[Seen<'_>], which: usize) -> bool {
    let event = seen[which].fact;
    let resolved = seen[..which].iter().rposition(|earlier| earlier.fact.event.kind == "resolution");
    let Some(resolved) = resolved else {
        return false;
    };
    let open_already = (resolved + 1..which).any(|between| begins_episode(funnel, seen, between));
    let since = event.at.since(seen[resolved].at());
    let goodbye = event.event.closing && since <= funnel.episodes.pleasantry_grace;
    let speaks = event.event.kind == "customer_message" && event.is_return() && !goodbye;
    !open_already && (event.event.kind == "reopen" || speaks)
}
