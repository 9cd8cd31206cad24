//! What became of stages that later revisions of a funnel removed.

use std::collections::{BTreeMap, HashMap};

use rekindle_ports::Tx;
use rekindle_ports::rows::RevisionRow;

use crate::error::EngineResult;

/// The stage maps of a funnel's revisions.
#[derive(Debug, Default)]
pub(crate) struct Renames {
    maps: BTreeMap<i64, BTreeMap<String, String>>,
}

impl Renames {
    fn new(revisions: Vec<RevisionRow>) -> Self {
        let map = |row: RevisionRow| (i64::from(row.head.revision), row.stage_map);
        Self { maps: revisions.into_iter().map(map).collect() }
    }

    /// The stage of revision `to` that goes on with a stage of revision `from`: the same one
    /// where no map between them names it, none where a map says that nothing takes over.
    pub fn successor<'a>(&'a self, stage: &'a str, from: i64, to: i64) -> Option<&'a str> {
        let mut stage = stage;
        for (_, map) in self.maps.iter().filter(|(revision, _)| from < **revision && **revision <= to) {
            if let Some(next) = map.get(stage) {
                stage = next;
            }
        }
        (!stage.is_empty()).then_some(stage)
    }
}

/// Renames of funnels, each read once for a unit of work.
#[derive(Debug, Default)]
pub(crate) struct KnownRenames(HashMap<String, Renames>);

impl KnownRenames {
    /// The renames of a funnel.
    pub async fn of(&mut self, tx: &mut dyn Tx, funnel: &str) -> EngineResult<&Renames> {
        if !self.0.contains_key(funnel) {
            let renames = Renames::new(tx.revisions(funnel).await?);
            self.0.insert(funnel.to_owned(), renames);
        }
        Ok(self.0.entry(funnel.to_owned()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renames(maps: &[(i64, &[(&str, &str)])]) -> Renames {
        let owned = |map: &[(&str, &str)]| {
            map.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
        };
        Renames { maps: maps.iter().map(|(revision, map)| (*revision, owned(map))).collect() }
    }

    #[test]
    fn a_stage_is_followed_through_the_revisions_between() {
        let renames = renames(&[(1, &[]), (2, &[("a", "b")]), (3, &[("b", "c")]), (4, &[("c", "")])]);
        assert_eq!(renames.successor("a", 1, 1), Some("a"));
        assert_eq!(renames.successor("a", 1, 2), Some("b"));
        assert_eq!(renames.successor("a", 1, 3), Some("c"));
        assert_eq!(renames.successor("a", 1, 4), None);
        assert_eq!(renames.successor("other", 1, 4), Some("other"));
    }

    #[test]
    fn a_name_that_is_used_again_is_another_stage() {
        let renames = renames(&[(1, &[]), (2, &[("a", "b")]), (3, &[])]);
        assert_eq!(renames.successor("a", 3, 3), Some("a"));
    }
}
