//! What the show tells: figures, who stalled where, what was sent, who came back.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;

use rekindle_core::scope::Scope;
use rekindle_engine::Engine;
use rekindle_ports::ledger::{DeliveryRow, DeliveryState, EndReason, LedgerFilter, RunRow};
use rekindle_ports::rows::NameKind;
use rekindle_proto::v1;
use uuid::Uuid;

use super::definitions::FUNNEL;
use super::sample::Sample;
use crate::cli::Failure;
use crate::render;
use crate::render::table::{Grid, terminal_width};
use crate::serve::Running;
use crate::sink::Inbox;
use crate::wire::causes;

mod stories;

/// Rows shown of each list.
const ROWS: usize = 8;

/// Says what is about to happen.
pub fn opening(sample: &Sample, file: &Path) {
    anstream::eprintln!(
        "rekindle dev: {} events of 103 conversations on #ubuntu, 2008-04-27 from 06:00 UTC",
        sample.events.len()
    );
    anstream::eprintln!("(Kummerfeld et al. 2019, CC BY 4.0; addresses under .invalid are ours)");
    anstream::eprintln!("database {}; an hour and a half of business time in a few seconds", file.display());
}

/// Tells what happened.
pub async fn closing(running: &Running, scope: Scope, inbox: &Inbox) -> Result<(), Failure> {
    let answer = figures(running).await?;
    let facts =
        Facts::read(&running.app.engine, scope).await.map_err(|error| Failure::Failed(causes(&error)))?;
    anstream::println!("{}", render::funnel::funnel(&answer, width(), true));
    facts.stalled();
    facts.sent(inbox);
    facts.returned();
    stories::worth(running).await?;
    stories::tell(running, &facts).await
}

/// Says where everything is, and what to try.
pub fn what_next(running: &Running, sink: SocketAddr) {
    let (grpc, http) = (running.grpc, running.http);
    anstream::println!("Inbox      http://{http}/inbox");
    anstream::println!("Mail sink  {sink}");
    anstream::println!("gRPC       {grpc} (reflection on; no authentication, loopback only)\n");
    anstream::println!("Five things to try:");
    let data = |body: &str| body.replace('\'', "'\\''");
    for (body, method) in [
        (String::new(), "list".to_owned()),
        (
            format!(r#"{{"funnel":"workspaces/default/funnels/{FUNNEL}"}}"#),
            "rekindle.v1.MetricsService/QueryFunnel".into(),
        ),
        (
            format!(
                r#"{{"funnel":"workspaces/default/funnels/{FUNNEL}","stage":"answered","figure":"FUNNEL_FIGURE_STALLED"}}"#
            ),
            "rekindle.v1.MetricsService/ListFunnelSubjects".into(),
        ),
        (r#"{"parent":"workspaces/default"}"#.into(), "rekindle.v1.RunService/ListRuns".into()),
        (r#"{"parent":"workspaces/default"}"#.into(), "rekindle.v1.DeliveryService/ListDeliveries".into()),
    ] {
        if body.is_empty() {
            anstream::println!("  grpcurl -plaintext {grpc} {method}");
        } else {
            anstream::println!("  grpcurl -plaintext -d '{}' {grpc} {method}", data(&body));
        }
    }
    anstream::println!("\nCtrl-C ends it.");
}

async fn figures(running: &Running) -> Result<v1::QueryFunnelResponse, Failure> {
    let address = format!("http://{}", running.grpc);
    let client = v1::metrics_service_client::MetricsServiceClient::connect(address.clone()).await;
    let mut client = client.map_err(|error| Failure::Unreachable { address, reason: causes(&error) })?;
    let request = v1::QueryFunnelRequest {
        funnel: format!("workspaces/default/funnels/{FUNNEL}"),
        ..Default::default()
    };
    Ok(client.query_funnel(request).await?.into_inner())
}

/// What the ledger says.
struct Facts {
    runs: Vec<RunRow>,
    deliveries: Vec<DeliveryRow>,
    /// What happened in each run, by kind.
    lines: HashMap<Uuid, Vec<String>>,
    names: HashMap<Uuid, String>,
}

impl Facts {
    async fn read(engine: &Engine, scope: Scope) -> rekindle_engine::error::EngineResult<Self> {
        engine
            .read(scope, |tx, _| {
                Box::pin(async move {
                    let runs = tx.runs(&LedgerFilter::default(), 1_000).await?;
                    let deliveries = tx.deliveries(&LedgerFilter::default(), 1_000).await?;
                    let mut lines: HashMap<Uuid, Vec<String>> = HashMap::new();
                    for run in &runs {
                        let log = tx.run_log(run.id).await?;
                        lines.insert(run.id, log.into_iter().map(|line| line.kind).collect());
                    }
                    let keys: Vec<Uuid> = runs.iter().filter_map(|run| run.conversation).collect();
                    let names = tx.names(NameKind::Conversation, &keys).await?;
                    Ok(Self { runs, deliveries, lines, names })
                })
            })
            .await
    }

    fn stalled(&self) {
        anstream::println!("Which customers stalled ({} silences; the newest {ROWS}):", self.runs.len());
        let rows = self.runs.iter().take(ROWS).map(|run| {
            let minutes = run.noticed_at.since(run.since) / rekindle_core::time::MINUTE;
            [
                self.name(run.conversation),
                run.trigger.stage.clone(),
                run.since.to_rfc3339(),
                run.due_at.to_rfc3339(),
                format!("{minutes} min"),
            ]
        });
        print(["conversation", "stage", "quiet since", "stalled at", "noticed after"], rows);
    }

    fn sent(&self, inbox: &Inbox) {
        let mails = inbox.mails();
        anstream::println!(
            "What was sent ({} mails reached the sink; the newest {ROWS} deliveries):",
            mails.len()
        );
        let rows = self.deliveries.iter().take(ROWS).map(|delivery| {
            [
                delivery.recipient.clone(),
                delivery.step.clone(),
                outcome(delivery.state),
                delivery.ended_at.map(rekindle_core::Timestamp::to_rfc3339).unwrap_or_default(),
                if delivery.overtaken { "overtaken by an answer".into() } else { delivery.reason.clone() },
            ]
        });
        print(["to", "step", "outcome", "at", ""], rows);
    }

    fn returned(&self) {
        let returned: Vec<&RunRow> =
            self.runs.iter().filter(|run| run.end_reason == Some(EndReason::CustomerReturned)).collect();
        let delivered = |run: &RunRow| {
            self.deliveries
                .iter()
                .any(|delivery| delivery.run == run.id && delivery.state == DeliveryState::Delivered)
        };
        let after_mail = returned.iter().filter(|run| delivered(run)).count();
        anstream::println!(
            "Who came back ({} before the sequence was over, {after_mail} of them after a mail):",
            returned.len()
        );
        let rows = returned.iter().take(ROWS).map(|run| {
            [
                self.name(run.conversation),
                run.since.to_rfc3339(),
                run.ended_at.map(rekindle_core::Timestamp::to_rfc3339).unwrap_or_default(),
                if delivered(run) { "after the mail".into() } else { "before anything was sent".to_owned() },
            ]
        });
        print(["conversation", "quiet since", "came back at", ""], rows);
        anstream::println!(
            "A run ends in the commit that stores the customer's return; nothing is sent after it.\n"
        );
    }

    fn name(&self, key: Option<Uuid>) -> String {
        key.and_then(|key| self.names.get(&key)).cloned().unwrap_or_default()
    }
}

fn print<const N: usize>(header: [&str; N], rows: impl Iterator<Item = [String; N]>) {
    let rows: Vec<Vec<String>> = rows.map(Vec::from).collect();
    for line in Grid::new(&header.map(str::to_owned), &rows, &[]).lines() {
        anstream::println!("  {line}");
    }
    anstream::println!();
}

/// The state of a delivery, for people.
fn outcome(state: DeliveryState) -> String {
    match state {
        DeliveryState::HeldOut => "held out".to_owned(),
        state => format!("{state:?}").to_lowercase(),
    }
}

fn width() -> usize {
    terminal_width().map_or(100, |width| width.clamp(60, 140))
}
