//! Response-time targets through the API: given out, met or missed, and compared.

use rekindle_core::scope::Scope;
use rekindle_core::time::{HOUR, MINUTE};
use rekindle_proto::v1;
use tonic::Code;

use crate::harness::{Server, WORKSPACE, event, fields, reason, two_stages};

const FUNNEL: &str = "workspaces/default/funnels/support";
/// Minutes of the harness's events at which its clock begins.
const NOW: i64 = 24 * 60;
const CONVERSATIONS: i64 = 20;

fn minutes(count: i64) -> pbjson_types::Duration {
    pbjson_types::Duration { seconds: count * 60, nanos: 0 }
}

fn arm(id: &str, after: i64) -> v1::TargetArm {
    v1::TargetArm { id: id.into(), after: Some(minutes(after)), weight: 1 }
}

/// Asked and solved; for the first an hour is tried out beside half an hour.
fn tried() -> v1::Funnel {
    let mut funnel = two_stages();
    funnel.stages[0].stall = Some(v1::SilenceRule { after: Some(minutes(60)), ..Default::default() });
    let arms = vec![arm("hour", 60), arm("half", 30)];
    funnel.stages[0].target_experiment = Some(v1::TargetExperiment { id: "faster".into(), arms });
    funnel
}

fn create(funnel: v1::Funnel) -> v1::CreateFunnelRequest {
    v1::CreateFunnelRequest {
        parent: WORKSPACE.into(),
        funnel_id: "support".into(),
        funnel: Some(funnel),
        ..Default::default()
    }
}

fn question(stage: &str) -> v1::QueryTargetExperimentRequest {
    v1::QueryTargetExperimentRequest { funnel: FUNNEL.into(), stage: stage.into(), ..Default::default() }
}

async fn send(server: &Server, events: Vec<v1::Event>) {
    let count = events.len() as i64;
    let batch = v1::IngestEventsRequest { parent: WORKSPACE.into(), events };
    let report = server.ingest().ingest_events(batch).await.expect("a batch").into_inner();
    assert_eq!(report.accepted_count, count, "{:?}", report.rejections);
}

#[tokio::test]
async fn targets_are_defined_met_by_some_and_compared() {
    let server = Server::start().await;
    let created = server.funnels().create_funnel(create(tried())).await.expect("a valid funnel");
    let created = created.into_inner().funnel.expect("the funnel as created");
    assert_eq!(created.stages[0].target_experiment, tried().stages[0].target_experiment);
    server.test.fill(Scope::of("default")).await;

    let of = |number: i64, kind: &str, minute| {
        event(&format!("{kind}-{number}"), &format!("c-{number}"), kind, NOW + minute)
    };
    send(&server, (0..CONVERSATIONS).map(|number| of(number, "customer_message", 0)).collect()).await;
    server.test.clock.advance(20 * MINUTE);
    send(&server, (0..8).map(|number| of(number, "resolution", 20)).collect()).await;
    server.test.clock.advance(2 * HOUR);

    let answer = server.metrics().query_target_experiment(question("asked")).await;
    let answer = answer.expect("targets are tried out").into_inner();
    assert_eq!((answer.funnel.as_str(), answer.revision), (FUNNEL, 1));
    assert_eq!((answer.stage.as_str(), answer.experiment.as_str()), ("asked", "faster"));
    assert_eq!(answer.period.expect("since then").start_time, created.update_time);
    assert!(answer.complete && !answer.mature);
    let [hour, half] = &answer.arms[..] else { panic!("{answer:?}") };
    assert_eq!((hour.arm.as_str(), half.arm.as_str()), ("hour", "half"));
    assert_eq!((hour.after, half.after), (Some(minutes(60)), Some(minutes(30))));
    assert_eq!(hour.entered + half.entered, CONVERSATIONS);
    assert_eq!((hour.progressed + half.progressed, hour.stalled + half.stalled), (8, 12));
    for arm in [hour, half] {
        let rate = v1::Ratio { numerator: arm.progressed, denominator: arm.entered };
        assert_eq!((arm.progress_rate, arm.weight), (Some(rate), 1));
        assert!(arm.progress_interval.is_some_and(|interval| interval.low < interval.high));
    }
    assert!(hour.difference.is_none() && half.difference.is_some());
    let sample = answer.sample_ratio.expect("a test");
    assert_eq!((sample.entered, sample.mismatch), (CONVERSATIONS, false));
}

#[tokio::test]
async fn every_wrong_field_of_an_experiment_is_named_at_once() {
    let server = Server::start().await;
    let mut funnel = tried();
    funnel.stages[1].target_experiment = funnel.stages[0].target_experiment.take();
    let experiment = funnel.stages[1].target_experiment.as_mut().expect("just put there");
    experiment.arms[0].weight = -1;
    experiment.arms[1].after = None;
    let refused = server.funnels().create_funnel(create(funnel)).await.expect_err("a wrong experiment");
    assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::InvalidArgument, "FUNNEL_INVALID"));
    let mut named = fields(&refused);
    named.sort();
    named.dedup();
    let expected = ["", ".arms[0].weight", ".arms[1].after"];
    assert_eq!(named, expected.map(|field| format!("funnel.stages[1].targetExperiment{field}")));
}

#[tokio::test]
async fn a_question_about_targets_is_refused_with_what_is_wrong_in_it() {
    let server = Server::start().await;
    server.funnels().create_funnel(create(tried())).await.expect("a valid funnel");
    let refused = async |question: v1::QueryTargetExperimentRequest| {
        server.metrics().query_target_experiment(question).await.expect_err("something is wrong")
    };
    let all = v1::QueryTargetExperimentRequest {
        funnel: "support".into(),
        revision: -1,
        stage: String::new(),
        ..Default::default()
    };
    let mut named = fields(&refused(all).await);
    named.sort();
    assert_eq!(named, ["funnel", "revision", "stage"]);
    for stage in ["nowhere", "solved"] {
        let refused = refused(question(stage)).await;
        assert_eq!((refused.code(), reason(&refused).0.as_str()), (Code::InvalidArgument, "FIELD_INVALID"));
        assert_eq!(fields(&refused), ["stage"]);
    }
    let far = v1::QueryTargetExperimentRequest { revision: 9, ..question("asked") };
    assert_eq!(reason(&refused(far).await).0, "FUNNEL_REVISION_NOT_FOUND");
    let gone = v1::QueryTargetExperimentRequest { funnel: format!("{FUNNEL}-gone"), ..question("asked") };
    assert_eq!(reason(&refused(gone).await).0, "FUNNEL_NOT_FOUND");
}
