//! The witness itself: work as it should be passes, and each kind of zombie is told.

use std::time::Duration;

use super::pair::{Replica, settings};
use super::witness::Witness;
use crate::database;
use crate::desk;
use crate::read_back::settled;
use crate::receiver::Receiver;

/// For a stall, a claim and a send, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a zombie writes, one after the other, and what the witness says of it.
const SEEDED: [(&str, &str); 8] = [
    ("UPDATE timers SET lease_owner = 'zombie', lease_until = 0", "written by one who did not hold it"),
    ("UPDATE deliveries SET reason = 'sent', epoch = epoch + 1", "over, and written again"),
    ("UPDATE delivery_attempts SET outcome = 4", "appended once, and written again"),
    (
        "INSERT INTO delivery_attempts SELECT bucket, workspace, delivery, number + 1, started_at, ended_at, \
         outcome, phase, code, response FROM delivery_attempts",
        "an attempt without the claim of its message",
    ),
    (
        "INSERT INTO run_events SELECT bucket, workspace, run, place + 1, at, kind, step, detail \
         FROM run_events WHERE kind = 'completed'",
        "a line of the ledger without a claim",
    ),
    (
        "INSERT INTO run_events SELECT bucket, workspace, run, place + 100, at, 'deferred', step, detail \
         FROM run_events WHERE kind = 'started'",
        "a gap in the ledger",
    ),
    (
        "INSERT INTO marks (bucket, workspace, funnel, subject, stage, kind, anchor_event, anchor_at, \
         anchor_sequence, revision, due_at, noticed_at, owed_by, reason, fate) \
         SELECT bucket, workspace, funnel, subject, stage, 2, anchor_event, anchor_at, anchor_sequence, \
         revision, due_at, noticed_at, owed_by, reason, fate FROM marks",
        "a mark without the claim of its timer",
    ),
    ("DELETE FROM run_events WHERE kind = 'started'", "appended once, and written again"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_witness_tells_what_a_zombie_wrote() {
    let Some(database) = database::postgres().await else {
        return;
    };
    let receiver = Receiver::start().await;
    let settings = settings(&database, receiver.only(), "honest");
    let replica = Replica::start(settings, "honest".to_owned()).await;
    let channel = replica.service.channel.clone();
    desk::set_up(&channel, receiver.only()).await;
    let witness = Witness::call(&database.url).await;
    replica.introduce(&witness).await;
    let sent = desk::answered(&channel, &["quiet".to_owned()]).await;
    settled(&channel, &sent, &[receiver.arrivals()], PATIENCE).await;
    assert!(witness.noted().await > 0);
    assert_eq!(witness.complaints().await, Vec::<String>::new());
    // What is forged now moves nobody any more.
    replica.service.process.kill();

    tells(&witness, "nobody", ("UPDATE runs SET progress = progress", "nobody knows who wrote")).await;
    witness.meet("zombie", "zombie").await;
    for seeded in SEEDED {
        tells(&witness, "zombie", seeded).await;
    }
}

/// Has a write forged; the witness must complain of it once more than before.
async fn tells(witness: &Witness, writer: &str, (write, complaint): (&str, &str)) {
    let before = complaints(witness, complaint).await;
    witness.forge(writer, write).await;
    let after = complaints(witness, complaint).await;
    assert!(after > before, "{write}: no {complaint:?} more than {before}");
}

/// How often the witness complains in these words.
async fn complaints(witness: &Witness, words: &str) -> usize {
    witness.complaints().await.iter().filter(|complaint| complaint.starts_with(words)).count()
}
