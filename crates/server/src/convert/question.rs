//! Questions about a funnel.

use rekindle_core::calendar::zone_named;
use rekindle_core::funnel::SubjectKind;
use rekindle_core::metrics::{BreakdownSpec, Figure, Period, TrendSpec, Unit};
use rekindle_core::violation::Violations;
use rekindle_engine::metrics::{Compare, FunnelQuestion};
use rekindle_proto::v1;

use super::path::{each, within};
use super::stage::property;
use super::{choice, time};

/// Most breakdowns of one question.
const MOST_BREAKDOWNS: usize = 5;
/// Values that stand for themselves when a breakdown does not say.
const DEFAULT_TOP: i32 = 10;
const TOP: std::ops::RangeInclusive<i32> = 1..=1_000;
/// Longest filter, in bytes.
const MOST_FILTER: usize = 4_096;
const MOST_KEY: usize = 128;

/// What a question has before its fields are read.
pub struct Context<'a> {
    /// The funnel's id.
    pub funnel: String,
    /// Whose events it follows; known when the unit needs it.
    pub subject: Option<SubjectKind>,
    /// The workspace's zone, for trends that name none.
    pub default_zone: &'a str,
}

/// Whether the unit can only be read when the funnel's subject is known.
pub fn needs_subject(unit: i32) -> bool {
    matches!(v1::Unit::try_from(unit), Ok(v1::Unit::Conversation | v1::Unit::Episode))
}

/// Reads a question for figures.
pub fn figures(message: &v1::QueryFunnelRequest, context: Context<'_>, v: &mut Violations) -> FunnelQuestion {
    let period = message.period.as_ref().map(|it| time::period(it, "period", v)).unwrap_or_default();
    let asks = message.breakdowns.len();
    v.require(asks <= MOST_BREAKDOWNS, "breakdowns", format!("more than {MOST_BREAKDOWNS} breakdowns"));
    let breakdowns = each(&message.breakdowns, "breakdowns", v, breakdown);
    FunnelQuestion {
        revision: revision(message.revision, v),
        unit: unit(message.unit, context.subject, v),
        as_of: message.as_of_time.as_ref().and_then(|at| time::instant(at, "asOfTime", v)),
        filter: filter(&message.filter, v),
        breakdowns,
        trend: message.trend.as_ref().and_then(|it| trend(it, context.default_zone, v)),
        compare: message.compare_to.as_ref().and_then(|it| compare(it, &period, v)),
        funnel: context.funnel,
        period,
    }
}

/// Reads the part of a question for subjects that it shares with one for figures.
pub fn base(
    message: &v1::ListFunnelSubjectsRequest,
    context: Context<'_>,
    v: &mut Violations,
) -> FunnelQuestion {
    FunnelQuestion {
        revision: revision(message.revision, v),
        unit: unit(message.unit, context.subject, v),
        period: message.period.as_ref().map(|it| time::period(it, "period", v)).unwrap_or_default(),
        as_of: message.as_of_time.as_ref().and_then(|at| time::instant(at, "asOfTime", v)),
        filter: filter(&message.filter, v),
        breakdowns: Vec::new(),
        trend: None,
        compare: None,
        funnel: context.funnel,
    }
}

/// Reads which stage a figure is of: none for those that never entered, one for all others.
pub fn stage(
    message: &v1::ListFunnelSubjectsRequest,
    figure: Option<Figure>,
    v: &mut Violations,
) -> Option<String> {
    let given = !message.stage.is_empty();
    if figure == Some(Figure::NeverEntered) {
        v.require(!given, "stage", "NEVER_ENTERED takes no stage");
    } else {
        v.require(given, "stage", "is required");
    }
    given.then(|| message.stage.clone())
}

/// Reads a group of a breakdown: the property, its value, and whether it is the rest.
pub fn group(message: &v1::BreakdownFilter, v: &mut Violations) -> (BreakdownSpec, String, bool) {
    let spec = within(v, "breakdown", |v| {
        v.require(message.spec.is_some(), "spec", "is required");
        v.require(!message.is_other || message.value.is_empty(), "value", "stands in the place of isOther");
        within(v, "spec", |v| breakdown(&message.spec.clone().unwrap_or_default(), v))
    });
    (spec, message.value.clone(), message.is_other)
}

pub(super) fn revision(number: i32, v: &mut Violations) -> Option<i32> {
    v.require(number >= 0, "revision", "cannot be negative");
    (number > 0).then_some(number)
}

fn unit(number: i32, subject: Option<SubjectKind>, v: &mut Violations) -> Option<Unit> {
    let by_customer = subject == Some(SubjectKind::Customer);
    match choice::known(number, "unit", v) {
        v1::Unit::Unspecified => None,
        v1::Unit::Conversation | v1::Unit::Episode if by_customer => {
            v.add("unit", "a funnel about customers counts customers or attempts");
            None
        }
        v1::Unit::Conversation => Some(Unit::Subject),
        v1::Unit::Episode => Some(Unit::Episode),
        v1::Unit::Customer => Some(Unit::Customer),
        v1::Unit::Attempt => Some(Unit::Attempt),
    }
}

fn filter(source: &str, v: &mut Violations) -> String {
    v.require(source.len() <= MOST_FILTER, "filter", format!("longer than {MOST_FILTER} bytes"));
    source.to_owned()
}

fn breakdown(message: &v1::BreakdownSpec, v: &mut Violations) -> BreakdownSpec {
    let asked = message.property.clone().unwrap_or_default();
    v.require(message.property.is_some(), "property", "is required");
    let property = within(v, "property", |v| {
        v.require((1..=MOST_KEY).contains(&asked.key.len()), "key", "takes 1 to 128 bytes");
        v.require(!asked.key.contains('\0'), "key", "contains NUL");
        property(&asked, v)
    });
    let top = if message.top_n == 0 { DEFAULT_TOP } else { message.top_n };
    v.require(TOP.contains(&top), "topN", "takes 1 to 1000");
    BreakdownSpec { property, top: usize::try_from(top).unwrap_or_default(), at_entry: message.at_entry }
}

fn trend(message: &v1::TrendSpec, default_zone: &str, v: &mut Violations) -> Option<TrendSpec> {
    within(v, "trend", |v| {
        let granularity = choice::granularity(message.granularity, "granularity", v);
        let name = if message.zone.is_empty() { default_zone } else { &message.zone };
        let zone = zone_named(name);
        v.require(zone.is_some(), "zone", "not a zone of the IANA database");
        granularity.zip(zone).map(|(granularity, zone)| TrendSpec { granularity, zone })
    })
}

fn compare(message: &v1::Comparison, period: &Period, v: &mut Violations) -> Option<Compare> {
    use v1::comparison::With;
    within(v, "compareTo", |v| match &message.with {
        Some(With::Period(with)) => Some(Compare::Period(time::period(with, "period", v))),
        Some(With::PreviousPeriod(true)) => {
            let closed = period.from.is_some() && period.until.is_some();
            v.require(closed, "previousPeriod", "the period in question needs both ends");
            Some(Compare::Previous)
        }
        Some(With::PreviousPeriod(false)) => {
            v.add("previousPeriod", "takes true");
            None
        }
        None => {
            v.add("", "takes a period or previousPeriod");
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use rekindle_core::Timestamp;

    use super::*;

    fn context(subject: Option<SubjectKind>) -> Context<'static> {
        Context { funnel: "support".into(), subject, default_zone: "Europe/Berlin" }
    }

    fn fields(v: Violations) -> Vec<String> {
        v.into_vec().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_bare_question_asks_for_everything_of_the_latest_revision() {
        let mut v = Violations::new();
        let question = figures(&v1::QueryFunnelRequest::default(), context(None), &mut v);
        assert!(v.is_empty());
        assert_eq!((question.revision, question.unit, question.as_of), (None, None, None));
        assert_eq!(question.period, Period::default());
    }

    #[test]
    fn a_breakdown_without_a_number_names_ten_groups() {
        let spec = v1::BreakdownSpec {
            property: Some(v1::Property { scope: v1::PropertyScope::Customer.into(), key: "plan".into() }),
            ..v1::BreakdownSpec::default()
        };
        let mut v = Violations::new();
        assert_eq!(breakdown(&spec, &mut v).top, 10);
        assert!(v.is_empty());
    }

    #[test]
    fn every_wrong_field_of_a_question_is_named() {
        let at = time::to_instant(Timestamp::EARLIEST);
        let message = v1::QueryFunnelRequest {
            revision: -1,
            unit: v1::Unit::Episode.into(),
            period: Some(v1::Period { start_time: Some(at), end_time: None }),
            breakdowns: vec![v1::BreakdownSpec { top_n: 2_000, ..v1::BreakdownSpec::default() }],
            trend: Some(v1::TrendSpec { zone: "Mars/Olympus".into(), ..v1::TrendSpec::default() }),
            compare_to: Some(v1::Comparison { with: Some(v1::comparison::With::PreviousPeriod(true)) }),
            ..v1::QueryFunnelRequest::default()
        };
        let mut v = Violations::new();
        figures(&message, context(Some(SubjectKind::Customer)), &mut v);
        let mut found = fields(v);
        found.sort();
        let expected = [
            "breakdowns[0].property",
            "breakdowns[0].property.key",
            "breakdowns[0].property.scope",
            "breakdowns[0].topN",
            "compareTo.previousPeriod",
            "revision",
            "trend.granularity",
            "trend.zone",
            "unit",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn only_those_that_never_entered_have_no_stage() {
        for (figure, given, wrong) in [
            (Figure::Reached, "", true),
            (Figure::Reached, "asked", false),
            (Figure::NeverEntered, "", false),
            (Figure::NeverEntered, "asked", true),
        ] {
            let message = v1::ListFunnelSubjectsRequest { stage: given.into(), ..Default::default() };
            let mut v = Violations::new();
            stage(&message, Some(figure), &mut v);
            assert_eq!(!v.is_empty(), wrong, "{figure:?} {given:?}");
        }
    }

    #[test]
    fn a_group_without_its_breakdown_is_named() {
        let message = v1::BreakdownFilter { value: "pro".into(), is_other: true, ..Default::default() };
        let mut v = Violations::new();
        group(&message, &mut v);
        let found = fields(v);
        assert!(
            found.contains(&"breakdown.spec".to_owned()) && found.contains(&"breakdown.value".to_owned())
        );
    }
}
