//! A funnel: bars, tables, breakdowns and trend.

use std::fmt::Write;

use rekindle_proto::v1;

use super::bar::bar;
use super::number::{NOTHING, count, duration, instant, percent, rate};
use super::paint::Paint;
use super::table::{Align, Grid};
use super::{breakdown, trend};

/// The narrowest and the widest that a figure becomes, in cells.
const WIDTHS: (usize, usize) = (40, 160);
/// The most cells that the name of a stage takes beside its bar.
const MAX_NAME: usize = 28;

/// The whole answer as text of at most `width` cells, where names and numbers allow it; with ANSI
/// colours if `colors`. Ends with a line feed.
pub fn funnel(answer: &v1::QueryFunnelResponse, width: usize, colors: bool) -> String {
    let paint = Paint { colors };
    let width = width.clamp(WIDTHS.0, WIDTHS.1);
    let empty = v1::FunnelFigures::default();
    let figures = answer.figures.as_ref().unwrap_or(&empty);
    let mut parts = vec![head(answer, figures, paint), bars(&figures.stages, width, paint)];
    parts.extend(tables(figures, answer.comparison.as_ref(), width, paint));
    parts.push(tail(figures));
    parts.extend(answer.breakdowns.iter().map(|groups| breakdown::breakdown(groups, width, paint)));
    parts.push(trend::trend(&answer.trend_best, &answer.trend_attempts, width, paint));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// What was counted, when, and whether anything is missing.
fn head(answer: &v1::QueryFunnelResponse, figures: &v1::FunnelFigures, paint: Paint) -> String {
    let name = answer.funnel.rsplit('/').next().unwrap_or_default();
    let title = format!(
        "{name}, revision {}, {}, {}, as of {}",
        answer.revision,
        unit(answer.unit()),
        period(figures.period.as_ref()),
        instant(answer.as_of_time.as_ref()),
    );
    let mut text = format!("{}\n", paint.heading(&title));
    if !answer.complete {
        let missing = match &answer.fill {
            Some(fill) if fill.subjects_total > 0 => format!(
                "incomplete: {} of {} subjects are folded",
                count(fill.subjects_done),
                count(fill.subjects_total)
            ),
            _ => "incomplete: stored history is still being folded".to_owned(),
        };
        text.push_str(&paint.warning(&missing));
        text.push('\n');
    }
    if let Some(time) = figures.mature_time.as_ref().filter(|_| !figures.mature) {
        let young = format!(
            "not mature: some have not had their whole conversion window before {}",
            instant(Some(time))
        );
        text.push_str(&paint.warning(&young));
        text.push('\n');
    }
    text
}

/// One bar for every stage, as long as its part of the largest.
fn bars(stages: &[v1::StageMetrics], width: usize, paint: Paint) -> String {
    let largest = stages.iter().map(|stage| stage.reached).max().unwrap_or(0);
    let names: Vec<String> = stages.iter().map(|stage| cut(title(stage))).collect();
    let name_width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let count_width = count(largest).len();
    // Two spaces before the bar, two after it, and "100.0%" with two before it.
    let room = width.saturating_sub(name_width + count_width + 12).max(8);
    let mut text = String::new();
    for (stage, name) in stages.iter().zip(&names) {
        let bar = bar(stage.reached, largest, room);
        let space = " ".repeat(room - bar.chars().count());
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{name:name_width$}  {}{space}  {:>count_width$}  {:>6}",
            paint.bar(&bar),
            count(stage.reached),
            percent(stage.of_first.as_ref()),
        );
    }
    text
}

/// The figures in one table, or in two where one is too wide.
fn tables(
    figures: &v1::FunnelFigures,
    earlier: Option<&v1::FunnelFigures>,
    width: usize,
    paint: Paint,
) -> Vec<String> {
    let way = way(figures, earlier);
    let place = place(figures);
    let all = Columns::beside(&way, &place);
    if all.width() <= width { vec![all.text(paint)] } else { vec![way.text(paint), place.text(paint)] }
}

/// Columns of one table, the names of the stages first.
struct Columns {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    fn new(header: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self { header: header.iter().map(|&name| name.to_owned()).collect(), rows }
    }

    fn beside(left: &Self, right: &Self) -> Self {
        let joined = |left: &[String], right: &[String]| [left, &right[1..]].concat();
        Self {
            header: joined(&left.header, &right.header),
            rows: left.rows.iter().zip(&right.rows).map(|(left, right)| joined(left, right)).collect(),
        }
    }

    fn grid(&self) -> Grid {
        let mut aligns = vec![Align::Right; self.header.len()];
        aligns[0] = Align::Left;
        Grid::new(&self.header, &self.rows, &aligns)
    }

    fn width(&self) -> usize {
        let lines = self.grid().lines();
        lines.iter().map(|line| line.chars().count()).max().unwrap_or(0)
    }

    fn text(&self, paint: Paint) -> String {
        painted(&self.grid(), paint)
    }
}

/// A table with its header painted.
pub(super) fn painted(grid: &Grid, paint: Paint) -> String {
    let mut text = String::new();
    for (at, line) in grid.lines().iter().enumerate() {
        if at == 0 {
            text.push_str(&paint.aside(line));
        } else {
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}

/// How subjects get on: reached, rates, dropped, times, and the earlier period.
fn way(figures: &v1::FunnelFigures, earlier: Option<&v1::FunnelFigures>) -> Columns {
    let mut header = vec!["stage", "reached", "% first", "% prev", "dropped", "p50 next", "p90 next"];
    if earlier.is_some() {
        header.extend(["before", "% before", "change"]);
    }
    let rows = figures
        .stages
        .iter()
        .enumerate()
        .map(|(at, stage)| {
            let next = figures
                .stages
                .get(at + 1)
                .and_then(|next| next.time_from_previous.as_ref())
                .filter(|times| times.n > 0);
            let time = |seconds: Option<f64>| seconds.map_or_else(|| NOTHING.to_owned(), duration);
            let mut row = vec![
                title(stage).to_owned(),
                count(stage.reached),
                percent(stage.of_first.as_ref()),
                percent(stage.of_previous.as_ref()),
                count(stage.dropped),
                time(next.map(|times| times.p50_seconds)),
                time(next.map(|times| times.p90_seconds)),
            ];
            if let Some(earlier) = earlier {
                row.extend(compared(stage, earlier));
            }
            row
        })
        .collect();
    Columns::new(&header, rows)
}

/// The same stage in the earlier period, and the change of its rate in points.
fn compared(stage: &v1::StageMetrics, earlier: &v1::FunnelFigures) -> [String; 3] {
    let before = earlier.stages.iter().find(|other| other.stage == stage.stage);
    let Some(before) = before else {
        return [NOTHING, NOTHING, NOTHING].map(str::to_owned);
    };
    let now = rate(stage.of_first.as_ref());
    let then = rate(before.of_first.as_ref());
    let change = now
        .zip(then)
        .map_or_else(|| NOTHING.to_owned(), |(now, then)| format!("{:+.1}", (now - then) * 100.0));
    [count(before.reached), percent(before.of_first.as_ref()), change]
}

/// Where subjects are now.
fn place(figures: &v1::FunnelFigures) -> Columns {
    let header = ["stage", "active", "stalled", "abandoned", "ended", "recovered"];
    let rows = figures
        .stages
        .iter()
        .map(|stage| {
            let mut row = vec![title(stage).to_owned()];
            row.extend(
                [stage.active, stage.stalled, stage.abandoned, stage.ended, stage.recovered].map(count),
            );
            row
        })
        .collect();
    Columns::new(&header, rows)
}

/// The whole way, and those who never set out.
fn tail(figures: &v1::FunnelFigures) -> String {
    let mut text = format!("converted {}", percent(figures.converted.as_ref()));
    if let Some(times) = figures.time_to_convert.as_ref().filter(|times| times.n > 0) {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            " in {} (median), {} (90%)",
            duration(times.p50_seconds),
            duration(times.p90_seconds)
        );
    }
    let _ = writeln!(text, "; {} of {} never entered", count(figures.never_entered), count(figures.known));
    text
}

/// The name of a stage for people.
pub(super) fn title(stage: &v1::StageMetrics) -> &str {
    if stage.display_name.is_empty() { &stage.stage } else { &stage.display_name }
}

/// A name short enough to stand beside a bar.
fn cut(name: &str) -> String {
    let clean = name.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let mut letters: Vec<char> = clean.collect();
    if letters.len() > MAX_NAME {
        letters.truncate(MAX_NAME - 1);
        letters.push('…');
    }
    letters.into_iter().collect()
}

fn unit(unit: v1::Unit) -> &'static str {
    match unit {
        v1::Unit::Unspecified => "subjects",
        v1::Unit::Conversation => "conversations",
        v1::Unit::Episode => "episodes",
        v1::Unit::Customer => "customers",
        v1::Unit::Attempt => "attempts",
    }
}

fn period(period: Option<&v1::Period>) -> String {
    let ends = period.map(|period| (period.start_time.as_ref(), period.end_time.as_ref()));
    match ends.unwrap_or_default() {
        (None, None) => "all time".to_owned(),
        (Some(start), None) => format!("from {}", instant(Some(start))),
        (None, Some(end)) => format!("until {}", instant(Some(end))),
        (Some(start), Some(end)) => format!("{} to {}", instant(Some(start)), instant(Some(end))),
    }
}

#[cfg(test)]
#[path = "funnel_tests.rs"]
mod tests;
