//! A funnel by the values of a property.

use rekindle_proto::v1;

use super::funnel::{painted, title};
use super::number::{count, percent};
use super::paint::Paint;
use super::table::{Align, Grid};

/// One row for every value: who reached each stage, and who converted. Where the stages do not
/// fit into `width`, only the first and the last are shown.
pub fn breakdown(groups: &v1::FunnelBreakdown, width: usize, paint: Paint) -> String {
    let stages = groups.groups.first().map_or(0, |group| group.stages.len());
    let all: Vec<usize> = (0..stages).collect();
    let ends = match stages {
        0 | 1 => all.clone(),
        _ => vec![0, stages - 1],
    };
    let mut grid = table(groups, &all);
    let widest = grid.lines().iter().map(|line| line.chars().count()).max();
    if widest > Some(width) {
        grid = table(groups, &ends);
    }
    let heading = paint.heading(&format!("by {}", property(groups)));
    format!("{heading}\n{}", painted(&grid, paint))
}

fn table(groups: &v1::FunnelBreakdown, stages: &[usize]) -> Grid {
    let mut header = vec!["value".to_owned()];
    if let Some(group) = groups.groups.first() {
        header.extend(stages.iter().map(|&at| title(&group.stages[at]).to_owned()));
    }
    header.push("converted".to_owned());
    let rows: Vec<Vec<String>> = groups
        .groups
        .iter()
        .map(|group| {
            let mut row = vec![label(group)];
            row.extend(stages.iter().map(|&at| count(group.stages.get(at).map_or(0, |stage| stage.reached))));
            row.push(percent(group.converted.as_ref()));
            row
        })
        .collect();
    let mut aligns = vec![Align::Right; header.len()];
    aligns[0] = Align::Left;
    Grid::new(&header, &rows, &aligns)
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
