//! Sequences that chance writes.

use std::collections::BTreeSet;

use super::SHORTEST;
use super::dice::Dice;
use crate::sequence::fixtures::{email, sequence, webhook};
use crate::sequence::migrate::StepMap;
use crate::sequence::validate::validate;
use crate::sequence::{
    Action, Branch, Case, LimitPolicy, QuietHours, QuietPolicy, Repeat, Sequence, Split, Step, Variant, Wait,
    WaitFor, WaitUntil,
};
use crate::time::{DAY, HOUR};
use crate::violation::Violations;

/// Rules that branches ask.
const RULES: [&str; 4] = [
    "customer.plan == 'pro'",
    "run.steps.first.outcome == 'delivered'",
    "run.steps.first.visits > 1",
    "run.arm == 'held_out'",
];

/// A valid sequence.
pub fn any(dice: &mut Dice) -> Sequence {
    let mut ids = 0;
    let first = Step { id: "first".into(), action: message(dice) };
    let more = dice.below(4);
    let mut steps = vec![first];
    steps.extend((0..more).map(|_| step(dice, &mut ids, 2)));
    let mut sequence = sequence(steps);
    sequence.holdout = dice.one_of(&[0, 3_000, 5_000]);
    sequence.when_limited = dice.one_of(&[LimitPolicy::Defer, LimitPolicy::Skip]);
    sequence.quiet = dice.once_in(2).then(|| QuietHours {
        hours: dice.one_of(&["Mo-Su 22:00-08:00", "Mo-Su 01:30-02:30; Sa,Su 00:00-24:00"]).into(),
        holidays: Vec::new(),
        policy: dice.one_of(&[QuietPolicy::Defer, QuietPolicy::Skip, QuietPolicy::Abort]),
        max_deferral: dice.one_of(&[HOUR, 4 * DAY]),
    });
    let mut violations = Violations::new();
    validate(&sequence, &mut violations);
    assert!(violations.is_empty(), "{:?}", violations.into_vec());
    sequence
}

/// The same with shorter waits, and perhaps without its last steps: the runs in those end.
pub fn edited(dice: &mut Dice, sequence: &Sequence) -> (Sequence, StepMap) {
    let mut edited = sequence.clone();
    if edited.steps.len() > 1 && dice.once_in(2) {
        edited.steps.pop();
    }
    shorten(&mut edited.steps);
    let ids = |sequence: &Sequence| -> BTreeSet<String> {
        sequence.each_step().into_iter().map(|(_, step)| step.id.clone()).collect()
    };
    let left = ids(&edited);
    let gone = ids(sequence).into_iter().filter(|id| !left.contains(id));
    (edited, gone.map(|id| (id, String::new())).collect())
}

fn shorten(steps: &mut [Step]) {
    for step in steps {
        if let Action::Wait(wait) = &mut step.action {
            wait.span = (wait.span / 2).max(1);
        }
    }
}

fn step(dice: &mut Dice, ids: &mut u32, depth: u32) -> Step {
    *ids += 1;
    let id = format!("s{ids}");
    let kinds = if depth == 0 { 4 } else { 8 };
    let action = match dice.below(kinds) {
        0 | 1 => message(dice),
        2 => Action::Wait(Wait::wall(SHORTEST + dice.up_to(2 * DAY))),
        3 => Action::WaitUntil(match dice.below(2) {
            0 => WaitUntil::Hours("Mo-Fr 09:00-17:00".into()),
            _ => WaitUntil::Time { minute: dice.one_of(&[0, 150, 545]), days: [1, 3].into() },
        }),
        4 => Action::WaitFor(WaitFor {
            rule: "event.type == 'opened'".into(),
            within: dice.up_to(3 * DAY),
            then: steps(dice, ids, depth),
            otherwise: steps(dice, ids, depth),
        }),
        5 => Action::Branch(Branch {
            cases: vec![Case { when: dice.one_of(&RULES).into(), steps: steps(dice, ids, depth) }],
            otherwise: steps(dice, ids, depth),
        }),
        6 => {
            let mut variant =
                |id: &str, weight| Variant { id: id.into(), weight, steps: steps(dice, ids, depth) };
            Action::Split(Split { variants: vec![variant("a", 1), variant("b", 3)] })
        }
        _ => Action::Repeat(Repeat {
            times: 1 + dice.below(3) as u32,
            until: String::new(),
            steps: vec![step(dice, ids, depth - 1)],
        }),
    };
    Step { id, action }
}

fn steps(dice: &mut Dice, ids: &mut u32, depth: u32) -> Vec<Step> {
    (0..dice.below(3)).map(|_| step(dice, ids, depth - 1)).collect()
}

fn message(dice: &mut Dice) -> Action {
    if dice.once_in(4) { Action::CallWebhook(webhook()) } else { Action::SendEmail(email()) }
}
