//! Whole renderings, letter by letter.

use rekindle_proto::v1;

use super::*;

fn ratio(numerator: i64, denominator: i64) -> v1::Ratio {
    v1::Ratio { numerator, denominator }
}

fn stage(at: usize, name: &str, reached: i64, previous: i64) -> v1::StageMetrics {
    v1::StageMetrics {
        stage: name.to_owned(),
        index: at as i32,
        reached,
        of_first: Some(ratio(reached, 9_233)),
        of_previous: Some(ratio(reached, previous)),
        ..Default::default()
    }
}

fn answer() -> v1::QueryFunnelResponse {
    let mut asked = stage(0, "asked", 9_233, 9_233);
    asked.dropped = 4_866;
    asked.active = 12;
    asked.stalled = 345;
    asked.abandoned = 4_509;
    let mut answered = stage(1, "answered", 4_367, 9_233);
    answered.active = 4_367;
    answered.recovered = 7;
    answered.time_from_previous =
        Some(v1::Distribution { n: 4_367, p50_seconds: 180.0, p90_seconds: 5_400.0, ..Default::default() });
    v1::QueryFunnelResponse {
        funnel: "workspaces/default/funnels/support".to_owned(),
        revision: 2,
        unit: v1::Unit::Conversation.into(),
        as_of_time: Some(pbjson_types::Timestamp { seconds: 1_767_225_600, nanos: 0 }),
        complete: true,
        figures: Some(v1::FunnelFigures {
            mature: true,
            stages: vec![asked, answered],
            known: 9_300,
            never_entered: 67,
            converted: Some(ratio(4_367, 9_233)),
            time_to_convert: Some(v1::Distribution {
                n: 4_367,
                p50_seconds: 180.0,
                p90_seconds: 5_400.0,
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn a_wide_terminal_gets_bars_and_one_table() {
    assert_eq!(
        funnel(&answer(), 120, false),
        "\
support, revision 2, conversations, all time, as of 2026-01-01 00:00:00 UTC

asked     ███████████████████████████████████████████████████████████████████████████████████████████████  9,233  100.0%
answered  ████████████████████████████████████████████▉                                                    4,367   47.3%

STAGE     REACHED  % FIRST  % PREV  DROPPED  P50 NEXT  P90 NEXT  ACTIVE  STALLED  ABANDONED  ENDED  RECOVERED
asked       9,233   100.0%  100.0%    4,866    3m 00s    1h 30m      12      345      4,509      0          0
answered    4,367    47.3%   47.3%        0         –         –   4,367        0          0      0          7

converted 47.3% in 3m 00s (median), 1h 30m (90%); 67 of 9,300 never entered
"
    );
}

#[test]
fn a_narrow_terminal_gets_two_tables() {
    assert_eq!(
        funnel(&answer(), 64, false),
        "\
support, revision 2, conversations, all time, as of 2026-01-01 00:00:00 UTC

asked     ███████████████████████████████████████  9,233  100.0%
answered  ██████████████████▍                      4,367   47.3%

STAGE     REACHED  % FIRST  % PREV  DROPPED  P50 NEXT  P90 NEXT
asked       9,233   100.0%  100.0%    4,866    3m 00s    1h 30m
answered    4,367    47.3%   47.3%        0         –         –

STAGE     ACTIVE  STALLED  ABANDONED  ENDED  RECOVERED
asked         12      345      4,509      0          0
answered   4,367        0          0      0          7

converted 47.3% in 3m 00s (median), 1h 30m (90%); 67 of 9,300 never entered
"
    );
}

#[test]
fn what_is_missing_is_said() {
    let mut answer = answer();
    answer.complete = false;
    answer.fill = Some(v1::FunnelFill { subjects_done: 4_000, subjects_total: 9_300, ..Default::default() });
    let figures = answer.figures.get_or_insert_default();
    figures.mature = false;
    figures.mature_time = answer.as_of_time;
    let text = funnel(&answer, 80, false);
    assert!(text.contains("\nincomplete: 4,000 of 9,300 subjects are folded\n"), "{text}");
    assert!(
        text.contains(
            "\nnot mature: some have not had their whole conversion window before 2026-01-01 00:00:00 UTC\n"
        ),
        "{text}"
    );
}

#[test]
fn colours_come_only_when_they_are_asked_for() {
    assert!(!funnel(&answer(), 80, false).contains('\u{1b}'));
    assert!(funnel(&answer(), 80, true).contains("\u{1b}[36m█"));
}

#[test]
fn an_earlier_period_stands_beside_with_the_change_in_points() {
    let mut answer = answer();
    let mut before = stage(1, "answered", 500, 1_000);
    before.of_first = Some(ratio(500, 1_000));
    answer.comparison = Some(v1::FunnelFigures { stages: vec![before], ..Default::default() });
    let text = funnel(&answer, 160, false);
    let line = text.lines().find(|line| line.contains("50.0%")).expect("a compared stage");
    assert!(line.contains("   500     50.0%    -2.7"), "{line}");
}

#[test]
fn groups_and_buckets_follow_the_figures() {
    let mut answer = answer();
    let group = |value: &str, is_other, reached| v1::BreakdownGroup {
        value: value.to_owned(),
        is_other,
        stages: vec![stage(0, "asked", reached, reached), stage(1, "answered", reached / 2, reached)],
        converted: Some(ratio(1, 2)),
        converted_difference: None,
    };
    answer.breakdowns = vec![v1::FunnelBreakdown {
        spec: Some(v1::BreakdownSpec {
            property: Some(v1::Property {
                scope: v1::PropertyScope::Customer.into(),
                key: "plan".to_owned(),
            }),
            ..Default::default()
        }),
        groups: vec![group("pro", false, 80), group("", false, 20), group("$other", true, 4)],
    }];
    let bucket = |date: &str, entered, converted, mature| v1::TrendBucket {
        start_date: date.to_owned(),
        entered,
        converted,
        mature,
        ..Default::default()
    };
    answer.trend_best = vec![bucket("2026-01-01", 100, 50, true), bucket("2026-02-01", 50, 5, false)];
    answer.trend_attempts = vec![bucket("2026-01-01", 110, 51, true)];
    let text = funnel(&answer, 80, false);
    let (_, groups) = text.split_once("by customer.plan\n").expect("a breakdown");
    assert_eq!(
        groups,
        "\
VALUE         ASKED  ANSWERED  CONVERTED
pro              80        40      50.0%
(none)           20        10      50.0%
(all others)      4         2      50.0%

by time of entry
FROM        ENTERED  CONVERTED   RATE  ENTERED*  CONVERTED*  MATURE
2026-01-01      100         50  50.0%       110          51     yes  ████████████
2026-02-01       50          5  10.0%         0           0       –  ██████
* every attempt counts in its own bucket
"
    );
}

#[test]
fn groups_are_compared_with_the_others_where_there_is_room() {
    let group = |value: &str, difference| v1::BreakdownGroup {
        value: value.to_owned(),
        stages: vec![stage(0, "asked", 80, 80), stage(1, "answered", 40, 80)],
        converted: Some(ratio(1, 2)),
        converted_difference: Some(v1::ShareDifference {
            value: difference,
            interval: Some(v1::Interval { low: difference - 0.1, high: difference + 0.1 }),
            p_value: None,
        }),
        ..Default::default()
    };
    let mut answer = answer();
    answer.breakdowns =
        vec![v1::FunnelBreakdown { spec: None, groups: vec![group("pro", 0.25), group("free", -0.25)] }];
    let text = funnel(&answer, 80, false);
    let (_, groups) = text.split_once("by \n").expect("a breakdown");
    assert_eq!(
        groups,
        "\
VALUE  ASKED  ANSWERED  CONVERTED               VS OTHERS
pro       80        40      50.0%  +25.0 (+15.0 to +35.0)
free      80        40      50.0%  -25.0 (-35.0 to -15.0)
"
    );
    let narrow = funnel(&answer, 40, false);
    assert!(narrow.contains("pro       80        40      50.0%\n"), "{narrow}");
}

#[test]
fn a_long_name_is_cut_beside_the_bar_and_an_empty_answer_is_no_panic() {
    assert_eq!(cut(&"x".repeat(40)), format!("{}…", "x".repeat(27)));
    let text = funnel(&v1::QueryFunnelResponse::default(), 0, false);
    assert!(text.contains("0 of 0 never entered"), "{text}");
}
