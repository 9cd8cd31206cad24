//! A sequence laid out flat: what a run does next is a place in a list.

use std::collections::BTreeMap;

use super::action::{Branch, Repeat, Split, WaitFor};
use super::quiet::Quiet;
use super::{Action, MessageClass, Sequence, Step};
use crate::calendar::Hours;
use crate::predicate::{self, Predicate};
use crate::violation::Violations;

/// A sequence, ready to walk through.
#[derive(Debug)]
pub struct Program {
    pub(super) ops: Vec<Op>,
    stretches: BTreeMap<String, Stretch>,
    quiet: Option<Quiet>,
}

/// Where a step lies in the list, with all that is inside it.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    first: usize,
    behind: usize,
}

/// One thing to do.
#[derive(Debug)]
pub(super) enum Op {
    /// A step without steps inside it.
    Do { step: Step, hours: Option<Hours> },
    /// Waits for a rule; goes on behind it when it holds.
    Await { step: String, rule: Predicate, within: i64, late: usize },
    /// Goes on behind it when the rule holds, elsewhere when it does not.
    Case { step: String, way: String, when: Predicate, otherwise: usize },
    /// No case held.
    Otherwise { step: String },
    /// Goes one of several ways.
    Draw { step: String, ways: Vec<Way> },
    /// Begins a round, or leaves the repetition.
    Round { step: String, times: u32, until: Option<Predicate>, exit: usize },
    /// Goes on elsewhere.
    Jump(usize),
}

/// A way of a split.
#[derive(Debug)]
pub(super) struct Way {
    pub id: String,
    pub weight: u32,
    pub to: usize,
}

impl Program {
    /// Lays a sequence out; `None` for one that was never valid.
    pub fn compile(sequence: &Sequence) -> Option<Self> {
        let mut layout = Layout { ops: Vec::new(), stretches: BTreeMap::new(), is_sound: true };
        layout.block(&sequence.steps);
        let may_rest = sequence.class == MessageClass::Marketing;
        let mut violations = Violations::new();
        let quiet = sequence.quiet.as_ref().filter(|_| may_rest).and_then(|spec| {
            let hours = Hours::compile(&spec.hours, &spec.holidays, &mut violations)?;
            Some(Quiet::new(spec, hours))
        });
        let Layout { ops, stretches, is_sound } = layout;
        (is_sound && violations.is_empty()).then_some(Self { ops, stretches, quiet })
    }

    /// When its mails may not go; `None` for those that always may.
    pub fn quiet(&self) -> Option<&Quiet> {
        self.quiet.as_ref()
    }

    /// Whether it waits for events, or a rule of it looks at them.
    pub fn reads_events(&self) -> bool {
        let waits = self.ops.iter().any(|op| matches!(op, Op::Await { .. }));
        waits || self.rules().any(|rule| rule.reads().event)
    }

    /// Whether a rule of it looks at what is known of the conversation.
    pub fn reads_conversations(&self) -> bool {
        self.rules().any(|rule| !rule.reads().conversation_keys.is_empty())
    }

    fn rules(&self) -> impl Iterator<Item = &Predicate> {
        self.ops.iter().filter_map(|op| match op {
            Op::Await { rule, .. } => Some(rule),
            Op::Case { when, .. } => Some(when),
            Op::Round { until, .. } => until.as_ref(),
            Op::Do { .. } | Op::Otherwise { .. } | Op::Draw { .. } | Op::Jump(_) => None,
        })
    }

    /// Id of the step at a place; `None` behind the last.
    pub fn step_at(&self, place: usize) -> Option<&str> {
        let mut place = place;
        // Jumps lead out of blocks, and back to the beginning of a repetition.
        for _ in 0..self.ops.len() {
            match self.ops.get(place)? {
                Op::Do { step, .. } => return Some(&step.id),
                Op::Await { step, .. }
                | Op::Case { step, .. }
                | Op::Otherwise { step }
                | Op::Draw { step, .. }
                | Op::Round { step, .. } => return Some(step),
                Op::Jump(to) => place = *to,
            }
        }
        None
    }

    /// Where a step begins; `None` for one that there is not.
    pub fn place_of(&self, step: &str) -> Option<usize> {
        self.stretches.get(step).map(|stretch| stretch.first)
    }

    /// What comes behind a step, and behind all that is inside it.
    pub fn behind(&self, step: &str) -> Option<usize> {
        self.stretches.get(step).map(|stretch| stretch.behind)
    }

    /// Behind the last step.
    pub fn end(&self) -> usize {
        self.ops.len()
    }

    /// Ids of the repetitions that a place is inside of, the outermost first.
    pub(super) fn rounds_around(&self, place: usize) -> Vec<&str> {
        let before = self.ops.iter().take(place);
        before
            .filter_map(|op| match op {
                Op::Round { step, exit, .. } if *exit > place => Some(step.as_str()),
                _ => None,
            })
            .collect()
    }
}

/// A list in the making.
struct Layout {
    ops: Vec<Op>,
    stretches: BTreeMap<String, Stretch>,
    is_sound: bool,
}

impl Layout {
    fn block(&mut self, steps: &[Step]) {
        for step in steps {
            let first = self.ops.len();
            match &step.action {
                Action::WaitFor(wait) => self.wait_for(&step.id, wait),
                Action::Branch(branch) => self.branch(&step.id, branch),
                Action::Split(split) => self.split(&step.id, split),
                Action::Repeat(repeat) => self.repeat(&step.id, repeat),
                Action::WaitUntil(super::WaitUntil::Hours(hours)) => {
                    let hours = Hours::compile(hours, &[], &mut Violations::new());
                    self.is_sound &= hours.is_some();
                    self.ops.push(Op::Do { step: step.clone(), hours });
                }
                Action::Wait(_)
                | Action::WaitUntil(_)
                | Action::SendEmail(_)
                | Action::CallWebhook(_)
                | Action::Escalate(_)
                | Action::EmitEvent(_)
                | Action::End => self.ops.push(Op::Do { step: step.clone(), hours: None }),
            }
            self.stretches.insert(step.id.clone(), Stretch { first, behind: self.ops.len() });
        }
    }

    fn wait_for(&mut self, id: &str, wait: &WaitFor) {
        let Some(rule) = self.rule(&wait.rule) else {
            return;
        };
        let at = self.ops.len();
        self.ops.push(Op::Await { step: id.into(), rule, within: wait.within, late: 0 });
        self.block(&wait.then);
        let leave = self.jump();
        let behind = self.ops.len();
        if let Op::Await { late, .. } = &mut self.ops[at] {
            *late = behind;
        }
        self.block(&wait.otherwise);
        self.land(&[leave]);
    }

    fn branch(&mut self, id: &str, branch: &Branch) {
        let mut leaves = Vec::new();
        for (place, case) in branch.cases.iter().enumerate() {
            let Some(when) = self.rule(&case.when) else {
                return;
            };
            let at = self.ops.len();
            let way = format!("cases[{place}]");
            self.ops.push(Op::Case { step: id.into(), way, when, otherwise: 0 });
            self.block(&case.steps);
            leaves.push(self.jump());
            let behind = self.ops.len();
            if let Op::Case { otherwise, .. } = &mut self.ops[at] {
                *otherwise = behind;
            }
        }
        self.ops.push(Op::Otherwise { step: id.into() });
        self.block(&branch.otherwise);
        self.land(&leaves);
    }

    fn split(&mut self, id: &str, split: &Split) {
        let at = self.ops.len();
        self.ops.push(Op::Draw { step: id.into(), ways: Vec::new() });
        let (mut laid, mut leaves) = (Vec::new(), Vec::new());
        for variant in &split.variants {
            laid.push(Way { id: variant.id.clone(), weight: variant.weight, to: self.ops.len() });
            self.block(&variant.steps);
            leaves.push(self.jump());
        }
        if let Op::Draw { ways, .. } = &mut self.ops[at] {
            *ways = laid;
        }
        self.land(&leaves);
    }

    fn repeat(&mut self, id: &str, repeat: &Repeat) {
        let until = match repeat.until.as_str() {
            "" => None,
            rule => self.rule(rule),
        };
        let at = self.ops.len();
        self.ops.push(Op::Round { step: id.into(), times: repeat.times, until, exit: 0 });
        self.block(&repeat.steps);
        self.ops.push(Op::Jump(at));
        let behind = self.ops.len();
        if let Op::Round { exit, .. } = &mut self.ops[at] {
            *exit = behind;
        }
    }

    /// A jump whose end is not known yet.
    fn jump(&mut self) -> usize {
        self.ops.push(Op::Jump(0));
        self.ops.len() - 1
    }

    /// Lets jumps end here.
    fn land(&mut self, jumps: &[usize]) {
        let here = self.ops.len();
        for jump in jumps {
            self.ops[*jump] = Op::Jump(here);
        }
    }

    fn rule(&mut self, source: &str) -> Option<Predicate> {
        let rule = predicate::parse_in_run(source).ok();
        self.is_sound &= rule.is_some();
        rule
    }
}
