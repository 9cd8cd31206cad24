//! The detector's queue: a row per watched journey, looked at when due and then set
//! anew or put to rest, while ingest sets it under the same subject lock.

use stateright::{Model, Property};

/// No look is written by a worker that lost the row.
pub const NO_STALE_LOOK: &str = "no look is written by a worker whose claim is over";
/// No journey is forgotten.
pub const NEVER_FORGOTTEN: &str = "a journey that is to be watched has a timer";

/// Ways in which the queue could have been written wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// The row is deleted, and created again with the epoch at its beginning.
    EpochStartsAgain,
    /// What ends a claim leaves the epoch as it is.
    EndKeepsEpoch,
    /// The worker decides by what it read before it had the subject's lock.
    DecidesBeforeLock,
}

/// One journey, its timer, and two workers.
#[derive(Debug, Clone, Copy)]
pub struct Timers {
    /// What is wrong, if anything.
    pub flaw: Option<Flaw>,
}

/// The whole at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    /// Whether the journey has a silence to look for.
    pub watched: bool,
    row: Option<Row>,
    looks: [Option<Look>; 2],
    /// How often the row changed hands, by the model's own count.
    hands: u8,
    claims_left: u8,
    slips_left: u8,
    lost_replies_left: u8,
    ingests_left: u8,
    stale_look: bool,
}

impl State {
    /// Whether the timer is set.
    pub fn is_set(&self) -> bool {
        self.row.as_ref().is_some_and(|row| row.due)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Row {
    due: bool,
    epoch: u8,
    lease: Lease,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Lease {
    /// Nobody holds the row.
    Free,
    /// Somebody does.
    Live,
    /// Somebody does and was too slow: whoever comes may claim it.
    Over,
}

/// What a worker remembers of its claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Look {
    epoch: u8,
    hands: u8,
    watched: bool,
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A worker claims the timer.
    Claim(usize),
    /// The lease ends while its worker is slow or dead.
    Expire,
    /// One transaction: lock the subject, hold the claim, decide, set anew or put to rest.
    Finish(usize),
    /// The same, and the reply to its commit is lost.
    FinishUnheard(usize),
    /// An ingest folds an event that says whether the journey is to be watched.
    Ingest(bool),
}

impl Timers {
    fn is(self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn finish(self, state: &mut State, worker: usize) -> Option<()> {
        let look = state.looks[worker].take()?;
        let Some(row) = state.row.as_mut().filter(|row| row.epoch == look.epoch) else {
            return Some(());
        };
        state.stale_look |= look.hands != state.hands || row.lease == Lease::Free;
        row.lease = Lease::Free;
        if !self.is(Flaw::EndKeepsEpoch) {
            row.epoch += 1;
        }
        let watched = if self.is(Flaw::DecidesBeforeLock) { look.watched } else { state.watched };
        row.due = watched;
        if !watched && self.is(Flaw::EpochStartsAgain) {
            state.row = None;
        }
        Some(())
    }
}

impl Model for Timers {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            watched: true,
            row: Some(Row { due: true, epoch: 0, lease: Lease::Free }),
            looks: [None, None],
            hands: 0,
            claims_left: 5,
            slips_left: 2,
            lost_replies_left: 1,
            ingests_left: 4,
            stale_look: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (worker, look) in state.looks.iter().enumerate() {
            if look.is_some() {
                actions.push(Action::Finish(worker));
                actions.push(Action::FinishUnheard(worker));
            } else {
                actions.push(Action::Claim(worker));
            }
        }
        actions.extend([Action::Expire, Action::Ingest(true), Action::Ingest(false)]);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Claim(worker) => {
                state.claims_left = state.claims_left.checked_sub(1)?;
                let row = state.row.as_mut().filter(|row| row.due && row.lease != Lease::Live)?;
                row.lease = Lease::Live;
                row.epoch += 1;
                state.hands += 1;
                let (hands, watched) = (state.hands, state.watched);
                state.looks[worker] = Some(Look { epoch: row.epoch, hands, watched });
            }
            Action::Expire => {
                state.slips_left = state.slips_left.checked_sub(1)?;
                state.row.as_mut().filter(|row| row.lease == Lease::Live)?.lease = Lease::Over;
            }
            Action::Finish(worker) => self.finish(&mut state, worker)?,
            Action::FinishUnheard(worker) => {
                state.lost_replies_left = state.lost_replies_left.checked_sub(1)?;
                self.finish(&mut state, worker)?;
                state.looks[worker].clone_from(&last.looks[worker]);
            }
            Action::Ingest(watched) => {
                state.ingests_left = state.ingests_left.checked_sub(1)?;
                state.watched = watched;
                if watched {
                    let new = Row { due: true, epoch: 0, lease: Lease::Free };
                    state.row.get_or_insert(new).due = true;
                }
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(NO_STALE_LOOK, |_, state: &State| !state.stale_look),
            Property::always(NEVER_FORGOTTEN, |_, state: &State| !state.watched || state.is_set()),
            Property::sometimes("a timer is put to rest and set again", |_, state: &State| {
                state.ingests_left == 2 && state.watched && state.hands == 2
            }),
        ]
    }
}
