//! Two replicas on one `PostgreSQL` database, killed and stopped (`SIGSTOP`) at random moments while
//! events stream in and messages go out: the promises hold, and none of them ever writes as a
//! zombie, that is, about something that it held before it was stopped and that another has taken over.
//!
//! What is proved, and how:
//!
//! * **Every promise of the checker**, as after kills: no acknowledged event is lost, each silence
//!   has one run, each run one message for each step, a second send has a reason and the same
//!   bytes, nothing is stuck.
//! * **Zero writes by a zombie.** The other replica works on, so that tables cannot be compared
//!   before and after a stop, as the sleepers of [`crate::replicas`] are judged. Instead a witness
//!   in the database ([`witness`]) notes every write, in its own transaction, with who wrote and who
//!   held the row at that moment. In the end: whoever changed a timer, a run or a message held it
//!   then, took a claim that was free or had run out, or ended a run whose customer came back; every
//!   mark, run, message, attempt and line of the ledger was written in the transaction in which its
//!   writer used the claim that it belongs to; an attempt that had its outcome, a line of the
//!   ledger, and whatever was over, never changed again; attempts and places in the ledger have no
//!   gaps; no attempt began after the commit that ended its run. What the database undid, such as a
//!   zombie's write that its fence refused, is not noted: it was not written.
//! * **That zombies tried.** The receiver keeps its answers back before each long stop, so that the
//!   sleeper wakes up to answers to what another has sent meanwhile. Claims that were taken over and
//!   senders that were told so are counted, and there must be some.
//!
//! A claim that runs out, is given back by the other replica and is then taken anew by the sleeper
//! has its owner's name again; the witness tells its former self from it by the attempts, not by the
//! name.
//!
//! No length of a lease is refused: 500 ms is as short as leaves a debug build on a busy machine
//! time to send.
//!
//! | variable | means |
//! | --- | --- |
//! | `REKINDLE_TEST_SECONDS` | how long there is fire, in rounds of at most 30 s; 20 unless said |
//! | `REKINDLE_TEST_SEED` | other moments |

use std::time::Duration;

use crate::surroundings::variable;

mod blows;
mod pair;
mod seeded;
mod tally;
mod witness;

use pair::Pair;
use tally::Tally;

/// How long there is fire, on all rounds together.
const SECONDS: &str = "REKINDLE_TEST_SECONDS";
const SEED: &str = "REKINDLE_TEST_SEED";
/// Seconds of a round, which has a database and a history of its own: few enough that all of it
/// can be read back in seconds.
const ROUND: u64 = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_are_killed_and_stopped_at_random_never_write_as_zombies() {
    let (seconds, seed) = (asked(SECONDS, 20).max(1), asked(SEED, 20_080_427));
    let rounds = seconds.div_ceil(ROUND);
    let span = Duration::from_secs(seconds) / rounds as u32;
    let mut all = Tally::default();
    for round in 0..rounds {
        let Some(pair) = Pair::start(seed.wrapping_add(round)).await else {
            return;
        };
        let name = format!("zombies, round {round} of {rounds}, {SEED}={seed}");
        eprintln!("{name}: {span:.1?} of fire");
        let tally = pair.under_fire(span).await;
        eprintln!("{name}: {tally}");
        all.add(&tally);
    }
    eprintln!("zombies, {SEED}={seed}: {all}; 0 promises broken, 0 writes by a zombie");
    assert!(all.was_tempting(), "nobody was ever tempted to write as a zombie: {all}");
}

fn asked(name: &str, unless_said: u64) -> u64 {
    variable(name).and_then(|number| number.parse().ok()).unwrap_or(unless_said)
}
