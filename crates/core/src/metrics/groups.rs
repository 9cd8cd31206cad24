//! Breakdowns: the largest groups by name, the rest as one.

use std::collections::{HashMap, HashSet};

use super::facts::AttemptFact;
use super::positions::Positions;
use super::{Analysis, Group};

/// The value that stands for all groups that are not named.
pub const OTHER: &str = "$other";

/// Figures by value of the breakdown at `place`: the `top` largest by units that entered,
/// then by value, and one group for the rest.
pub fn groups(analysis: &Analysis, positions: &Positions, place: usize, top: usize) -> Vec<Group> {
    let named = largest(analysis, place, top);
    let mut groups: Vec<Group> = named
        .iter()
        .map(|value| Group {
            value: value.clone(),
            is_other: false,
            figures: analysis.figures_where(positions, |attempt| attempt.values[place] == *value),
        })
        .collect();
    let known: HashSet<&String> = named.iter().collect();
    let is_other = |attempt: &AttemptFact| !known.contains(&attempt.values[place]);
    if analysis.best().any(|(_, attempt)| is_other(attempt)) {
        groups.push(Group {
            value: OTHER.into(),
            is_other: true,
            figures: analysis.figures_where(positions, is_other),
        });
    }
    groups
}

/// Values by units that entered, largest first, ties by value.
pub fn largest(analysis: &Analysis, place: usize, top: usize) -> Vec<String> {
    let mut counts: HashMap<&String, i64> = HashMap::new();
    for (_, attempt) in analysis.best() {
        *counts.entry(&attempt.values[place]).or_default() += 1;
    }
    let mut values: Vec<(&String, i64)> = counts.into_iter().collect();
    values.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
    values.into_iter().take(top).map(|(value, _)| value.clone()).collect()
}
