//! What the definitions mean, by example. Seconds; places count from 0.

use std::collections::HashMap;

use rekindle_core::Timestamp;
use rekindle_core::calendar::CalendarSpec;
use rekindle_core::event::Author;
use rekindle_core::fold::silence::EndedBy;
use rekindle_core::fold::{Changes, Journey, Silence, fold_all};
use rekindle_core::funnel::{CompiledFunnel, Funnel, OwedBy, Reentry, SilenceRule, TimeBasis};
use rekindle_core::ingest::NewEvent;
use rekindle_core::mark::MarkKind;
use rekindle_core::metrics::{Analysis, AttemptFact, Period, Shape, Unit};
use rekindle_core::time::{HOUR, SECOND};
use rekindle_testkit::build::{
    EventExt, FunnelExt, RECEIVED, START, at, event, events, funnel, key_of, stored,
};

/// An ended silence: from, due, until, by what.
type Ended = (i64, Option<i64>, Option<i64>, Option<EndedBy>);

/// A folded conversation.
struct Folded {
    funnel: Funnel,
    journey: Journey,
    changes: Changes,
}

fn fold(funnel: Funnel, events: &[NewEvent]) -> Folded {
    let compiled = CompiledFunnel::new(funnel).expect("a valid funnel");
    let (journey, changes) = fold_all(&compiled, None, &stored(events, RECEIVED));
    Folded { funnel: compiled.funnel, journey, changes }
}

impl Folded {
    /// Facts of all attempts.
    fn attempts(&self) -> Vec<AttemptFact> {
        let attempts = self.changes.attempts.values();
        attempts
            .map(|attempt| AttemptFact {
                subject: uuid::Uuid::nil(),
                customer: None,
                start: attempt.start.clone(),
                entered: attempt.entered.iter().map(|entry| entry.as_ref().map(|entry| entry.0)).collect(),
                voided_at: attempt.voided_at,
                episode: attempt.episode,
                chained: attempt.chained,
                values: attempt.values.clone(),
            })
            .collect()
    }

    /// Seconds at which the best attempt entered each stage, by an instant.
    fn best_by(&self, by: Timestamp) -> Vec<Option<i64>> {
        let (shape, ends) = (Shape::of(&self.funnel), HashMap::new());
        let analysis = Analysis::new(shape, Unit::Subject, &Period::default(), by, self.attempts(), &ends);
        let best = analysis.best().next().map(|(_, attempt)| attempt.entered.clone()).unwrap_or_default();
        best.into_iter().map(|entered| entered.map(seconds)).collect()
    }

    fn best(&self) -> Vec<Option<i64>> {
        self.best_by(Timestamp::LATEST)
    }

    /// Stages that the best attempt entered.
    fn level(&self) -> usize {
        self.best().iter().flatten().count()
    }

    /// Place, and whether it is through and closed.
    fn position(&self) -> (Option<usize>, bool, bool) {
        let passages = &self.journey.passages;
        let standing = passages.standing(self.funnel.order, self.funnel.stages.len(), Timestamp::LATEST);
        (standing.place, standing.completed, standing.ended)
    }

    fn open(&self) -> Option<&Silence> {
        self.journey.watch.open.as_ref()
    }

    /// When the open silence is a stall.
    fn stall_at(&self) -> Option<i64> {
        self.open().and_then(Silence::stall_at).map(seconds)
    }

    fn ended(&self) -> Vec<Ended> {
        let silences = self.changes.silences.iter();
        silences
            .map(|s| (seconds(s.since()), s.stall_at().map(seconds), s.until.map(seconds), s.ended_by))
            .collect()
    }

    fn units(&self, unit: Unit) -> Vec<Vec<Option<i64>>> {
        let starts = self.journey.episode_starts.iter().enumerate();
        let ends = starts.map(|(episode, start)| ((uuid::Uuid::nil(), episode as u32), *start)).collect();
        let shape = Shape::of(&self.funnel);
        let analysis =
            Analysis::new(shape, unit, &Period::default(), Timestamp::LATEST, self.attempts(), &ends);
        analysis.best().map(|(_, attempt)| attempt.entered.iter().map(|e| e.map(seconds)).collect()).collect()
    }
}

fn seconds(at: Timestamp) -> i64 {
    at.since(START) / SECOND
}

const ABC: &[&str] = &["a", "b", "c"];

#[test]
fn a_later_start_takes_over_when_its_attempt_goes_deeper() {
    let folded = fold(funnel(ABC).window(50), &events(&[("a", 0), ("a", 100), ("b", 110), ("c", 120)]));
    assert_eq!(folded.best(), [Some(100), Some(110), Some(120)]);
}

#[test]
fn the_deepest_attempt_stands_when_a_later_start_gets_nowhere() {
    let folded = fold(funnel(ABC).window(50), &events(&[("a", 0), ("b", 10), ("a", 100), ("c", 120)]));
    assert_eq!(folded.best(), [Some(0), Some(10), None]);
}

#[test]
fn of_equally_deep_attempts_the_earliest_start_counts() {
    let folded = fold(funnel(ABC), &events(&[("a", 0), ("a", 5), ("b", 10)]));
    assert_eq!(folded.best(), [Some(0), Some(10), None]);
}

#[test]
fn events_that_match_nothing_are_skipped_over() {
    let folded = fold(funnel(ABC), &events(&[("a", 0), ("x", 1), ("c", 2), ("b", 3), ("x", 4), ("c", 5)]));
    assert_eq!(folded.best(), [Some(0), Some(3), Some(5)]);
}

#[test]
fn one_event_enters_one_stage() {
    let folded = fold(funnel(&["a", "a", "a"]), &events(&[("a", 0), ("a", 1)]));
    assert_eq!(folded.level(), 2);
}

#[test]
fn at_equal_instants_the_sequence_decides_and_then_the_bytes_of_the_id() {
    let by_sequence = [event("z", "b", 7).sequence(1), event("y", "a", 7).sequence(2)];
    assert_eq!(fold(funnel(&["a", "b"]), &by_sequence).level(), 1);
    let by_bytes = [event("a", "b", 7), event("Z", "a", 7)];
    assert_eq!(fold(funnel(&["a", "b"]), &by_bytes).level(), 2, "capital letters come first");
}

#[test]
fn the_conversion_window_includes_its_end() {
    let funnel = || funnel(&["a", "b"]).window(50);
    assert_eq!(fold(funnel(), &events(&[("a", 0), ("b", 50)])).level(), 2);
    let late = [event("e0", "a", 0), NewEvent { occurred_at: at(50).plus(1), ..event("e1", "b", 0) }];
    assert_eq!(fold(funnel(), &late).level(), 1);
}

#[test]
fn the_window_of_a_stage_counts_from_the_stage_before() {
    let funnel = || funnel(ABC).window(100).stage_window(2, 10);
    assert_eq!(fold(funnel(), &events(&[("a", 0), ("b", 60), ("c", 70)])).level(), 3);
    assert_eq!(fold(funnel(), &events(&[("a", 0), ("b", 60), ("c", 71)])).level(), 2);
}

#[test]
fn an_answer_as_of_an_instant_knows_nothing_later() {
    let folded = fold(funnel(ABC).exclude("x", 0, 2), &events(&[("a", 0), ("b", 10), ("x", 20)]));
    assert_eq!(folded.best_by(at(0)), [Some(0), None, None]);
    assert_eq!(folded.best_by(at(10)), [Some(0), Some(10), None]);
    assert_eq!(folded.best_by(at(20)), [], "void from this instant on");
}

#[test]
fn an_exclusion_voids_strictly_between_its_stages_only() {
    let level = |x: i64| {
        let order = [("a", 10), ("b", 20), ("x", x)];
        fold(funnel(&["a", "b"]).exclude("x", 0, 1), &events(&order)).level()
    };
    assert_eq!([level(9), level(10), level(11), level(19), level(20), level(21)], [2, 2, 0, 0, 2, 2]);
}

#[test]
fn a_void_is_taken_back_when_the_closing_stage_is_entered_at_the_same_instant() {
    let excluded_first = [event("1", "a", 0), event("2", "x", 10), event("3", "b", 10)];
    let folded = fold(funnel(&["a", "b"]).exclude("x", 0, 1), &excluded_first);
    assert_eq!(folded.best(), [Some(0), Some(10)]);
}

#[test]
fn an_exclusion_whose_end_is_never_reached_lasts_for_the_window_and_no_longer() {
    let level = |x: i64| {
        fold(funnel(&["a", "b"]).window(50).exclude("x", 0, 1), &events(&[("a", 0), ("x", x)])).level()
    };
    assert_eq!([level(49), level(50)], [0, 1]);
}

#[test]
fn in_strict_order_any_event_between_breaks_the_attempt() {
    assert_eq!(fold(funnel(ABC).strict(), &events(&[("a", 0), ("b", 1), ("c", 2)])).level(), 3);
    assert_eq!(fold(funnel(ABC).strict(), &events(&[("a", 0), ("x", 1), ("b", 2)])).level(), 1);
    let unseen = fold(
        funnel(ABC).strict().only_where("event.type != \"x\""),
        &events(&[("a", 0), ("x", 1), ("b", 2)]),
    );
    assert_eq!(unseen.level(), 2, "an event that does not exist for the funnel breaks nothing");
}

#[test]
fn in_any_order_the_level_is_the_number_of_stages_that_different_events_stand_for() {
    let folded = fold(funnel(ABC).any_order(), &events(&[("c", 0), ("c", 1), ("a", 2), ("b", 3)]));
    assert_eq!(folded.best(), [Some(0), Some(2), Some(3)]);
    // The first event fits both stages and makes room for the second.
    let mut two = funnel(&["a", "b"]).any_order();
    two.stages[1].enter = vec![rekindle_testkit::build::on(&["a", "b"])];
    assert_eq!(fold(two, &events(&[("a", 0), ("a", 1)])).level(), 2);
}

#[test]
fn in_any_order_an_event_whose_prerequisites_are_unmet_starts_nothing() {
    let needs_a = || funnel(&["a", "b"]).any_order().requires(1, 0);
    assert_eq!(fold(needs_a(), &events(&[("b", 0)])).level(), 0);
    assert_eq!(fold(needs_a(), &events(&[("b", 0), ("a", 1)])).best(), [Some(1), None]);
    assert_eq!(fold(needs_a(), &events(&[("b", 0), ("a", 1), ("b", 2)])).best(), [Some(1), Some(2)]);
}

#[test]
fn an_optional_stage_may_be_passed_by_and_counts_only_who_entered_it() {
    let optional = || funnel(ABC).optional(1);
    assert_eq!(fold(optional(), &events(&[("a", 0), ("c", 2)])).best(), [Some(0), None, Some(2)]);
    let through = fold(optional(), &events(&[("a", 0), ("b", 1), ("c", 2)]));
    assert_eq!(through.best(), [Some(0), Some(1), Some(2)]);
    let too_late = fold(optional(), &events(&[("a", 0), ("c", 2), ("b", 3)]));
    assert_eq!(too_late.best(), [Some(0), None, Some(2)], "nobody goes back into it");
    assert_eq!(too_late.position(), (Some(2), true, false));
}

#[test]
fn a_prerequisite_is_awaited() {
    let needs_b = || funnel(ABC).optional(1).requires(2, 1);
    assert_eq!(fold(needs_b(), &events(&[("a", 0), ("c", 1)])).level(), 1);
    let waited = fold(needs_b(), &events(&[("a", 0), ("c", 1), ("b", 2), ("c", 3)]));
    assert_eq!(waited.best(), [Some(0), Some(2), Some(3)]);
}

#[test]
fn the_position_moves_by_one_and_never_back_and_knows_no_window() {
    let folded =
        fold(funnel(ABC).window(5).exclude("x", 0, 1), &events(&[("a", 0), ("x", 1), ("b", 90), ("a", 91)]));
    assert_eq!(folded.position(), (Some(1), false, false));
    assert_eq!(folded.level(), 1, "the attempts know the window and the exclusion");
    let revisits = &folded.journey.passages.0[0].revisits;
    assert_eq!(revisits.iter().map(|seen| (seen.from, seen.to, seen.count)).collect::<Vec<_>>(), [(1, 0, 1)]);
}

#[test]
fn a_subject_is_ended_when_the_latest_of_ended_and_reopened_is_an_ended_one() {
    let closes = || funnel(ABC).ended("x").reopened("y").stall(0, 5, OwedBy::Anyone);
    let ended = fold(closes(), &events(&[("a", 0), ("y", 1), ("x", 2)]));
    assert_eq!((ended.position(), ended.open().is_some()), ((Some(0), false, true), false));
    let open = fold(closes(), &events(&[("a", 0), ("x", 2), ("y", 3)]));
    assert_eq!((open.position(), open.stall_at()), ((Some(0), false, false), Some(8)));
}

#[test]
fn a_silence_is_due_at_the_exact_instant_and_an_event_at_that_instant_prevents_it() {
    let quiet = || funnel(ABC).stall(0, 10, OwedBy::Anyone).abandon(0, 30, OwedBy::Anyone);
    let open = fold(quiet(), &events(&[("a", 0)]));
    let silence = open.open().expect("it is in a stage");
    assert!(!silence.is_stalled_at(at(10).plus(-1)) && silence.is_stalled_at(at(10)));
    assert!(
        silence.is_stalled_at(at(30).plus(-1))
            && !silence.is_stalled_at(at(30))
            && silence.is_abandoned_at(at(30))
    );
    assert_eq!(fold(quiet(), &events(&[("a", 0), ("x", 10)])).ended(), []);
    let came_back = fold(quiet(), &events(&[("a", 0), ("x", 11)]));
    assert_eq!(came_back.ended(), [(0, Some(10), Some(11), Some(EndedBy::CustomerReturned))]);
}

#[test]
fn only_who_entered_and_is_neither_through_nor_ended_can_be_quiet() {
    let quiet = || funnel(&["a", "b"]).stall(0, 10, OwedBy::Anyone).stall(1, 10, OwedBy::Anyone).ended("x");
    assert!(fold(quiet(), &events(&[("b", 0)])).open().is_none());
    assert!(fold(quiet(), &events(&[("a", 0), ("b", 1)])).open().is_none());
    assert!(fold(quiet(), &events(&[("a", 0), ("x", 1)])).open().is_none());
}

/// Stage 0 awaits the agent, stage 1 the customer.
fn support() -> Funnel {
    funnel(&["customer_message", "agent_message", "paid"]).stall(0, 10, OwedBy::Agent).stall(
        1,
        10,
        OwedBy::Customer,
    )
}

#[test]
fn several_customer_messages_wait_since_the_oldest_unanswered_one() {
    let folded = fold(support(), &events(&[("customer_message", 0), ("customer_message", 7)]));
    assert_eq!(folded.stall_at(), Some(10));
    assert_eq!(folded.open().map(|silence| silence.owed_by), Some(OwedBy::Agent));
}

#[test]
fn after_an_answer_the_customer_owes_since_the_latest_one() {
    let said = [("customer_message", 0), ("agent_message", 3), ("agent_message", 5)];
    let folded = fold(support(), &events(&said));
    assert_eq!(folded.stall_at(), Some(15));
    assert_eq!(folded.open().map(|silence| silence.owed_by), Some(OwedBy::Customer));
    let back = fold(support(), &[events(&said), vec![event("back", "customer_message", 8)]].concat());
    assert_eq!(
        back.stall_at(),
        None,
        "in a stage that awaits the customer nobody is late while the agent owes"
    );
}

#[test]
fn bots_notes_and_machines_do_not_flip_the_turn() {
    let asked = event("0", "customer_message", 0);
    let unmoved = [
        event("1", "bot_message", 2),
        event("1", "note", 2),
        event("1", "agent_message", 2).automated(),
        NewEvent { public: Some(false), ..event("1", "agent_message", 2) },
        event("1", "agent_message", 2).by(Author::Bot),
    ];
    for said in unmoved {
        // The position is kept in the first stage: whose turn it is is all that is looked at.
        let first =
            Funnel { stages: vec![support().stages[0].clone(), support().stages[2].clone()], ..support() };
        let folded = fold(first, &[asked.clone(), said.clone()]);
        assert_eq!(folded.stall_at(), Some(10), "{said:?}");
    }
}

#[test]
fn a_closing_word_and_a_resolution_clear_every_clock() {
    for (owed_by, due) in [(OwedBy::Agent, None), (OwedBy::Customer, None), (OwedBy::Anyone, None::<i64>)] {
        let stage = || funnel(&["customer_message", "paid"]).stall(0, 10, owed_by);
        let thanks = [event("0", "customer_message", 0), event("1", "customer_message", 3).closing()];
        assert_eq!(fold(stage(), &thanks).stall_at(), due);
        let solved = [event("0", "customer_message", 0), event("1", "resolution", 3)];
        assert_eq!(fold(stage(), &solved).stall_at(), due);
    }
    let again = [("customer_message", 0), ("resolution", 3), ("customer_message", 20)];
    assert_eq!(fold(support(), &events(&again)).stall_at(), Some(30));
}

#[test]
fn no_clock_starts_before_the_stage_was_entered() {
    let waits = || funnel(&["a", "b"]).stall(0, 10, OwedBy::Agent);
    let folded = fold(waits(), &events(&[("customer_message", 0), ("a", 8)]));
    assert_eq!(folded.stall_at(), Some(18));
}

#[test]
fn a_silence_that_a_pause_interrupts_goes_on_and_is_told_apart_by_its_end() {
    // The customer's question waits across a snooze: the same stage, the same anchor.
    let snoozes = support().ended("snoozed").reopened("woken");
    let said = [
        ("customer_message", 0),
        ("snoozed", 20),
        ("woken", 30),
        ("snoozed", 50),
        ("woken", 60),
        ("agent_message", 70),
    ];
    let folded = fold(snoozes, &events(&said));
    let ends: Vec<_> = folded.ended().into_iter().map(|(since, _, until, _)| (since, until)).collect();
    assert_eq!(ends, [(0, Some(20)), (0, Some(50)), (0, Some(70))]);
}

#[test]
fn stall_and_abandonment_may_await_different_parties() {
    let mixed = funnel(&["customer_message", "b"]).stall(0, 5, OwedBy::Agent).abandon(0, 6, OwedBy::Anyone);
    let folded = fold(mixed, &events(&[("customer_message", 0), ("note", 8)]));
    let silence = folded.open().expect("the agent still owes");
    assert_eq!((silence.stall_at(), silence.abandon_at()), (Some(at(5)), Some(at(14))));
    assert_eq!(folded.ended(), [(0, Some(5), Some(8), Some(EndedBy::AgentActed))]);
}

#[test]
fn where_targets_are_tried_out_a_silence_has_that_of_its_customer_or_else_of_its_conversation() {
    let mut tried = funnel(&["a", "b"]).stall(0, 100, OwedBy::Anyone).targets(0, "faster", &[40, 20]);
    tried.stages[0].warn_at = Some(500);
    tried = tried.abandon(0, 300, OwedBy::Anyone);
    let compiled = CompiledFunnel::new(tried).expect("a valid funnel");
    let experiment = compiled.funnel.stages[0].target_experiment.as_ref().expect("as given");
    let mut seen = [0; 2];
    for number in 0..20 {
        let (conversation, customer) = (format!("c{number}"), format!("who{number}"));
        for owner in [None, Some(customer.as_str())] {
            let said = event("1", "a", 0).of(&conversation);
            let said = NewEvent { customer: owner.map(str::to_owned), ..said };
            let (journey, _) = fold_all(&compiled, owner.map(key_of), &stored(&[said], RECEIVED));
            let silence = journey.watch.open.expect("nobody answers");
            let place = experiment.place_of("s1", key_of(owner.unwrap_or(&conversation))).expect("an arm");
            seen[place] += 1;
            let target = [40, 20][place];
            let clocks = silence.clocks().map(|(kind, clock)| (kind, seconds(clock.due_at)));
            let expected =
                [(MarkKind::Warned, target / 2), (MarkKind::Stalled, target), (MarkKind::Abandoned, 300)];
            assert_eq!(clocks.collect::<Vec<_>>(), expected, "{conversation} of {owner:?}");
        }
    }
    assert!(seen.iter().all(|count| *count > 5), "{seen:?}");
}

#[test]
fn business_time_counts_open_hours_only() {
    let mut office = funnel(&["a", "b"]);
    // Second 0 is a Monday midnight in UTC; Friday of that week is a holiday.
    office.calendar = Some(CalendarSpec {
        hours: "Mo-Fr 09:00-17:00; PH off".into(),
        holidays: vec!["2026-01-09".into()],
        zone: "Europe/Berlin".into(),
    });
    let after = 2 * HOUR;
    office.stages[0].stall = Some(SilenceRule { after, basis: TimeBasis::Business, owed_by: OwedBy::Anyone });
    let hour = 3_600;
    // Thursday 16:30 in Berlin: half an hour is left, then Monday from nine on.
    let thursday = 3 * 24 * hour + 15 * hour + hour / 2;
    let folded = fold(office, &events(&[("a", thursday)]));
    let monday = 7 * 24 * hour + 8 * hour + hour + hour / 2;
    assert_eq!(folded.stall_at(), Some(monday));
}

#[test]
fn without_reentry_there_is_one_passage() {
    let folded =
        fold(funnel(&["a", "b"]).ended("x"), &events(&[("a", 0), ("b", 1), ("a", 2), ("x", 3), ("a", 4)]));
    assert_eq!(folded.journey.passages.0.len(), 1);
    assert_eq!(folded.position(), (Some(1), true, true));
}

#[test]
fn after_the_end_the_next_first_stage_opens_a_passage() {
    let again = || funnel(&["a", "b"]).ended("x").reentry(Reentry::AfterEnd);
    let completed = fold(again(), &events(&[("a", 0), ("b", 1), ("b", 2), ("a", 3)]));
    assert_eq!((completed.journey.passages.0.len(), completed.position()), (2, (Some(0), false, false)));
    let ended = fold(again(), &events(&[("a", 0), ("x", 1), ("b", 2), ("a", 3)]));
    assert_eq!((ended.journey.passages.0.len(), ended.position()), (2, (Some(0), false, false)));
    let never_in = fold(again(), &events(&[("x", 0), ("a", 3)]));
    assert_eq!(never_in.position(), (Some(0), false, false), "what was closed before it entered enters anew");
}

#[test]
fn a_reopening_opens_a_passage_and_an_episode() {
    let again = funnel(&["customer_message", "paid"]).reentry(Reentry::OnReopen);
    let said = [("customer_message", 0), ("paid", 1), ("resolution", 2), ("customer_message", 3)];
    let folded = fold(again, &events(&said));
    assert_eq!((folded.journey.passages.0.len(), folded.position()), (2, (Some(0), false, false)));
    assert_eq!(folded.journey.episode.ordinal, 1);
}

#[test]
fn a_pleasantry_soon_after_the_resolution_reopens_nothing() {
    let rules = || funnel(&["customer_message", "paid"]).reentry(Reentry::OnReopen);
    let day = 86_400;
    let thanks = |seconds| {
        let said = events(&[("customer_message", 0), ("resolution", 1)]);
        let folded =
            fold(rules(), &[said, vec![event("thanks", "customer_message", seconds).closing()]].concat());
        folded.journey.episode.ordinal
    };
    assert_eq!([thanks(2), thanks(1 + day), thanks(2 + day)], [0, 0, 1]);
}

#[test]
fn an_episode_uses_no_later_event_not_even_an_excluded_one() {
    let shape = || funnel(&["customer_message", "paid"]).exclude("x", 0, 1);
    let said = [
        ("customer_message", 0),
        ("resolution", 5),
        ("reopen", 10),
        ("x", 15),
        ("customer_message", 20),
        ("paid", 25),
    ];
    let folded = fold(shape(), &events(&said));
    assert_eq!(folded.units(Unit::Episode), [vec![Some(0), None], vec![Some(20), Some(25)]]);
    assert_eq!(
        folded.units(Unit::Subject),
        [vec![Some(20), Some(25)]],
        "the first attempt is void for the conversation"
    );
}

#[test]
fn as_units_of_their_own_attempts_do_not_overlap() {
    let said = [("a", 0), ("a", 1), ("b", 2), ("a", 3), ("a", 60)];
    let folded = fold(funnel(&["a", "b"]).window(50), &events(&said));
    assert_eq!(
        folded.units(Unit::Attempt),
        [vec![Some(0), Some(2)], vec![Some(3), None], vec![Some(60), None]]
    );
}

#[test]
fn a_rule_sees_attributes_as_of_its_event() {
    let paying = funnel(&["a", "b"]).stage_rule(1, "conversation.plan == \"pro\"");
    let said = [
        event("0", "a", 0),
        event("1", "b", 1),
        event("2", "conversation_updated", 2).with("plan", "pro"),
        event("3", "b", 3),
    ];
    assert_eq!(fold(paying, &said).best(), [Some(0), Some(3)]);
}
