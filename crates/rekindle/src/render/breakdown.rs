//! A funnel by the values of a property.

use rekindle_proto::v1;

use super::funnel::{painted, title};
use super::number::{self, count, percent};
use super::paint::Paint;
use super::table::{Align, Grid};

/// One row for every value: who reached each stage, who converted, and how many more than of all
/// other values. Where that does not fit into `width` the comparison is left out, and then all
/// stages but the first and the last.
pub fn breakdown(groups: &v1::FunnelBreakdown, width: usize, paint: Paint) -> String {
    let stages = groups.groups.first().map_or(0, |group| group.stages.len());
    let all: Vec<usize> = (0..stages).collect();
    let ends = match stages {
        0 | 1 => all.clone(),
        _ => vec![0, stages - 1],
    };
    let fits = |grid: &Grid| grid.lines().iter().all(|line| line.chars().count() <= width);
    let is_compared = groups.groups.iter().any(|group| group.converted_difference.is_some());
    let compared = is_compared.then(|| table(groups, &all, true)).filter(fits);
    let whole = compared.or_else(|| Some(table(groups, &all, false)).filter(fits));
    let grid = whole.unwrap_or_else(|| table(groups, &ends, false));
    let heading = paint.heading(&format!("by {}", property(groups)));
    format!("{heading}\n{}", painted(&grid, paint))
}

fn table(groups: &v1::FunnelBreakdown, stages: &[usize], compared: bool) -> Grid {
    let mut header = vec!["value".to_owned()];
    if let Some(group) = groups.groups.first() {
        header.extend(stages.iter().map(|&at| title(&group.stages[at]).to_owned()));
    }
    header.push("converted".to_owned());
    header.extend(compared.then(|| "vs others".to_owned()));
    let rows: Vec<Vec<String>> = groups
        .groups
        .iter()
        .map(|group| {
            let mut row = vec![label(group)];
            row.extend(stages.iter().map(|&at| count(group.stages.get(at).map_or(0, |stage| stage.reached))));
            row.push(percent(group.converted.as_ref()));
            row.extend(compared.then(|| group.converted_difference.as_ref().map(points).unwrap_or_default()));
            row
        })
        .collect();
    let mut aligns = vec![Align::Right; header.len()];
    aligns[0] = Align::Left;
    Grid::new(&header, &rows, &aligns)
}

/// A difference in points, with its interval.
fn points(difference: &v1::ShareDifference) -> String {
    let interval = difference.interval.as_ref().map(number::points).unwrap_or_default();
    format!("{:+.1} ({interval})", 100.0 * difference.value)
}

fn label(group: &v1::BreakdownGroup) -> String {
    if group.is_other {
        "(all others)".to_owned()
    } else if group.value.is_empty() {
        "(none)".to_owned()
    } else {
        group.value.clone()
    }
}

/// The property as `--by` takes it.
pub fn property(groups: &v1::FunnelBreakdown) -> String {
    let Some(property) = groups.spec.as_ref().and_then(|spec| spec.property.as_ref()) else {
        return String::new();
    };
    let scope = match property.scope() {
        v1::PropertyScope::Conversation => "conversation",
        v1::PropertyScope::Customer => "customer",
        v1::PropertyScope::Event | v1::PropertyScope::Unspecified => "event",
    };
    format!("{scope}.{}", property.key)
}
