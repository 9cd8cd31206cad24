//! A funnel as one flat table, for CSV: a row for every stage of the figures, of the comparison
//! and of every group, and a row for every bucket of a trend. Cells that say nothing are empty.

use rekindle_proto::v1;

use crate::cli::output::Sheet;
use crate::render::breakdown::property;
use crate::render::number::rate;

const HEADER: [&str; 21] = [
    "section",
    "property",
    "value",
    "start_date",
    "stage",
    "index",
    "entered",
    "reached",
    "converted",
    "of_first",
    "of_previous",
    "dropped",
    "active",
    "stalled",
    "abandoned",
    "ended",
    "recovered",
    "n_from_previous",
    "mean_seconds_from_previous",
    "p50_seconds_from_previous",
    "p90_seconds_from_previous",
];

/// Every row of the answer.
pub fn rows(answer: &v1::QueryFunnelResponse) -> Sheet {
    let mut rows = Vec::new();
    let sections = [("figures", answer.figures.as_ref()), ("comparison", answer.comparison.as_ref())];
    for (section, figures) in sections {
        for stage in figures.iter().flat_map(|figures| &figures.stages) {
            rows.push(stage_row([section, "", ""], stage));
        }
    }
    for breakdown in &answer.breakdowns {
        let property = property(breakdown);
        for group in &breakdown.groups {
            for stage in &group.stages {
                rows.push(stage_row(["breakdown", &property, &group.value], stage));
            }
        }
    }
    let trends = [("trend_best", &answer.trend_best), ("trend_attempts", &answer.trend_attempts)];
    for (section, buckets) in trends {
        rows.extend(buckets.iter().map(|bucket| bucket_row(section, bucket)));
    }
    Sheet { header: HEADER.map(str::to_owned).to_vec(), cells: rows, aligns: Vec::new() }
}

fn stage_row(place: [&str; 3], stage: &v1::StageMetrics) -> Vec<String> {
    let fraction = |ratio: Option<&v1::Ratio>| rate(ratio).map_or_else(String::new, |rate| rate.to_string());
    let times = stage.time_from_previous.as_ref().filter(|times| times.n > 0);
    let seconds =
        |pick: fn(&v1::Distribution) -> f64| times.map_or_else(String::new, |times| pick(times).to_string());
    let mut row: Vec<String> = place.map(str::to_owned).to_vec();
    row.extend([String::new(), stage.stage.clone(), stage.index.to_string(), String::new()]);
    row.extend([stage.reached, stage.converted].map(|count| count.to_string()));
    row.push(fraction(stage.of_first.as_ref()));
    row.push(fraction(stage.of_previous.as_ref()));
    row.extend(
        [stage.dropped, stage.active, stage.stalled, stage.abandoned, stage.ended, stage.recovered]
            .map(|count| count.to_string()),
    );
    row.push(times.map_or(0, |times| times.n).to_string());
    row.push(seconds(|times| times.mean_seconds));
    row.push(seconds(|times| times.p50_seconds));
    row.push(seconds(|times| times.p90_seconds));
    row
}

fn bucket_row(section: &str, bucket: &v1::TrendBucket) -> Vec<String> {
    let mut row = vec![String::new(); HEADER.len()];
    section.clone_into(&mut row[0]);
    bucket.start_date.clone_into(&mut row[3]);
    row[6] = bucket.entered.to_string();
    row[8] = bucket.converted.to_string();
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_cell_for_every_column() {
        let stage = v1::StageMetrics {
            stage: "asked".to_owned(),
            reached: 4,
            of_first: Some(v1::Ratio { numerator: 1, denominator: 4 }),
            ..Default::default()
        };
        let answer = v1::QueryFunnelResponse {
            figures: Some(v1::FunnelFigures { stages: vec![stage.clone()], ..Default::default() }),
            breakdowns: vec![v1::FunnelBreakdown {
                groups: vec![v1::BreakdownGroup {
                    value: "pro".to_owned(),
                    stages: vec![stage],
                    ..Default::default()
                }],
                ..Default::default()
            }],
            trend_best: vec![v1::TrendBucket {
                start_date: "2026-01-01".to_owned(),
                entered: 9,
                ..Default::default()
            }],
            ..Default::default()
        };
        let table = rows(&answer);
        assert_eq!(table.cells.len(), 3);
        for row in &table.cells {
            assert_eq!(row.len(), HEADER.len());
        }
        assert_eq!(table.cells[0][9], "0.25");
        assert_eq!(table.cells[1][2], "pro");
        assert_eq!(table.cells[2][3], "2026-01-01");
        assert_eq!(table.cells[2][6], "9");
    }
}
