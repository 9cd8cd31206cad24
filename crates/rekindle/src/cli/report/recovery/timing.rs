//! When to write: what the figures suggest, and the figures.

use std::fmt::Write;

use rekindle_proto::v1;

use crate::render::number;
use crate::render::paint::Paint;
use crate::render::table::{Align, Grid};

/// What the figures suggest, under a heading; nothing if they suggest nothing.
pub(super) fn advice(timing: &v1::RecoveryTiming) -> Vec<String> {
    let delay = timing.recommended_delay.as_ref().map(|found| {
        let span = span(found.start.as_ref(), found.end.as_ref());
        format!("  delay {span}: {}", evidence(found.evidence.as_ref()))
    });
    let hour = timing.recommended_hour.as_ref().map(|found| {
        format!("  hour {} of the customer's day: {}", clock(found.hour), evidence(found.evidence.as_ref()))
    });
    let mut lines: Vec<String> = delay.into_iter().chain(hour).collect();
    if !lines.is_empty() {
        let paint = Paint { colors: true };
        lines.insert(0, paint.heading("When to write"));
        lines.push(paint.aside("a hint, and no proof: split the sequence to know which wait is better"));
    }
    lines
}

/// Shares in the half that chose, and in the half that checks.
fn evidence(evidence: Option<&v1::TimingEvidence>) -> String {
    let evidence = evidence.copied().unwrap_or_default();
    let [chosen, worst, checked, others] =
        [evidence.chosen, evidence.worst, evidence.checked, evidence.others].map(Option::unwrap_or_default);
    let holds = if evidence.holds { "it holds" } else { "it does not hold" };
    format!(
        "{} came back, {} where it is worst; of the other half of the customers {}, of the rest {}: {holds}",
        of(&chosen),
        of(&worst),
        of(&checked),
        of(&others)
    )
}

/// A share with what it is a share of.
fn of(share: &v1::TimingShare) -> String {
    format!("{} of {}", rate(share), number::count(share.runs))
}

fn rate(share: &v1::TimingShare) -> String {
    number::percent(Some(&v1::Ratio { numerator: share.recovered, denominator: share.runs }))
}

/// Both tables, without buckets that have no run.
pub(super) fn tables(timing: Option<&v1::RecoveryTiming>) -> String {
    let mut text = String::new();
    let Some(timing) = timing else {
        return text;
    };
    let delays = timing.by_delay.iter();
    let delays = delays.map(|it| (span(it.start.as_ref(), it.end.as_ref()), it.arms.as_ref()));
    let hours = timing.by_hour.iter().map(|it| (clock(it.hour), it.arms.as_ref()));
    let both = [("delay", rows(delays)), ("hour", rows(hours))];
    for (what, cells) in both.into_iter().filter(|(_, cells)| !cells.is_empty()) {
        let _ = writeln!(text, "\n{}", Grid::new(&header(what), &cells, &aligns()));
    }
    if text.is_empty() {
        text += "no run was reached whose window is over: nothing to tell by delay or hour\n";
    }
    text
}

fn header(what: &str) -> Vec<String> {
    let arm = |name: &str| [name, "recovered", "rate", "95 %"].map(str::to_owned);
    let mut header = vec![what.to_owned()];
    header.extend(arm("treated"));
    header.extend(arm("held out"));
    header.extend(["difference", "95 %"].map(str::to_owned));
    header
}

fn aligns() -> Vec<Align> {
    let mut aligns = vec![Align::Right; 11];
    aligns[0] = Align::Left;
    aligns
}

fn rows<'a>(buckets: impl Iterator<Item = (String, Option<&'a v1::TimingArms>)>) -> Vec<Vec<String>> {
    let rows = buckets.filter_map(|(name, arms)| {
        let arms = arms?;
        let [treated, held_out] = [arms.treated, arms.held_out].map(Option::unwrap_or_default);
        (treated.runs + held_out.runs > 0).then(|| {
            let mut cells = vec![name];
            for share in [&treated, &held_out] {
                cells.extend([number::count(share.runs), number::count(share.recovered), rate(share)]);
                cells.push(share.interval.as_ref().map(number::interval).unwrap_or_default());
            }
            let uplift = arms.uplift.as_ref();
            cells.push(uplift.map(|it| format!("{:+.1}", 100.0 * it.value)).unwrap_or_default());
            let bounds = uplift.and_then(|it| it.interval);
            cells.push(bounds.as_ref().map(number::points).unwrap_or_default());
            cells
        })
    });
    rows.collect()
}

/// From when to when a delay is, such as `1h to 2h`.
fn span(start: Option<&pbjson_types::Duration>, end: Option<&pbjson_types::Duration>) -> String {
    let start = start.map_or(0, |start| start.seconds);
    match end.map(|end| brief(end.seconds)) {
        Some(end) if start == 0 => format!("up to {end}"),
        Some(end) => format!("{} to {end}", brief(start)),
        None => format!("{} or more", brief(start)),
    }
}

/// Whole minutes, hours or days, whichever is the largest that it is a number of.
fn brief(seconds: i64) -> String {
    let units: [(i64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "m")];
    let fits = units.into_iter().find(|(unit, _)| seconds > 0 && seconds % unit == 0);
    fits.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

fn clock(hour: i32) -> String {
    format!("{hour:02}:00")
}

#[cfg(test)]
#[expect(clippy::unnecessary_wraps, reason = "as the fields of messages hold it")]
mod tests {
    use super::*;

    fn share(recovered: i64, runs: i64) -> Option<v1::TimingShare> {
        let interval = (runs > 0).then_some(v1::Interval { low: 0.25, high: 0.75 });
        Some(v1::TimingShare { runs, recovered, interval })
    }

    fn seconds(seconds: i64) -> Option<pbjson_types::Duration> {
        Some(pbjson_types::Duration { seconds, nanos: 0 })
    }

    fn evidence(holds: bool) -> Option<v1::TimingEvidence> {
        let (chosen, worst) = (share(40, 60), share(10, 60));
        Some(v1::TimingEvidence { chosen, worst, checked: share(12, 20), others: share(6, 25), holds })
    }

    #[test]
    fn what_nothing_speaks_for_is_not_mentioned() {
        assert!(advice(&v1::RecoveryTiming::default()).is_empty());
        let found =
            v1::DelayRecommendation { start: seconds(3_600), end: seconds(7_200), evidence: evidence(true) };
        let lines = advice(&v1::RecoveryTiming { recommended_delay: Some(found), ..Default::default() });
        assert_eq!(
            lines[1],
            "  delay 1h to 2h: 66.7% of 60 came back, 16.7% of 60 where it is worst; of the other half of \
             the customers 60.0% of 20, of the rest 24.0% of 25: it holds"
        );
        assert_eq!(lines.len(), 3);
        let found = v1::HourRecommendation { hour: 9, evidence: evidence(false) };
        let lines = advice(&v1::RecoveryTiming { recommended_hour: Some(found), ..Default::default() });
        assert!(lines[1].starts_with("  hour 09:00 of the customer's day: 66.7%"), "{}", lines[1]);
        assert!(lines[1].ends_with(": it does not hold"), "{}", lines[1]);
    }

    #[test]
    fn tables_leave_out_what_has_no_run() {
        let arms = |treated, held_out| {
            let interval = Some(v1::Interval { low: -0.05, high: 0.6 });
            let uplift = v1::ShareDifference { value: 0.3, interval, p_value: None };
            Some(v1::TimingArms { treated, held_out, uplift: Some(uplift) })
        };
        let timing = v1::RecoveryTiming {
            by_delay: vec![
                v1::DelayBucket {
                    start: seconds(0),
                    end: seconds(900),
                    arms: arms(share(5, 10), share(2, 10)),
                },
                v1::DelayBucket { start: seconds(900), end: seconds(3_600), ..Default::default() },
                v1::DelayBucket { start: seconds(604_800), end: None, arms: arms(share(1, 4), share(0, 0)) },
            ],
            by_hour: vec![v1::HourBucket { hour: 0, arms: arms(share(0, 0), share(0, 0)) }],
            ..Default::default()
        };
        let text = tables(Some(&timing));
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        let filled: Vec<String> =
            lines.into_iter().filter(|words| !words.is_empty()).map(|words| words.join(" ")).collect();
        assert_eq!(filled.len(), 3, "{text}");
        assert_eq!(
            filled[1],
            "up to 15m 10 5 50.0% 25.0 – 75.0 % 10 2 20.0% 25.0 – 75.0 % +30.0 -5.0 to +60.0"
        );
        assert!(filled[2].starts_with("7d or more 4 1 25.0%"), "{}", filled[2]);
        assert!(tables(Some(&v1::RecoveryTiming::default())).starts_with("no run was reached"));
    }

    #[test]
    fn a_delay_is_told_in_its_largest_unit() {
        assert_eq!([0, 900, 43_200, 86_400, 172_800, 90].map(brief), ["0s", "15m", "12h", "1d", "2d", "90s"]);
    }
}
