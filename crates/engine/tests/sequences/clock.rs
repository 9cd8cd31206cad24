//! A clock that somebody sets while work is under way: nothing is done twice, and nothing is lost.

use rekindle_core::sequence::Sequence;
use rekindle_core::time::DAY;
use rekindle_ports::ledger::{EndReason, RunState};
use rekindle_testkit::databases;

use crate::house::{House, nudge};

/// An hour and a day, in seconds.
const HOUR: i64 = 3_600;
const A_DAY: i64 = 24 * HOUR;

/// Like `nudge`, and not put off by a clock that jumps over what was due.
fn patient() -> Sequence {
    Sequence { max_delay: 2 * DAY, ..nudge() }
}

#[tokio::test]
async fn an_hour_back_and_a_day_forward_at_every_moment_send_each_message_once() {
    // Stalled at 600, the mail at 4200, the call at 7800: the clock is set right before and
    // right after each of them, and while nothing is due.
    for moment in [0, 599, 600, 601, 4_199, 4_200, 4_201, 7_799, 7_800, 7_801] {
        for database in databases().await {
            let house = House::with(&database, patient()).await;
            house.answer_ann().await;
            for due in [600, 4_200, 7_800].into_iter().filter(|due| *due <= moment) {
                house.go(due).await;
            }
            house.go(moment).await;
            let before = house.courier.sent().len();
            house.go(moment - HOUR).await;
            assert_eq!(house.courier.sent().len(), before, "an hour back at {moment}, {}", database.name);
            house.go(moment).await;
            house.go(moment + A_DAY).await;
            // Each wait is counted from when the step before was done, by the clock as it was then.
            house.go(moment + A_DAY + HOUR).await;
            house.go(moment + A_DAY + 2 * HOUR).await;
            house.go(moment).await;
            house.go(moment + 3 * A_DAY).await;
            assert_eq!(house.courier.sent().len(), 2, "a day forward at {moment}, {}", database.name);
            house.assert_run(RunState::Completed).await;
            let lines = house.lines().await;
            for once in ["started", "completed"] {
                assert_eq!(lines.iter().filter(|line| *line == once).count(), 1, "{lines:?}");
            }
            assert_eq!(lines.iter().filter(|line| *line == "delivery_settled").count(), 2, "{lines:?}");
        }
    }
}

#[tokio::test]
async fn what_a_jump_makes_stale_is_recorded_and_not_lost() {
    for database in databases().await {
        let house = House::furnished(&database).await;
        house.answer_ann().await;
        house.go(A_DAY).await;
        house.go(600).await;
        house.go(2 * A_DAY).await;
        assert!(house.courier.sent().is_empty());
        let run = house.the_run().await.run;
        assert_eq!((run.state, run.end_reason), (RunState::Skipped, Some(EndReason::Stale)));
    }
}
