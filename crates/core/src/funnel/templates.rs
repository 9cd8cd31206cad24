//! Ready-made funnels to start from and edit.

use super::{Funnel, Goal, Match, OwedBy, SilenceRule, Stage, StageOrder, SubjectKind, TimeBasis};
use crate::time::{DAY, HOUR};

/// A ready-made funnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Id by which it is asked for.
    pub id: &'static str,
    /// The funnel.
    pub funnel: Funnel,
}

/// All templates, in the order of their ids.
pub fn list() -> Vec<Template> {
    vec![
        Template { id: "aida-sales", funnel: aida() },
        Template { id: "eight-stage-journey", funnel: eight_stages() },
        Template { id: "support", funnel: support() },
    ]
}

/// The template with this id.
pub fn find(id: &str) -> Option<Template> {
    list().into_iter().find(|template| template.id == id)
}

/// First contact to confirmed resolution.
fn support() -> Funnel {
    Funnel {
        display_name: "Support conversation".into(),
        description: "From a customer's first message to a resolution that holds.".into(),
        conversion_window: Some(14 * DAY),
        ended: on(&["resolution"]),
        reopened: on(&["reopen"]),
        stages: vec![
            stage("asked", "Asked", &["customer_message"], (OwedBy::Agent, HOUR), (OwedBy::Agent, 3 * DAY)),
            stage(
                "answered",
                "Answered",
                &["agent_message"],
                (OwedBy::Customer, 4 * HOUR),
                (OwedBy::Customer, 3 * DAY),
            ),
            stage(
                "in-dialogue",
                "In dialogue",
                &["customer_message"],
                (OwedBy::Anyone, DAY),
                (OwedBy::Anyone, 5 * DAY),
            ),
            Stage {
                goal: Some(Goal::Resolution),
                ..stage(
                    "resolved",
                    "Resolved",
                    &["resolution"],
                    (OwedBy::Anyone, DAY),
                    (OwedBy::Anyone, 5 * DAY),
                )
            },
        ],
        ..Funnel::default()
    }
}

/// Awareness, interest, desire, action.
fn aida() -> Funnel {
    Funnel {
        display_name: "AIDA sales funnel".into(),
        description: "Awareness, interest, desire, action: a customer's way to a purchase.".into(),
        subject: SubjectKind::Customer,
        conversion_window: Some(90 * DAY),
        stages: vec![
            touch("awareness", "Awareness", &["page_viewed", "ad_clicked", "lead_qualified"], 7),
            touch(
                "interest",
                "Interest",
                &["content_downloaded", "newsletter_subscribed", "customer_message"],
                7,
            ),
            touch("desire", "Desire", &["demo_requested", "trial_started", "cart_updated"], 3),
            Stage {
                goal: Some(Goal::Purchase),
                ..touch("action", "Action", &["purchase", "deal_closed"], 30)
            },
        ],
        ..Funnel::default()
    }
}

/// Passive, need, want, find, buy, get, retain, re-engage.
fn eight_stages() -> Funnel {
    let optional = |stage| Stage { optional: true, ..stage };
    Funnel {
        display_name: "Eight-stage customer journey".into(),
        description: "From somebody who knows us to a customer who comes back.".into(),
        subject: SubjectKind::Customer,
        order: StageOrder::Ordered,
        goals: vec!["Turn a passive reader into a customer who returns".into()],
        stages: vec![
            touch("passive", "Passive", &["page_viewed", "social_engaged"], 30),
            optional(touch("need", "Need", &["need_noticed", "category_viewed"], 14)),
            optional(touch("want", "Want", &["product_viewed", "wishlist_updated"], 7)),
            touch("find", "Find", &["search_performed", "cart_updated"], 3),
            Stage { goal: Some(Goal::Purchase), ..touch("buy", "Buy", &["purchase"], 14) },
            touch("get", "Get", &["delivered"], 7),
            Stage {
                goal: Some(Goal::Engagement),
                ..touch("retain", "Retain", &["review_written", "product_used"], 60)
            },
            touch("re-engage", "Re-engage", &["purchase", "referral_made"], 90),
        ],
        ..Funnel::default()
    }
}

fn on(kinds: &[&str]) -> Vec<Match> {
    vec![Match { event_types: kinds.iter().map(|&kind| kind.to_owned()).collect(), rule: String::new() }]
}

fn stage(id: &str, name: &str, kinds: &[&str], stall: (OwedBy, i64), abandon: (OwedBy, i64)) -> Stage {
    let rule = |(owed_by, after)| Some(SilenceRule { after, basis: TimeBasis::Wall, owed_by });
    Stage {
        id: id.into(),
        display_name: name.into(),
        enter: on(kinds),
        stall: rule(stall),
        abandon: rule(abandon),
        ..Stage::default()
    }
}

/// A stage of a journey over touchpoints: quiet after `days`, given up after four times as long.
fn touch(id: &str, name: &str, kinds: &[&str], days: i64) -> Stage {
    stage(id, name, kinds, (OwedBy::Anyone, days * DAY), (OwedBy::Anyone, 4 * days * DAY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::funnel::CompiledFunnel;

    #[test]
    fn every_template_is_a_valid_funnel() {
        for template in list() {
            let compiled = CompiledFunnel::new(template.funnel);
            assert!(compiled.is_ok(), "{}: {:?}", template.id, compiled.err());
        }
    }

    #[test]
    fn the_journey_has_its_eight_stages() {
        let template = find("eight-stage-journey").expect("a known template");
        let ids: Vec<_> = template.funnel.stages.iter().map(|stage| stage.id.as_str()).collect();
        assert_eq!(ids, ["passive", "need", "want", "find", "buy", "get", "retain", "re-engage"]);
    }
}
