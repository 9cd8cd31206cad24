//! A funnel over time.

use std::collections::BTreeMap;

use rekindle_proto::v1;

use super::bar::bar;
use super::funnel::painted;
use super::number::{NOTHING, count, percent};
use super::paint::Paint;
use super::table::{Align, Grid};

/// Cells that bars take at most.
const MAX_BAR: usize = 40;

/// One row for every bucket: who entered and converted, by best attempt and by every attempt, and
/// a bar of those who entered. Empty without buckets.
pub fn trend(best: &[v1::TrendBucket], attempts: &[v1::TrendBucket], width: usize, paint: Paint) -> String {
    if best.is_empty() && attempts.is_empty() {
        return String::new();
    }
    let mut buckets: BTreeMap<&str, [Option<&v1::TrendBucket>; 2]> = BTreeMap::new();
    for (at, side) in [best, attempts].into_iter().enumerate() {
        for bucket in side {
            buckets.entry(&bucket.start_date).or_default()[at] = Some(bucket);
        }
    }
    let header =
        ["from", "entered", "converted", "rate", "entered*", "converted*", "mature", ""].map(str::to_owned);
    let largest = best.iter().map(|bucket| bucket.entered).max().unwrap_or(0);
    let room = width.saturating_sub(68).clamp(8, MAX_BAR);
    let rows: Vec<Vec<String>> =
        buckets.iter().map(|(date, sides)| row(date, sides, largest, room)).collect();
    let mut aligns = [Align::Right; 8];
    aligns[0] = Align::Left;
    aligns[7] = Align::Left;
    let heading = paint.heading("by time of entry");
    let note = paint.aside("* every attempt counts in its own bucket");
    let table = painted(&Grid::new(&header, &rows, &aligns), paint);
    format!("{heading}\n{table}{note}\n")
}

fn row(
    date: &str,
    &[best, attempts]: &[Option<&v1::TrendBucket>; 2],
    largest: i64,
    room: usize,
) -> Vec<String> {
    let entered = |bucket: Option<&v1::TrendBucket>| bucket.map_or(0, |bucket| bucket.entered);
    let converted = |bucket: Option<&v1::TrendBucket>| bucket.map_or(0, |bucket| bucket.converted);
    let mature = best.or(attempts).is_some_and(|bucket| bucket.mature);
    vec![
        date.to_owned(),
        count(entered(best)),
        count(converted(best)),
        percent(Some(&v1::Ratio { numerator: converted(best), denominator: entered(best) })),
        count(entered(attempts)),
        count(converted(attempts)),
        if mature { "yes" } else { NOTHING }.to_owned(),
        bar(entered(best), largest, room),
    ]
}
