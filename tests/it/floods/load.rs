//! The load: batches of events sent by the clock, from a process of its own on one core.
//!
//! The process is this test binary again, told by its environment to load instead of to test.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rekindle_proto::v1;
use rekindle_proto::v1::ingest_service_client::IngestServiceClient;
use serde::{Deserialize, Serialize};
use tokio_util::task::TaskTracker;
use tonic::transport::{Channel, Endpoint};

use super::report::{Answer, Report};
use crate::checker::Role;
use crate::desk::{WORKSPACE, said};
use crate::service::Service;
use crate::surroundings::{until, variable};

/// What tells a process to load.
const TOLD: &str = "REKINDLE_TEST_LOAD";
/// Connections that the load comes over.
const CONNECTIONS: usize = 8;
/// How long a call may take before it counts as lost.
const DEADLINE: Duration = Duration::from_secs(30);
/// How much longer than it loads the process may take on a busy machine.
const SLACK: Duration = Duration::from_mins(2);

/// What is sent, and where to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Load {
    /// The service.
    pub address: SocketAddr,
    /// Events a second.
    pub rate: u32,
    /// Events of a call.
    pub batch: u32,
    /// How long.
    pub lasting: Duration,
    /// Where the report is written.
    pub report: PathBuf,
}

/// Loads and is true when this process was started for it.
pub async fn is_told_to_load() -> bool {
    let Some(told) = variable(TOLD) else {
        return false;
    };
    let load: Load = serde_json::from_str(&told).expect("told by `run`");
    let report = load.offer().await;
    std::fs::write(&load.report, serde_json::to_vec(&report).expect("plain values"))
        .expect("the folder is the other process's own");
    true
}

impl Load {
    /// So many events a second for so long, one a call.
    pub fn of(service: &Service, rate: u32, lasting: Duration) -> Self {
        Self { address: service.grpc, rate, batch: 1, lasting, report: PathBuf::new() }
    }

    /// Runs the load in a process of its own, on the last core where that can be said; `test` is
    /// the name of the test that runs it, which must begin with [`is_told_to_load`].
    pub async fn run(mut self, test: &str) -> Report {
        let folder = tempfile::tempdir().expect("a temporary directory");
        self.report = folder.path().join("report.json");
        let told = serde_json::to_string(&self).expect("plain values");
        let mut command = on_one_core(std::env::current_exe().expect("this test has a file"));
        let arguments = ["--exact", test, "--include-ignored", "--nocapture"];
        let child = command.args(arguments).env(TOLD, told).stdout(Stdio::null()).spawn();
        let mut child = child.expect("this test's own file starts");
        let within = self.lasting + SLACK;
        let ended = until("the load ends", within, async || child.try_wait().expect("a child of ours")).await;
        assert!(ended.success(), "the load failed: {ended}");
        let report = std::fs::read(&self.report).expect("the load wrote its report");
        serde_json::from_slice(&report).expect("the load's own report")
    }

    /// Sends each batch at its instant, whatever became of those before it.
    async fn offer(&self) -> Report {
        let channels = self.connect().await;
        let answers: Arc<Mutex<Vec<Answer>>> = Arc::default();
        let calls = TaskTracker::new();
        let every = Duration::from_secs(1) * self.batch / self.rate;
        let count = (self.lasting.as_secs_f64() / every.as_secs_f64()) as u32;
        let began = Instant::now();
        for number in 0..count {
            let due = began + every * number;
            tokio::time::sleep_until(due.into()).await;
            let client = IngestServiceClient::new(channels[number as usize % CONNECTIONS].clone());
            let request = self.batch(number);
            let answers = Arc::clone(&answers);
            calls.spawn(async move {
                let answer = answer(client, request, due).await;
                answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
            });
        }
        calls.close();
        calls.wait().await;
        let seconds = began.elapsed().as_secs_f64();
        let answers = std::mem::take(&mut *answers.lock().unwrap_or_else(PoisonError::into_inner));
        Report::of(answers, seconds)
    }

    async fn connect(&self) -> Vec<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).expect("an address");
        let mut channels = Vec::new();
        for _ in 0..CONNECTIONS {
            channels.push(endpoint.connect().await.expect("the service listens"));
        }
        channels
    }

    /// Events that nobody sent before: a customer asks, an agent answers, and so on.
    fn batch(&self, number: u32) -> v1::IngestEventsRequest {
        let name = self.report.parent().map(|folder| folder.display().to_string()).unwrap_or_default();
        let name = name.rsplit('/').next().unwrap_or_default();
        let said = (0..self.batch).map(|place| {
            let role = if place % 2 == 0 { Role::Ask } else { Role::Answer };
            said(role, &format!("{name}-{number}-{}", place / 2)).0
        });
        v1::IngestEventsRequest { parent: WORKSPACE.into(), events: said.collect() }
    }
}

/// A program held to the last core that this process may use, where that can be said.
fn on_one_core(program: PathBuf) -> Command {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let core = allowed.and_then(|cores| cores.trim().rsplit([',', '-']).next());
    let taskset = Command::new("taskset").arg("-V").stdout(Stdio::null()).status();
    match core {
        Some(core) if taskset.is_ok() => {
            let mut command = Command::new("taskset");
            command.args(["-c", core]).arg(program);
            command
        }
        _ => {
            eprintln!("this machine does not say how: the load is not held to one core");
            Command::new(program)
        }
    }
}

/// Sends a batch; its time counts from when it was due, so that a late start is not forgiven.
async fn answer(
    mut client: IngestServiceClient<Channel>,
    request: v1::IngestEventsRequest,
    due: Instant,
) -> Answer {
    let events = request.events.len() as u64;
    let mut request = tonic::Request::new(request);
    request.set_timeout(DEADLINE);
    let outcome = client.ingest_events(request).await;
    Answer::of(outcome.map(|answer| answer.into_inner().accepted_count as u64), events, due.elapsed())
}
