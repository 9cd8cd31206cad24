//! Chance against the step function, with a store in memory.
//!
//! A seed draws a sequence and perhaps an edit of it, customers with zones and attributes, replies,
//! events, suppressions, and a number of replicas that take due work in an order of chance and die in the middle of it: what they did
//! not commit never was. The store keeps runs as text, as a database does. Then every promise is looked
//! at, and the same seed is played once more by one replica that never dies: both must come to the same.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::arm::{Arm, Chance};
use super::contact::{ContactLimit, LimitPeriod, room_at};
use super::migrate::{Moved, StepMap, moved};
use super::progress::Awaits;
use super::walk::{Next, Situation, Zone, walk};
use super::{Action, LimitPolicy, Program, Progress, Sequence};
use crate::calendar::zone_named;
use crate::event::{Author, Event};
use crate::time::{DAY, HOUR, MINUTE, Timestamp};
use crate::value::{Properties, Value};

mod checker;
mod definitions;
mod dice;

use dice::Dice;

/// Customers of a game; each has two conversations.
const CUSTOMERS: u64 = 4;

#[test]
fn whatever_happens_the_promises_hold() {
    let seeds = seeds();
    for seed in 0..seeds {
        let troubled = Game::of(seed).play(true);
        let calm = Game::of(seed).play(false);
        troubled.check(seed);
        assert_eq!(troubled.sent, calm.sent, "seed {seed}: deaths and replicas change what is sent");
        assert_eq!(troubled.ends(), calm.ends(), "seed {seed}: deaths and replicas change how runs end");
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a test plays is asked of whoever runs it")]
fn seeds() -> u64 {
    std::env::var("REKINDLE_TEST_GAMES").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000)
}

/// What a seed draws before anything happens.
struct Game {
    sequence: Sequence,
    /// The sequence after the edit, and what becomes of runs in steps that it takes away.
    edited: (Sequence, StepMap),
    limits: Vec<ContactLimit>,
    people: Vec<Person>,
    /// What happens, in order.
    happenings: Vec<(Timestamp, usize, Happening)>,
    /// Order in which replicas take things, and when they die.
    trouble: Dice,
}

struct Person {
    key: Uuid,
    attributes: Properties,
    zone: Zone,
}

#[derive(Debug, Clone)]
enum Happening {
    /// A conversation has gone quiet.
    Stalls,
    /// The customer comes back.
    Returns,
    /// Something that runs may wait for.
    Opens,
    /// The customer is not to be written to.
    Suppressed,
    /// The edit is published, and runs under way go on in it.
    Edited,
}

/// A run as it is stored.
#[derive(Debug, Clone)]
struct Stored {
    person: usize,
    since: Timestamp,
    is_edited: bool,
    place: usize,
    /// Its memory, as text.
    progress: String,
    next_at: Option<Timestamp>,
    arm: Arm,
    ended: Option<(&'static str, Timestamp)>,
    /// A message that waits: which, and since when it may go.
    message: Option<(String, bool, Timestamp)>,
}

/// What came of a game.
struct Outcome {
    limits: Vec<ContactLimit>,
    zones: Vec<Zone>,
    runs: BTreeMap<usize, Stored>,
    /// Messages by run, step and visit: when, and whether to the customer.
    sent: BTreeMap<(usize, String), (Timestamp, bool)>,
    /// Sends by key, those that were lost with their sender too.
    wire: BTreeMap<(usize, String), u32>,
    returns: Vec<(usize, Timestamp)>,
    suppressed: BTreeMap<usize, Timestamp>,
    /// Messages that count against limits.
    contacts: Vec<Vec<Timestamp>>,
    /// When the last thing was done.
    last: Timestamp,
}

impl Game {
    fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let begin = Timestamp::parse("2026-03-20T09:00:00Z").expect("an instant");
        let sequence = definitions::any(&mut dice);
        let zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Tokyo"];
        let person = |dice: &mut Dice, key: u64| {
            let name = dice.one_of(&zones);
            let zone = Zone { zone: zone_named(name).expect("a zone"), words: name.into() };
            let plan = dice.one_of(&["pro", "free"]);
            let attributes = Properties::from([("plan".to_owned(), Value::Text(plan.into()))]);
            Person { key: Uuid::from_u128(u128::from(key) + 1), attributes, zone }
        };
        let people: Vec<Person> = (0..CUSTOMERS).map(|key| person(&mut dice, key)).collect();
        let mut happenings = Vec::new();
        for run in 0..people.len() * 2 {
            let stalls = begin.plus(dice.up_to(10 * DAY));
            happenings.push((stalls, run, Happening::Stalls));
            if dice.once_in(3) {
                happenings.push((stalls.plus(dice.up_to(5 * DAY)), run, Happening::Returns));
            }
            for _ in 0..dice.below(3) {
                happenings.push((stalls.plus(dice.up_to(5 * DAY)), run, Happening::Opens));
            }
            if dice.once_in(12) {
                happenings.push((stalls.plus(dice.up_to(5 * DAY)), run, Happening::Suppressed));
            }
        }
        if dice.once_in(2) {
            happenings.push((begin.plus(dice.up_to(12 * DAY)), 0, Happening::Edited));
        }
        let edited = definitions::edited(&mut dice, &sequence);
        happenings.sort_by_key(|(at, run, _)| (*at, *run));
        let limits = match dice.below(3) {
            0 => Vec::new(),
            1 => vec![ContactLimit { count: 1, period: LimitPeriod::Rolling(12 * HOUR) }],
            _ => vec![
                ContactLimit { count: 2, period: LimitPeriod::Day },
                ContactLimit { count: 3, period: LimitPeriod::Rolling(3 * DAY) },
            ],
        };
        Self { sequence, edited, limits, people, happenings, trouble: Dice::new(seed ^ 0x5eed) }
    }

    fn play(mut self, is_troubled: bool) -> Outcome {
        let programs =
            [&self.sequence, &self.edited.0].map(|it| Program::compile(it).expect("a valid sequence"));
        let mut is_edited = false;
        let happenings = std::mem::take(&mut self.happenings);
        let mut outcome = Outcome {
            limits: self.limits.clone(),
            zones: self.people.iter().map(|person| person.zone.clone()).collect(),
            runs: BTreeMap::new(),
            sent: BTreeMap::new(),
            wire: BTreeMap::new(),
            returns: Vec::new(),
            suppressed: BTreeMap::new(),
            contacts: vec![Vec::new(); self.people.len()],
            last: Timestamp(0),
        };
        let mut happenings = happenings.into_iter().peekable();
        loop {
            let next = happenings.peek().map(|(at, ..)| *at);
            let due = outcome.runs.values().filter_map(Stored::due_at).min();
            match (next, due) {
                (None, None) => return outcome,
                // What happens at an instant is stored before anything is done at it.
                (Some(next), due) if due.is_none_or(|due| next <= due) => {
                    let (at, run, what) = happenings.next().expect("it was seen");
                    if matches!(what, Happening::Edited) {
                        is_edited = true;
                        self.publish(&programs, &mut outcome, at);
                    } else {
                        self.happens(&mut outcome, at, run, &what, is_edited);
                    }
                }
                (_, Some(due)) => self.work(&programs, &mut outcome, due, is_troubled),
                (Some(_), None) => unreachable!("taken above"),
            }
        }
    }

    /// Takes the runs under way over into the edit.
    fn publish(&self, [from, to]: &[Program; 2], outcome: &mut Outcome, at: Timestamp) {
        for stored in outcome.runs.values_mut().filter(|run| run.ended.is_none()) {
            match moved(stored.place, &stored.progress(), from, to, &self.edited.1) {
                Moved::Goes { place, progress } => {
                    stored.is_edited = true;
                    stored.place = place;
                    stored.progress = text_of(&progress);
                    stored.next_at = stored.next_at.map(|_| at);
                }
                Moved::Ends => stored.end("removed", at),
                Moved::Nowhere => panic!("the map names every step that goes"),
            }
        }
    }

    fn happens(&self, outcome: &mut Outcome, at: Timestamp, run: usize, what: &Happening, is_edited: bool) {
        let person = run / 2;
        match what {
            Happening::Stalls => {
                let chance = self.chance(person);
                let stored = Stored {
                    person,
                    since: at,
                    is_edited,
                    place: 0,
                    progress: "{}".into(),
                    next_at: Some(at),
                    arm: chance.arm(self.sequence.holdout),
                    ended: None,
                    message: None,
                };
                outcome.runs.insert(run, stored);
            }
            Happening::Returns => {
                outcome.returns.push((run, at));
                if let Some(stored) = outcome.runs.get_mut(&run).filter(|run| run.ended.is_none()) {
                    stored.end("returned", at);
                }
            }
            Happening::Opens => {
                let id = format!("{run}@{}", at.0);
                if let Some(stored) = outcome.runs.get_mut(&run).filter(|run| run.ended.is_none()) {
                    let mut progress = stored.progress();
                    if progress.hear([id]) {
                        stored.progress = text_of(&progress);
                        stored.next_at = stored.next_at.map(|next| next.min(at));
                    }
                }
            }
            Happening::Suppressed => {
                outcome.suppressed.entry(person).or_insert(at);
            }
            Happening::Edited => unreachable!("it concerns all runs"),
        }
    }

    fn chance(&self, person: usize) -> Chance<'_> {
        Chance { key: &[7; 32], experiment: "nudge", subject: self.people[person].key }
    }

    /// Does what is due at an instant: by whoever comes first, again where they die.
    fn work(&mut self, programs: &[Program; 2], outcome: &mut Outcome, now: Timestamp, is_troubled: bool) {
        outcome.last = now;
        let due: Vec<usize> =
            outcome.runs.iter().filter(|(_, run)| run.due_at() == Some(now)).map(|(id, _)| *id).collect();
        // Runs of different customers do not concern each other; those of one come in order, as the
        // lock of the customer and the order of claims have it.
        let mut people: Vec<usize> =
            due.iter().map(|run| run / 2).collect::<BTreeSet<_>>().into_iter().collect();
        if is_troubled {
            self.trouble.shuffle(&mut people);
        }
        for person in people {
            for run in due.iter().filter(|run| **run / 2 == person) {
                while is_troubled && self.trouble.once_in(4) {
                    // Somebody takes it and dies before the commit; a message may be out by then.
                    let mut lost = outcome.runs[run].clone();
                    self.step(programs, outcome, *run, &mut lost, now, false);
                }
                let mut stored = outcome.runs[run].clone();
                self.step(programs, outcome, *run, &mut stored, now, true);
                outcome.runs.insert(*run, stored);
            }
        }
    }

    /// One unit of work: a message that waits, or a step of the run. What is not committed leaves
    /// nothing but what the wire saw.
    fn step(
        &self,
        programs: &[Program; 2],
        outcome: &mut Outcome,
        run: usize,
        stored: &mut Stored,
        now: Timestamp,
        commits: bool,
    ) {
        if stored.message.is_some() {
            self.dispatch(outcome, run, stored, now, commits);
        } else {
            self.advance(&programs[usize::from(stored.is_edited)], run, stored, now);
        }
    }

    fn advance(&self, program: &Program, run: usize, stored: &mut Stored, now: Timestamp) {
        let (person, mut progress) = (&self.people[stored.person], stored.progress());
        let heard: Vec<Event> = match &progress.awaits {
            Some(Awaits::Rule { heard, .. }) => heard.iter().map(|id| opened(id, now)).collect(),
            _ => Vec::new(),
        };
        let chance = self.chance(stored.person);
        let seen = Situation {
            now,
            event: None,
            conversation: &Properties::new(),
            customer: &person.attributes,
            arrivals: &heard,
            zone: &person.zone,
            business: None,
            arm: stored.arm.as_str(),
            draw: &chance,
        };
        let mut place = stored.place;
        let next = walk(program, &mut place, &mut progress, &seen, &mut Vec::new());
        stored.place = place;
        match next {
            Next::At(at) => {
                assert!(at > now, "run {run} waits for an instant that is past");
                stored.next_at = Some(at);
            }
            Next::Send(step, visit) => {
                let is_mail = matches!(step.action, Action::SendEmail(_));
                progress.awaits = Some(Awaits::Delivery { step: step.id.clone(), visit });
                stored.message = Some((format!("{}-{visit}", step.id), is_mail, now));
                stored.next_at = None;
            }
            Next::Completed => stored.end("completed", now),
            Next::Quiet => stored.end("quiet", now),
            Next::Stuck(why) => panic!("run {run} is stuck: {why}"),
        }
        stored.progress = text_of(&progress);
    }

    fn dispatch(
        &self,
        outcome: &mut Outcome,
        run: usize,
        stored: &mut Stored,
        now: Timestamp,
        commits: bool,
    ) {
        let (key, is_mail, _) = stored.message.clone().expect("a message");
        let person = &self.people[stored.person];
        let is_suppressed = outcome.suppressed.contains_key(&stored.person);
        let mut result = "delivered";
        if is_suppressed {
            result = "suppressed";
        } else if is_mail {
            let room = room_at(&self.limits, &person.zone.zone, &outcome.contacts[stored.person], now);
            if room > now && self.sequence.when_limited == LimitPolicy::Skip {
                result = "cancelled";
            } else if room > now {
                stored.message = Some((key, is_mail, room));
                return;
            }
        }
        if result == "delivered" && stored.arm == Arm::HeldOut {
            result = "held_out";
        }
        if result == "delivered" {
            *outcome.wire.entry((run, key.clone())).or_default() += 1;
        }
        if commits {
            if matches!(result, "delivered" | "held_out") && is_mail {
                outcome.contacts[stored.person].push(now);
            }
            if result == "delivered" {
                let before = outcome.sent.insert((run, key.clone()), (now, is_mail));
                assert!(before.is_none(), "run {run} sends {key} twice");
            }
        }
        let mut progress = stored.progress();
        progress.delivered(result);
        stored.progress = text_of(&progress);
        stored.message = None;
        stored.next_at = Some(now);
    }
}

impl Stored {
    fn progress(&self) -> Progress {
        serde_json::from_str(&self.progress).expect("what was stored can be read")
    }

    fn due_at(&self) -> Option<Timestamp> {
        if self.ended.is_some() {
            return None;
        }
        self.message.as_ref().map(|(.., at)| *at).or(self.next_at)
    }

    fn end(&mut self, how: &'static str, at: Timestamp) {
        self.ended = Some((how, at));
        self.message = None;
        self.next_at = None;
    }
}

impl Outcome {
    fn ends(&self) -> Vec<(usize, Option<(&'static str, Timestamp)>)> {
        self.runs.iter().map(|(run, stored)| (*run, stored.ended)).collect()
    }
}

fn text_of(progress: &Progress) -> String {
    serde_json::to_string(progress).expect("it can be written")
}

/// The event of an id: it came when it happened.
fn opened(id: &str, now: Timestamp) -> Event {
    let at = id.split_once('@').and_then(|(_, at)| at.parse().ok()).map_or(now, Timestamp);
    Event {
        id: id.to_owned(),
        kind: "opened".into(),
        conversation: Some(Uuid::from_u128(99)),
        customer: None,
        occurred_at: at,
        effective_at: at,
        received_at: at,
        sequence: 0,
        author: Author::System,
        public: false,
        automated: true,
        closing: false,
        text: None,
        properties: Properties::new(),
    }
}

/// The shortest wait that is drawn.
const SHORTEST: i64 = MINUTE;
