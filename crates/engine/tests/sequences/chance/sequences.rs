//! Sequences that chance writes.

use rekindle_core::funnel::OwedBy;
use rekindle_core::sequence::{
    Action, Branch, Case, Escalate, LimitPolicy, QuietHours, QuietPolicy, ReentryPer, ReentryRule, Repeat,
    Sequence, Split, Step, UnknownPolicy, Variant, Wait, WaitFor, WaitUntil,
};
use rekindle_core::time::{DAY, HOUR, MINUTE};

use super::dice::Dice;
use crate::house::{email, sequence, step, webhook};

/// Rules that steps ask.
const RULES: [&str; 4] = [
    "customer.plan == 'pro'",
    "has(customer.zone)",
    "run.steps.first.outcome == 'delivered'",
    "event.type == 'agent_message'",
];

/// A valid sequence.
pub fn any(dice: &mut Dice) -> Sequence {
    let mut ids = 0;
    let mut steps = vec![step("first", message(dice))];
    steps.extend((0..=dice.below(3)).map(|_| any_step(dice, &mut ids, 2)));
    let mut found = sequence(steps);
    // Anybody's silence, so that mail to the customer is in order.
    found.trigger.owed_by = OwedBy::Anyone;
    found.holdout = dice.one_of(&[0, 5_000]);
    found.when_limited = dice.one_of(&[LimitPolicy::Defer, LimitPolicy::Skip]);
    found.reentry = dice.once_in(5).then(|| ReentryRule {
        per: dice.one_of(&[ReentryPer::Conversation, ReentryPer::Customer]),
        cool_down: dice.one_of(&[None, Some(6 * HOUR)]),
    });
    found.quiet = dice.once_in(2).then(|| QuietHours {
        hours: dice.one_of(&["Mo-Su 22:00-08:00", "Mo-Su 00:00-06:30; Sa,Su 00:00-24:00"]).into(),
        holidays: Vec::new(),
        policy: dice.one_of(&[QuietPolicy::Defer, QuietPolicy::Skip, QuietPolicy::Abort]),
        max_deferral: dice.one_of(&[HOUR, 4 * DAY]),
    });
    found
}

fn message(dice: &mut Dice) -> Action {
    let mut mail = email();
    mail.unknown = dice.one_of(&[UnknownPolicy::Resend, UnknownPolicy::Park]);
    match dice.below(5) {
        0 => Action::CallWebhook(webhook()),
        1 => Action::Escalate(Escalate {
            destination: "hook".into(),
            to: String::new(),
            subject: String::new(),
            text: String::new(),
            body: String::new(),
            unknown: mail.unknown,
        }),
        _ => Action::SendEmail(mail),
    }
}

fn any_step(dice: &mut Dice, ids: &mut u32, depth: u32) -> Step {
    *ids += 1;
    let id = format!("s{ids}");
    let action = match dice.below(if depth == 0 { 4 } else { 8 }) {
        0 | 1 => message(dice),
        2 => Action::Wait(Wait::wall(i64::from(1 + dice.below(600)) * MINUTE)),
        3 => Action::WaitUntil(dice.one_of(&[
            WaitUntil::Hours("Mo-Fr 09:00-17:00".into()),
            WaitUntil::Time { minute: 540, days: [1, 3, 5].into() },
        ])),
        4 => Action::WaitFor(WaitFor {
            rule: dice.one_of(&["event.type == 'ping'", "customer.plan == 'pro'"]).into(),
            within: i64::from(1 + dice.below(48)) * HOUR,
            then: block(dice, ids, depth),
            otherwise: block(dice, ids, depth),
        }),
        5 => Action::Branch(Branch {
            cases: vec![Case { when: dice.one_of(&RULES).into(), steps: block(dice, ids, depth) }],
            otherwise: block(dice, ids, depth),
        }),
        6 => Action::Split(Split {
            variants: ["a", "b"]
                .map(|id| Variant {
                    id: id.into(),
                    weight: 1 + dice.below(3),
                    steps: block(dice, ids, depth),
                })
                .into(),
        }),
        _ => {
            let mut steps = block(dice, ids, depth);
            *ids += 1;
            steps.push(step(&format!("s{ids}"), Action::Wait(Wait::wall(HOUR))));
            Action::Repeat(Repeat {
                times: 1 + dice.below(3),
                until: dice.one_of(&["", "customer.plan == 'pro'"]).into(),
                steps,
            })
        }
    };
    step(&id, action)
}

fn block(dice: &mut Dice, ids: &mut u32, depth: u32) -> Vec<Step> {
    (0..dice.below(3)).map(|_| any_step(dice, ids, depth - 1)).collect()
}
