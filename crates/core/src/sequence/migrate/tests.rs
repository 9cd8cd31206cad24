//! Runs that are taken over into another revision.

use super::*;
use crate::sequence::fixtures::{call, sequence, step, wait};
use crate::sequence::{Branch, Case, Repeat, Step, WaitFor};
use crate::time::{DAY, HOUR, Timestamp};

const BEGAN: Timestamp = Timestamp::EARLIEST;

fn rest(id: &str) -> Step {
    wait(id, HOUR)
}

fn again(id: &str, steps: Vec<Step>) -> Step {
    step(id, Action::Repeat(Repeat { times: 3, until: String::new(), steps }))
}

fn hear(id: &str, within: i64) -> Step {
    let wait = WaitFor {
        rule: "event.type == 'paid'".into(),
        within,
        then: vec![call("thank")],
        otherwise: Vec::new(),
    };
    step(id, Action::WaitFor(wait))
}

fn program(steps: Vec<Step>) -> Program {
    Program::compile(&sequence(steps)).expect("a valid sequence")
}

fn map(pairs: &[(&str, &str)]) -> StepMap {
    pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
}

fn awaiting(awaits: Awaits) -> Progress {
    let mut progress = Progress { awaits: Some(awaits), ..Progress::default() };
    let step = progress.awaits.as_ref().map(|awaits| awaits.step().to_owned()).unwrap_or_default();
    progress.visit(&step);
    progress
}

fn moment(step: &str) -> Progress {
    awaiting(Awaits::Moment { step: step.into(), since: BEGAN, until: BEGAN.plus(HOUR) })
}

fn delivery(step: &str) -> Progress {
    awaiting(Awaits::Delivery { step: step.into(), visit: 1 })
}

/// Where a run of `from` that stands at a place goes in `to`.
fn goes(
    place: usize,
    progress: &Progress,
    from: &Program,
    to: &Program,
    pairs: &[(&str, &str)],
) -> (Option<String>, Progress) {
    match moved(place, progress, from, to, &map(pairs)) {
        Moved::Goes { place, progress } => (to.step_at(place).map(str::to_owned), progress),
        other => panic!("it does not go on: {other:?}"),
    }
}

#[test]
fn a_wait_goes_on_under_its_id_wherever_it_is_now_and_keeps_when_it_began() {
    let old = program(vec![rest("rest"), call("tell")]);
    let new = program(vec![call("first"), rest("rest"), call("tell")]);
    let before = moment("rest");
    let (step, progress) = goes(0, &before, &old, &new, &[]);
    assert_eq!(step.as_deref(), Some("rest"));
    assert_eq!(progress, before);
}

#[test]
fn a_step_that_is_another_kind_of_step_now_begins() {
    let old = program(vec![rest("this"), call("tell")]);
    let new = program(vec![call("this"), call("tell")]);
    let (step, progress) = goes(0, &moment("this"), &old, &new, &[]);
    assert_eq!((step.as_deref(), progress.awaits), (Some("this"), None));
    assert_eq!(progress.steps["this"].visits, 1, "what it knows of the step stays");
}

#[test]
fn a_rule_is_awaited_for_as_long_as_the_new_revision_says() {
    let (old, new) = (program(vec![hear("hear", DAY)]), program(vec![rest("rest"), hear("hear", 2 * DAY)]));
    let rule = |span| Awaits::Rule {
        step: "hear".into(),
        since: BEGAN,
        until: BEGAN.plus(span),
        heard: vec!["e1".into()],
    };
    let (step, progress) = goes(0, &awaiting(rule(DAY)), &old, &new, &[]);
    assert_eq!((step.as_deref(), progress.awaits), (Some("hear"), Some(rule(2 * DAY))));
}

#[test]
fn a_message_under_way_is_awaited_and_then_comes_what_is_behind_its_step() {
    let old = program(vec![call("tell"), call("end")]);
    let new = program(vec![call("end"), call("tell"), rest("rest")]);
    let before = delivery("tell");
    let (step, progress) = goes(1, &before, &old, &new, &[]);
    assert_eq!((step.as_deref(), &progress), (Some("rest"), &before));
    // Behind the last step nothing is left.
    let (step, progress) = goes(1, &before, &old, &program(vec![call("tell")]), &[]);
    assert_eq!((step, &progress), (None, &before));
}

#[test]
fn the_map_names_the_step_at_whose_beginning_runs_go_on() {
    let old = program(vec![rest("rest"), call("tell")]);
    let new = program(vec![call("other"), rest("longer"), call("tell")]);
    let (step, progress) = goes(0, &moment("rest"), &old, &new, &[("rest", "longer")]);
    assert_eq!((step.as_deref(), progress.awaits), (Some("longer"), None));
    let under_way = goes(2, &delivery("tell"), &old, &new, &[("tell", "other")]);
    assert_eq!(under_way, (Some("other".to_owned()), delivery("tell")), "it is awaited first");
    // One that is still there is left for another, where the map says so.
    let (step, _) = goes(2, &delivery("tell"), &old, &new, &[("tell", "longer")]);
    assert_eq!(step.as_deref(), Some("longer"));
}

#[test]
fn what_the_map_gives_to_nobody_ends_and_what_it_does_not_name_is_nowhere() {
    let (old, new) = (program(vec![rest("rest"), call("tell")]), program(vec![call("tell")]));
    assert_eq!(moved(0, &moment("rest"), &old, &new, &map(&[("rest", "")])), Moved::Ends);
    assert_eq!(moved(0, &moment("rest"), &old, &new, &map(&[])), Moved::Nowhere);
    assert_eq!(moved(0, &moment("rest"), &old, &new, &map(&[("rest", "gone")])), Moved::Nowhere);
}

#[test]
fn a_run_that_has_not_begun_begins_and_one_that_is_through_completes() {
    let (old, new) = (program(vec![call("tell")]), program(vec![rest("rest"), call("other")]));
    assert_eq!(goes(0, &Progress::default(), &old, &new, &[]).0.as_deref(), Some("rest"));
    let mut walked = Progress::default();
    walked.visit("tell");
    let through = Moved::Goes { place: new.end(), progress: walked.clone() };
    assert_eq!(moved(old.end(), &walked, &old, &new, &map(&[])), through);
}

#[test]
fn who_comes_to_be_inside_of_repetitions_is_in_their_first_round_and_leaves_those_it_was_in() {
    let old = program(vec![again("once", vec![rest("rest")]), call("tell")]);
    let inner = again("inner", vec![rest("rest"), call("ask")]);
    let new = program(vec![again("outer", vec![call("other"), inner]), call("tell")]);
    let mut before = moment("rest");
    before.rounds.insert("once".into(), 2);
    let (step, progress) = goes(1, &before, &old, &new, &[]);
    assert_eq!(step.as_deref(), Some("rest"));
    let rounds = [("inner".to_owned(), 1), ("outer".to_owned(), 1)];
    assert_eq!(progress.rounds, BTreeMap::from(rounds));
    assert_eq!(progress.steps["outer"].visits, 1);
    // One that it stays in goes on counting.
    let longer = program(vec![again("once", vec![call("ask"), rest("rest")]), call("tell")]);
    let (_, progress) = goes(1, &before, &old, &longer, &[]);
    assert_eq!(progress.rounds, BTreeMap::from([("once".to_owned(), 2)]));
    // And whoever is sent behind it is out of it.
    let (_, progress) = goes(1, &before, &old, &longer, &[("rest", "tell")]);
    assert_eq!(progress.rounds, BTreeMap::new());
}

#[test]
fn a_run_between_rounds_goes_on_counting_them() {
    // Behind the last step inside a repetition, as runs of old wait.
    let old = program(vec![again("again", vec![call("ask"), rest("rest")])]);
    let new = program(vec![call("tell"), again("again", vec![call("ask")])]);
    let mut before = Progress::default();
    before.visit("ask");
    before.rounds.insert("again".into(), 2);
    let (step, progress) = goes(3, &before, &old, &new, &[]);
    assert_eq!((step.as_deref(), &progress.rounds), (Some("again"), &before.rounds));
}

#[test]
fn every_step_knows_where_it_begins_and_what_is_behind_it() {
    let branch = Branch {
        cases: vec![Case { when: "customer.plan == 'pro'".into(), steps: vec![call("pro")] }],
        otherwise: vec![call("free")],
    };
    let inside = again("again", vec![step("which", Action::Branch(branch)), hear("hear", DAY)]);
    let whole = program(vec![inside, call("tell")]);
    for id in ["again", "which", "pro", "free", "hear", "thank", "tell"] {
        let place = whole.place_of(id).expect("a step");
        assert_eq!(whole.step_at(place), Some(id));
    }
    let behind = |id| whole.behind(id).and_then(|place| whole.step_at(place));
    assert_eq!(behind("pro"), Some("hear"));
    assert_eq!(behind("which"), Some("hear"));
    assert_eq!(behind("thank"), Some("again"));
    assert_eq!(behind("again"), Some("tell"));
    assert_eq!(behind("tell"), None);
    assert_eq!(whole.place_of("nobody"), None);
}
