//! The table: what, baseline, ours, ratio, goal, verdict.

use comfy_table::{ContentArrangement, Table, presets};

/// One line of it.
#[derive(Debug, Clone)]
pub struct Line {
    what: String,
    baseline: String,
    ours: String,
    ratio: Option<f64>,
    goal: String,
    met: bool,
}

impl Line {
    /// Rates: ours is to be at least `goal` times the baseline's.
    pub fn rates(what: String, baseline: f64, ours: f64, goal: f64) -> Self {
        let ratio = ours / baseline;
        Self {
            what,
            baseline: format!("{}/s", whole(baseline)),
            ours: format!("{}/s", whole(ours)),
            ratio: Some(ratio),
            goal: format!("at least {goal}"),
            met: ratio >= goal,
        }
    }

    /// Times in seconds: the baseline's is to be at least `goal` times ours.
    pub fn times(what: String, baseline: f64, ours: f64, goal: f64) -> Self {
        let ratio = baseline / ours;
        Self {
            what,
            baseline: format!("{:.1} ms", baseline * 1e3),
            ours: format!("{:.1} ms", ours * 1e3),
            ratio: Some(ratio),
            goal: format!("at least {goal}"),
            met: ratio >= goal,
        }
    }

    /// Times in seconds: ours is to be at most `most` times the baseline's.
    pub fn growth(what: String, baseline: f64, ours: f64, most: f64) -> Self {
        let ratio = ours / baseline;
        Self {
            what,
            baseline: format!("{:.1} ms", baseline * 1e3),
            ours: format!("{:.1} ms", ours * 1e3),
            ratio: Some(ratio),
            goal: format!("at most {most}"),
            met: ratio <= most,
        }
    }

    /// A figure that is to stay below a limit.
    pub fn limit(what: String, ours: f64, limit: f64, unit: &str) -> Self {
        Self {
            what,
            baseline: String::new(),
            ours: format!("{ours:.1} {unit}"),
            ratio: None,
            goal: format!("under {limit} {unit}"),
            met: ours < limit,
        }
    }
}

/// The table for people.
pub fn table(lines: &[Line]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["what", "baseline", "ours", "ratio", "goal", "verdict"]);
    for line in lines {
        let ratio = line.ratio.map(|ratio| format!("{ratio:.3}")).unwrap_or_default();
        let verdict = if line.met { "met" } else { "SHORT" };
        table.add_row([&line.what, &line.baseline, &line.ours, &ratio, &line.goal, verdict]);
    }
    table
}

/// A number with its thousands apart.
pub fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_met_from_above_and_times_from_below() {
        assert!(Line::rates(String::new(), 100.0, 20.0, 0.2).met);
        assert!(!Line::rates(String::new(), 100.0, 19.0, 0.2).met);
        assert!(Line::times(String::new(), 0.6, 1.0, 0.6).met);
        assert!(!Line::times(String::new(), 0.6, 1.1, 0.6).met);
        assert!(Line::growth(String::new(), 1.0, 1.5, 1.5).met);
        assert!(!Line::growth(String::new(), 1.0, 1.6, 1.5).met);
        assert!(!Line::limit(String::new(), 40.0, 40.0, "MB").met);
    }

    #[test]
    fn thousands_stand_apart() {
        assert_eq!([0.4, 999.0, 1_000.0, 1_234_567.0].map(whole), ["0", "999", "1,000", "1,234,567"]);
    }
}
