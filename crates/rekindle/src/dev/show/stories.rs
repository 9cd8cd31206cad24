//! What a sequence was worth, and four stories: a message that was sent, one that waited, one that was held out, one that an
//! answer made needless.

use rekindle_core::sequence::arm::Arm;
use rekindle_ports::ledger::{DeliveryState, EndReason, RunRow};
use rekindle_proto::v1;
use rekindle_proto::v1::metrics_service_client::MetricsServiceClient;
use rekindle_proto::v1::run_service_client::RunServiceClient;

use super::Facts;
use crate::cli::Failure;
use crate::cli::explain::story;
use crate::cli::report::recovery::told;
use crate::dev::definitions::SEQUENCES;
use crate::serve::Running;
use crate::wire::causes;

/// Which run a story is wanted of.
type Wanted = fn(&Facts, &RunRow) -> bool;

const WANTED: [(&str, Wanted); 4] = [
    ("sent", |facts, run| facts.has(run, DeliveryState::Delivered) && !facts.did(run, "deferred")),
    ("sent later", |facts, run| facts.has(run, DeliveryState::Delivered) && facts.did(run, "deferred")),
    ("held out", |_, run| run.arm == Arm::HeldOut && run.end_reason.is_none()),
    ("not needed any more", |facts, run| {
        run.end_reason == Some(EndReason::CustomerReturned) && !facts.has(run, DeliveryState::Delivered)
    }),
];

/// Says what the first sequence was worth, as `rekindle report recovery` does.
pub(super) async fn worth(running: &Running) -> Result<(), Failure> {
    let address = format!("http://{}", running.grpc);
    let client = MetricsServiceClient::connect(address.clone()).await;
    let mut client = client.map_err(|error| Failure::Unreachable { address, reason: causes(&error) })?;
    let request = v1::QueryRecoveryRequest {
        sequence: format!("workspaces/default/sequences/{}", SEQUENCES[0].0),
        ..Default::default()
    };
    let answer = client.query_recovery(request).await?.into_inner();
    anstream::println!("{}", told(&answer));
    Ok(())
}

/// Tells them, each as `rekindle explain` does.
pub(super) async fn tell(running: &Running, facts: &Facts) -> Result<(), Failure> {
    let address = format!("http://{}", running.grpc);
    let client = RunServiceClient::connect(address.clone()).await;
    let mut client = client.map_err(|error| Failure::Unreachable { address, reason: causes(&error) })?;
    anstream::println!("Why? Four stories:");
    for (what, is_wanted) in WANTED {
        let Some(run) = facts.runs.iter().find(|run| is_wanted(facts, run)) else {
            continue;
        };
        anstream::println!("  {what}: rekindle explain run {}", run.id);
        let name = format!("workspaces/default/runs/{}", run.id);
        let answer = client.explain(v1::ExplainRequest { name }).await?.into_inner();
        for line in story(&answer.statements).lines() {
            anstream::println!("    {line}");
        }
    }
    anstream::println!();
    Ok(())
}

impl Facts {
    /// Whether a message of a run ended so.
    fn has(&self, run: &RunRow, state: DeliveryState) -> bool {
        self.deliveries.iter().any(|delivery| delivery.run == run.id && delivery.state == state)
    }

    /// Whether something happened in a run.
    fn did(&self, run: &RunRow, kind: &str) -> bool {
        self.lines.get(&run.id).is_some_and(|lines| lines.iter().any(|line| line == kind))
    }
}
