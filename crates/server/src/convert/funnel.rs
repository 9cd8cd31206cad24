//! Funnels, revisions, fills and templates.

use std::collections::HashMap;

use rekindle_core::calendar::CalendarSpec;
use rekindle_core::funnel::validate::validate;
use rekindle_core::funnel::{EpisodeRules, Funnel};
use rekindle_core::violation::{Violation, Violations};
use rekindle_engine::funnels::FunnelView;
use rekindle_ports::rows::{FillRow, FillState, LivePolicy};
use rekindle_proto::v1;

use super::path::{each, named};
use super::stage::{exclusion, matching, property, stage};
use super::stage::{to_exclusion, to_match, to_property, to_stage};
use super::{choice, time};
use crate::name::{Collection, revision_name};

/// Reads a definition. Output-only fields are ignored; the name for people is `id` unless the
/// message says otherwise.
///
/// When a field cannot be read, everything else that is wrong is named too.
pub fn funnel(message: &v1::Funnel, id: &str) -> Result<Funnel, Vec<Violation>> {
    let mut v = Violations::new();
    let read = read(message, id, &mut v);
    if v.is_empty() {
        return Ok(read);
    }
    // Which calendar a name stands for is not known here.
    let calendar = (!read.calendar_name.is_empty()).then(CalendarSpec::default);
    validate(&Funnel { calendar, ..read }, &mut v);
    Err(v.into_vec())
}

/// A definition as a message, without what is known of its revision.
pub fn to_definition(funnel: &Funnel) -> v1::Funnel {
    v1::Funnel {
        display_name: funnel.display_name.clone(),
        description: funnel.description.clone(),
        subject: choice::to_subject(funnel.subject).into(),
        order: choice::to_order(funnel.order).into(),
        stages: funnel.stages.iter().map(to_stage).collect(),
        conversion_window: funnel.conversion_window.map(time::to_duration),
        exclusions: funnel.exclusions.iter().map(to_exclusion).collect(),
        r#where: funnel.rule.clone(),
        ended: funnel.ended.iter().map(to_match).collect(),
        reopened: funnel.reopened.iter().map(to_match).collect(),
        reentry: choice::to_reentry(funnel.reentry).into(),
        episode_rules: Some(v1::EpisodeRules {
            same_issue_within: Some(time::to_duration(funnel.episodes.same_issue_within)),
            pleasantry_grace: Some(time::to_duration(funnel.episodes.pleasantry_grace)),
        }),
        breakdowns: funnel.breakdowns.iter().map(to_property).collect(),
        calendar: funnel.calendar_name.clone(),
        starts_time: funnel.starts_at.map(time::to_instant),
        goals: funnel.goals.clone(),
        personas: funnel.personas.clone(),
        resources: funnel.resources.clone(),
        notes: funnel.notes.clone(),
        ..v1::Funnel::default()
    }
}

/// A funnel in one revision, as a message.
pub fn to_funnel(view: &FunnelView) -> v1::Funnel {
    v1::Funnel {
        name: Collection::Funnels.name(&view.row.id),
        revision: view.revision.head.revision,
        etag: view.row.etag.clone(),
        create_time: Some(time::to_instant(view.row.created_at)),
        update_time: Some(time::to_instant(view.revision.head.published_at)),
        ..to_definition(&view.revision.body)
    }
}

/// What an update did, or would do, to live journeys.
pub fn to_live_impact(view: &FunnelView) -> Option<v1::LiveImpact> {
    let live_count = view.live_before?;
    let mut impact = v1::LiveImpact { live_count, ..v1::LiveImpact::default() };
    match view.revision.head.policy {
        LivePolicy::Drain => impact.drained_count = live_count,
        LivePolicy::Migrate => impact.migrated_count = live_count,
        LivePolicy::Cancel => impact.cancelled_count = live_count,
    }
    Some(impact)
}

/// One revision as a message.
pub fn to_revision(view: &FunnelView) -> v1::FunnelRevision {
    let head = &view.revision.head;
    v1::FunnelRevision {
        name: revision_name(&head.funnel, head.revision),
        funnel: Some(v1::Funnel { etag: String::new(), ..to_funnel(view) }),
        create_time: Some(time::to_instant(head.published_at)),
        live_policy: choice::to_live_policy(head.policy).into(),
        stage_map: view.revision.stage_map.clone().into_iter().collect::<HashMap<_, _>>(),
    }
}

/// How far a fill has come, as a message.
pub fn to_fill(fill: &FillRow) -> v1::FunnelFill {
    use v1::funnel_fill::State;
    let state = match fill.state {
        FillState::Running => State::Running,
        FillState::Done => State::Complete,
        FillState::Cancelled => State::Cancelled,
    };
    v1::FunnelFill {
        funnel: Collection::Funnels.name(&fill.head.funnel),
        revision: fill.head.revision,
        state: state.into(),
        subjects_done: fill.done,
        subjects_total: fill.total,
        complete: fill.state == FillState::Done,
        create_time: Some(time::to_instant(fill.head.published_at)),
    }
}

fn read(message: &v1::Funnel, id: &str, v: &mut Violations) -> Funnel {
    Funnel {
        display_name: named(&message.display_name, id),
        description: message.description.clone(),
        subject: choice::subject(message.subject, "subject", v),
        order: choice::order(message.order, "order", v),
        stages: each(&message.stages, "stages", v, stage),
        conversion_window: {
            let window = message.conversion_window.as_ref();
            window.and_then(|span| time::duration(span, "conversionWindow", v))
        },
        exclusions: each(&message.exclusions, "exclusions", v, exclusion),
        rule: message.r#where.clone(),
        ended: message.ended.iter().map(matching).collect(),
        reopened: message.reopened.iter().map(matching).collect(),
        reentry: choice::reentry(message.reentry, "reentry", v),
        episodes: episode_rules(message.episode_rules.as_ref(), v),
        breakdowns: each(&message.breakdowns, "breakdowns", v, property),
        calendar_name: message.calendar.clone(),
        calendar: None,
        starts_at: message.starts_time.as_ref().and_then(|at| time::instant(at, "startsTime", v)),
        goals: message.goals.clone(),
        personas: message.personas.clone(),
        resources: message.resources.clone(),
        notes: message.notes.clone(),
    }
}

fn episode_rules(message: Option<&v1::EpisodeRules>, v: &mut Violations) -> EpisodeRules {
    let mut rules = EpisodeRules::default();
    let Some(message) = message else {
        return rules;
    };
    v.within("episodeRules", |v| {
        let within = message.same_issue_within.as_ref();
        let within = within.and_then(|span| time::duration(span, "sameIssueWithin", v));
        rules.same_issue_within = within.unwrap_or(rules.same_issue_within);
        let grace = message.pleasantry_grace.as_ref();
        let grace = grace.and_then(|span| time::duration(span, "pleasantryGrace", v));
        rules.pleasantry_grace = grace.unwrap_or(rules.pleasantry_grace);
    });
    rules
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rekindle_core::Timestamp;
    use rekindle_core::funnel::{
        Exclusion, Goal, Match, OwedBy, Property, PropertyScope, Reentry, SilenceRule, Stage, StageOrder,
        SubjectKind, TargetArm, TargetExperiment, TimeBasis,
    };
    use rekindle_core::time::{DAY, HOUR, MINUTE};
    use rekindle_ports::rows::{FunnelRow, RevisionHead, RevisionRow};

    use super::*;

    fn entering(kind: &str) -> Vec<Match> {
        vec![Match { event_types: [kind.to_owned()].into(), rule: "event.properties.plan == \"pro\"".into() }]
    }

    /// A funnel in which every field differs from its default.
    fn elaborate() -> Funnel {
        let waiting = Stage {
            id: "waiting".into(),
            display_name: "Waiting".into(),
            description: "for a word".into(),
            enter: entering("agent_message"),
            optional: true,
            requires: vec!["asked".into()],
            window: Some(3 * HOUR),
            goal: Some(Goal::Engagement),
            stall: Some(SilenceRule {
                after: 20 * MINUTE,
                basis: TimeBasis::Business,
                owed_by: OwedBy::Customer,
            }),
            warn_at: Some(750),
            target_experiment: Some(TargetExperiment {
                id: "faster".into(),
                arms: vec![
                    TargetArm { id: "as-before".into(), after: 20 * MINUTE, weight: 3 },
                    TargetArm { id: "half".into(), after: 10 * MINUTE, weight: 1 },
                ],
            }),
            abandon: Some(SilenceRule { after: 7 * DAY, basis: TimeBasis::Wall, owed_by: OwedBy::Agent }),
            touchpoints: vec!["chat".into()],
            resources: vec!["macros".into()],
            notes: "mind the tone".into(),
        };
        let asked = Stage {
            id: "asked".into(),
            display_name: "Asked".into(),
            enter: entering("customer_message"),
            ..Stage::default()
        };
        let solved = Stage {
            id: "solved".into(),
            display_name: "Solved".into(),
            goal: Some(Goal::Resolution),
            ..asked.clone()
        };
        Funnel {
            display_name: "Support".into(),
            description: "From question to answer".into(),
            subject: SubjectKind::Customer,
            order: StageOrder::Strict,
            stages: vec![asked, waiting, solved],
            conversion_window: Some(14 * DAY),
            exclusions: vec![Exclusion {
                matching: entering("refund")[0].clone(),
                from_stage: "asked".into(),
                to_stage: "solved".into(),
            }],
            rule: "conversation.channel == \"chat\"".into(),
            ended: entering("closed"),
            reopened: entering("reopen"),
            reentry: Reentry::AfterEnd,
            episodes: EpisodeRules { same_issue_within: 3 * DAY, pleasantry_grace: 2 * HOUR },
            breakdowns: vec![Property { scope: PropertyScope::Customer, key: "plan".into() }],
            calendar_name: "office".into(),
            calendar: None,
            starts_at: Some(Timestamp::EARLIEST.plus(1)),
            goals: vec!["answers".into()],
            personas: vec!["Ada".into()],
            resources: vec!["a desk".into()],
            notes: "none".into(),
        }
    }

    fn fields(found: Vec<Violation>) -> Vec<String> {
        found.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_definition_survives_the_message_with_every_field() {
        let written = elaborate();
        assert_eq!(funnel(&to_definition(&written), "support").expect("our own message"), written);
    }

    #[test]
    fn what_is_left_out_becomes_the_documented_default() {
        let message = v1::Funnel {
            stages: vec![v1::Stage { id: "asked".into(), ..v1::Stage::default() }],
            ..v1::Funnel::default()
        };
        let read = funnel(&message, "support").expect("readable, if not valid");
        assert_eq!(read.display_name, "support");
        assert_eq!(read.stages[0].display_name, "asked");
        assert_eq!(read.episodes, EpisodeRules::default());
        assert_eq!(funnel(&to_definition(&read), "support").expect("our own message"), read);
    }

    #[test]
    fn every_field_that_cannot_be_read_is_named_by_its_path() {
        let mut message = to_definition(&elaborate());
        message.order = 99;
        message.stages[1].stall = Some(v1::SilenceRule::default());
        let arms = vec![v1::TargetArm { weight: -1, ..v1::TargetArm::default() }];
        message.stages[1].target_experiment = Some(v1::TargetExperiment { id: "faster".into(), arms });
        message.exclusions[0].r#match = None;
        message.breakdowns[0].scope = 0;
        message.starts_time = Some(time::to_instant(Timestamp(0)));
        message.conversion_window = Some(pbjson_types::Duration { seconds: -1, nanos: 0 });
        let found = fields(funnel(&message, "support").expect_err("eight wrong fields"));
        for field in [
            "order",
            "stages[1].stall.after",
            "stages[1].targetExperiment.arms[0].after",
            "stages[1].targetExperiment.arms[0].weight",
            "exclusions[0].match",
            "breakdowns[0].scope",
            "startsTime",
            "conversionWindow",
        ] {
            assert!(found.iter().any(|at| at == field), "{field} is missing in {found:?}");
        }
    }

    #[test]
    fn wrong_rules_are_named_beside_unreadable_fields() {
        let mut message = to_definition(&elaborate());
        message.reentry = 99;
        message.stages[1].enter[0].r#where = "event.".into();
        let found = fields(funnel(&message, "support").expect_err("two wrong fields"));
        assert!(
            found.contains(&"reentry".to_owned()) && found.contains(&"stages[1].enter[0].where".to_owned())
        );
    }

    #[test]
    fn a_revision_has_no_etag_and_keeps_its_stage_map() {
        let head = RevisionHead {
            funnel: "support".into(),
            revision: 2,
            key: 9,
            is_latest: true,
            published_at: Timestamp::EARLIEST,
            policy: LivePolicy::Migrate,
        };
        let view = FunnelView {
            live_before: None,
            row: FunnelRow {
                id: "support".into(),
                revision: 2,
                etag: "e2".into(),
                created_at: Timestamp::EARLIEST,
                updated_at: Timestamp::EARLIEST,
            },
            revision: RevisionRow {
                head,
                body: elaborate(),
                stage_map: BTreeMap::from([("old".into(), "asked".into())]),
            },
        };
        let message = to_revision(&view);
        assert_eq!(message.name, "workspaces/default/funnels/support/revisions/2");
        assert_eq!(message.live_policy(), v1::LivePolicy::Migrate);
        assert_eq!(message.stage_map["old"], "asked");
        assert_eq!(message.funnel.expect("a definition").etag, "");
        assert_eq!(to_funnel(&view).etag, "e2");
    }
}
