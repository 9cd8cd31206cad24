//! Failures that are done again, as a client asks for it.

use std::sync::Arc;

use rekindle_core::Timestamp;
use rekindle_core::scope::Scope;
use rekindle_core::time::MINUTE;
use rekindle_engine::loops::Loops;
use rekindle_ports::Deliver;
use rekindle_ports::deliver::SendOutcome;
use rekindle_proto::v1;
use rekindle_proto::v1::replay::{State, What};
use rekindle_proto::v1::replay_service_client::ReplayServiceClient;
use rekindle_server::convert::time::to_instant;
use rekindle_testkit::build::RECEIVED;
use tonic::Code;
use tonic::transport::Channel;

use crate::harness::{Server, WORKSPACE, fields, reason};
use crate::recovery::{ada_asks, options, prepared, set_sender};

/// When somebody sees that a mail was refused: a minute after it was.
const SEEN: Timestamp = RECEIVED.plus(22 * MINUTE);
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

fn client(server: &Server) -> ReplayServiceClient<Channel> {
    ReplayServiceClient::new(server.channel.clone())
}

/// Does what is due.
async fn work(server: &Server) {
    let deliver = Arc::clone(&server.test.outbox) as Arc<dyn Deliver>;
    Loops::new(&server.test.engine, deliver, options()).drain().await.expect("the loops go on");
}

/// A server whose one mail was refused.
async fn refused() -> Server {
    let server = prepared().await;
    set_sender(&server).await;
    let started = server.test.engine.start_sequence(Scope::of("default"), "nudge", None).await;
    started.expect("everything is there");
    ada_asks(&server).await;
    server.test.outbox.answer(SendOutcome::Rejected {
        phase: "data".into(),
        code: Some(554),
        response: "not today".into(),
        suppress: false,
        disable_destination: false,
    });
    server.test.clock.advance(21 * MINUTE);
    work(&server).await;
    server.test.clock.set(SEEN);
    server
}

fn period(until: Option<Timestamp>) -> v1::ReplayPeriod {
    let period = v1::Period { start_time: Some(to_instant(RECEIVED)), end_time: until.map(to_instant) };
    v1::ReplayPeriod { period: Some(period), ..Default::default() }
}

fn asks(what: What) -> v1::CreateReplayRequest {
    let replay = v1::Replay { what: Some(what), ..Default::default() };
    v1::CreateReplayRequest { parent: WORKSPACE.into(), replay: Some(replay), ..Default::default() }
}

async fn create(server: &Server, request: v1::CreateReplayRequest) -> v1::Replay {
    let answer = client(server).create_replay(request).await.expect("a good request").into_inner();
    answer.replay.expect("a replay")
}

async fn get(server: &Server, name: &str) -> v1::Replay {
    let request = v1::GetReplayRequest { name: name.into() };
    let answer = client(server).get_replay(request).await.expect("it is there").into_inner();
    answer.replay.expect("a replay")
}

/// Failures, those looked at, replayed, skipped.
fn counts(replay: &v1::Replay) -> [i64; 4] {
    [replay.total_count, replay.done_count, replay.replayed_count, replay.skipped_count]
}

#[tokio::test]
async fn a_replay_is_begun_once_and_followed_to_its_end() {
    let server = refused().await;
    let all = || asks(What::Failures(period(None)));
    let checked = create(&server, v1::CreateReplayRequest { validate_only: true, ..all() }).await;
    assert_eq!((checked.name.as_str(), counts(&checked)), ("", [1, 0, 0, 0]));

    let once = || v1::CreateReplayRequest { request_id: "r-1".into(), ..all() };
    let begun = create(&server, once()).await;
    assert!(begun.name.starts_with("workspaces/default/replays/"), "{}", begun.name);
    assert_eq!((begun.state(), counts(&begun)), (State::Running, [1, 0, 0, 0]));
    // What fails from now on is not in it.
    assert_eq!(begun.what, Some(What::Failures(period(Some(SEEN)))));
    assert_eq!((begun.create_time, begun.end_time), (Some(to_instant(SEEN)), None));
    assert_eq!(create(&server, once()).await, begun, "the same request");
    assert_eq!(get(&server, &begun.name).await, begun);

    server.test.clock.advance(MINUTE);
    let (engine, scope) = (&server.test.engine, Scope::of("default"));
    while engine.replay_step(scope).await.expect("replays go on") {}
    work(&server).await;
    let done = get(&server, &begun.name).await;
    assert_eq!((done.state(), counts(&done)), (State::Done, [1, 1, 1, 0]));
    assert_eq!(done.end_time, Some(to_instant(SEEN.plus(MINUTE))));
    assert_eq!(server.test.outbox.sent().len(), 2);

    let cancel = v1::CancelReplayRequest { name: begun.name };
    let refused = client(&server).cancel_replay(cancel).await.expect_err("it is through");
    let (why, details) = reason(&refused);
    assert_eq!((refused.code(), why.as_str()), (Code::FailedPrecondition, "REPLAY_NOT_CANCELLABLE"));
    assert_eq!(details.error_info().expect("a reason").metadata["currentState"], "DONE");
}

#[tokio::test]
async fn one_mail_or_one_run_is_replayed_by_its_name_while_something_in_it_failed() {
    let server = refused().await;
    let sent = server.test.outbox.sent().remove(0);
    let delivery = || What::Delivery(format!("workspaces/default/deliveries/{}", sent.id));
    let run = || What::Run(format!("workspaces/default/runs/{}", sent.run));
    for what in [delivery(), run()] {
        let request = v1::CreateReplayRequest { validate_only: true, ..asks(what.clone()) };
        let checked = create(&server, request).await;
        assert_eq!((checked.what.as_ref(), checked.total_count), (Some(&what), 1));
    }
    create(&server, asks(delivery())).await;
    while server.test.engine.replay_step(Scope::of("default")).await.expect("replays go on") {}
    work(&server).await;
    let expected =
        [(delivery(), "DELIVERY_NOT_REPLAYABLE", "DELIVERED"), (run(), "RUN_NOT_REPLAYABLE", "COMPLETED")];
    for (what, expected, state) in expected {
        let refused = client(&server).create_replay(asks(what)).await.expect_err("nothing failed");
        let (why, details) = reason(&refused);
        assert_eq!((refused.code(), why.as_str()), (Code::FailedPrecondition, expected));
        assert_eq!(details.error_info().expect("a reason").metadata["currentState"], state);
    }
}

#[tokio::test]
async fn replays_are_listed_newest_first_and_stopped_by_name() {
    let server = Server::start().await;
    let mut names = Vec::new();
    for _ in 0..3 {
        server.test.clock.advance(MINUTE);
        names.insert(0, create(&server, asks(What::Failures(period(None)))).await.name);
    }
    let list = |page_size, page_token| {
        let parent = WORKSPACE.into();
        v1::ListReplaysRequest { parent, page_size, page_token }
    };
    let mut replays = client(&server);
    let first = replays.list_replays(list(2, String::new())).await.expect("a page").into_inner();
    let last = replays.list_replays(list(2, first.next_page_token)).await.expect("a page").into_inner();
    let listed = first.replays.into_iter().chain(last.replays).map(|replay| replay.name);
    assert_eq!(listed.collect::<Vec<_>>(), names);
    assert_eq!(last.next_page_token, "");

    let stopped_at = Some(to_instant(server.test.clock.time()));
    for _ in 0..2 {
        let cancel = v1::CancelReplayRequest { name: names[1].clone() };
        let stopped = replays.cancel_replay(cancel).await.expect("as often as one likes").into_inner();
        let stopped = stopped.replay.expect("a replay");
        assert_eq!((stopped.state(), stopped.end_time), (State::Cancelled, stopped_at));
        server.test.clock.advance(MINUTE);
    }
    let all = replays.list_replays(list(0, String::new())).await.expect("a page").into_inner().replays;
    let states: Vec<State> = all.iter().map(v1::Replay::state).collect();
    assert_eq!(states, [State::Running, State::Cancelled, State::Running]);
}

#[tokio::test]
async fn every_wrong_field_of_a_replay_is_named() {
    let server = Server::start().await;
    let backwards = period(Some(RECEIVED));
    let vague = v1::ReplayPeriod { period: None, sequence: "x".into(), destination: "y".into() };
    let asks_for = |replay| v1::CreateReplayRequest { replay, ..asks(What::Run("x".into())) };
    let alien = v1::CreateReplayRequest {
        parent: "x".into(),
        request_id: "x".repeat(65),
        ..asks(What::Delivery("x".into()))
    };
    let wrong = [
        (asks_for(None), vec!["replay"]),
        (asks_for(Some(v1::Replay::default())), vec!["replay.delivery"]),
        (asks(What::Run("x".into())), vec!["replay.run"]),
        (asks(What::Failures(backwards)), vec!["replay.failures.period.endTime"]),
        (
            asks(What::Failures(vague)),
            vec![
                "replay.failures.period.startTime",
                "replay.failures.sequence",
                "replay.failures.destination",
            ],
        ),
        (alien, vec!["parent", "replay.delivery", "requestId"]),
    ];
    let mut replays = client(&server);
    for (request, expected) in wrong {
        let refused = replays.create_replay(request).await.expect_err("something is wrong");
        assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::InvalidArgument, "FIELD_INVALID"));
        assert_eq!(fields(&refused), expected);
    }
    let get = v1::GetReplayRequest { name: "r-1".into() };
    assert_eq!(fields(&replays.get_replay(get).await.expect_err("no name")), ["name"]);
    let cancel = v1::CancelReplayRequest { name: "workspaces/default/runs/r-1".into() };
    assert_eq!(fields(&replays.cancel_replay(cancel).await.expect_err("a run's name")), ["name"]);
    let list = v1::ListReplaysRequest { parent: "x".into(), page_size: -1, ..Default::default() };
    assert_eq!(fields(&replays.list_replays(list).await.expect_err("two fields")), ["parent", "pageSize"]);
    let list = v1::ListReplaysRequest {
        parent: WORKSPACE.into(),
        page_token: "forged".into(),
        ..Default::default()
    };
    let refused = replays.list_replays(list).await.expect_err("none of ours");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
}

#[tokio::test]
async fn what_is_not_there_is_not_replayed_read_or_stopped() {
    let server = Server::start().await;
    let mut replays = client(&server);
    let expected = [
        (What::Delivery("workspaces/default/deliveries/d-1".into()), "DELIVERY_NOT_FOUND"),
        (What::Run(format!("workspaces/default/runs/{NOBODY}")), "RUN_NOT_FOUND"),
    ];
    for (what, expected) in expected {
        let refused = replays.create_replay(asks(what)).await.expect_err("nobody knows it");
        assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::NotFound, expected));
    }
    // An id of ours, and what is none.
    for id in [NOBODY, "r-1"] {
        let name = format!("workspaces/default/replays/{id}");
        let get = replays.get_replay(v1::GetReplayRequest { name: name.clone() }).await;
        let cancel = replays.cancel_replay(v1::CancelReplayRequest { name: name.clone() }).await;
        for refused in [get.expect_err("nobody knows it"), cancel.expect_err("nobody knows it")] {
            let (why, details) = reason(&refused);
            assert_eq!((refused.code(), why.as_str()), (Code::NotFound, "REPLAY_NOT_FOUND"));
            assert_eq!(details.resource_info().expect("a resource").resource_name, name);
        }
    }
}
