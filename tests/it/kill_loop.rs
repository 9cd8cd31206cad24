//! Processes are killed, again and again, while events stream in and messages go out: at random
//! moments and at every failpoint, with commits that seem to have failed, replies that never come,
//! and a database that dies. Then everything that was promised is looked at.
//!
//! | variable | means |
//! | --- | --- |
//! | `REKINDLE_TEST_KILL_LOOP` | how many processes die on each database, in rounds of 50; 30 unless said |
//! | `REKINDLE_TEST_SEED` | other moments |
//! | `REKINDLE_TEST_PROGRESS` | a file that keeps which rounds are done: they are not done again |

use std::str::FromStr;

use crate::surroundings::variable;

mod blows;
mod house;
pub mod oracle;
mod progress;
mod round;
mod tally;

use house::House;
use progress::Progress;
use round::Round;

/// How many processes die.
const KILLS: &str = "REKINDLE_TEST_KILL_LOOP";
const SEED: &str = "REKINDLE_TEST_SEED";
/// Deaths of a round, which has a database and a history of its own: enough to meet every
/// failpoint, and few enough that all of it can be read back in seconds.
const ROUND: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_on_sqlite_lose_and_double_nothing() {
    survive("sqlite", async || Some(House::with_file().await)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_on_postgres_lose_and_double_nothing() {
    survive("postgres", House::with_server).await;
}

fn number<T: FromStr>(name: &str, unless_said: T) -> T {
    variable(name).and_then(|text| text.parse().ok()).unwrap_or(unless_said)
}

async fn survive(database: &str, house: impl AsyncFn() -> Option<House>) {
    let (kills, seed): (usize, u64) = (number(KILLS, 30), number(SEED, 20_080_427));
    let progress = Progress::asked();
    for round in 0..kills.div_ceil(ROUND) {
        let lives = ROUND.min(kills - round * ROUND);
        let name = format!("{database}, round {round} of {lives} kills, {SEED}={seed}");
        if progress.has(&name) {
            continue;
        }
        let Some(house) = house().await else {
            return;
        };
        let tally = Round::begin(house, seed, round).await.survive(lives).await;
        eprintln!("{name}: {tally}");
        if lives == ROUND {
            assert_eq!(tally.unvisited(), Vec::<String>::new(), "nobody died there");
        }
        progress.keep(&name, &tally.to_string());
    }
}
