//! The command line against a running service: imports, definitions, reports, exit codes.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::database::{self, Database};
use crate::process::{Finished, Process};
use crate::service::{Service, Settings};

/// A command on a busy machine.
const COMMAND: Duration = Duration::from_mins(1);
/// An address at which nobody listens: port 1 is nobody's.
const NOBODY: &str = "http://127.0.0.1:1";

const FUNNEL: &str = "\
kind: Funnel
id: help
displayName: Help
stages:
- id: asked
  displayName: Asked
  enter: [{eventTypes: [customer_message]}]
- id: answered
  displayName: Answered
  enter: [{eventTypes: [agent_message]}]
";

/// Two conversations: one answered, one not. The second line has no id.
const EVENTS: &str = r#"{"id":"a1","conversation":"a","customer":"ann","event":"customer_message","ts":"2024-05-01T10:00:00Z","props":{"plan":"pro"}}
{"conversation":"a","event":"agent_message","ts":"2024-05-01T10:05:00Z","props":{}}
{"id":"b1","conversation":"b","customer":"bob","event":"customer_message","ts":"2024-05-01T11:00:00Z","props":{"plan":"free"}}
"#;

/// Three lines of which only the last makes an event.
const BAD: &str = r#"{"id":"x1","conversation":"x","event":"customer_message","ts":"yesterday","props":{}}
{"id":"x2","conversation":"x","ts":"2024-05-01T10:00:00Z","props":{}}
{"id":"x3","conversation":"x","event":"customer_message","ts":"2024-05-01T12:00:00Z","props":{}}
"#;

/// A service and a folder of files for it.
struct Desk {
    service: Service,
    folder: TempDir,
    _database: Database,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_import_of_a_file_changes_nothing() {
    let desk = Desk::open().await;
    let file = desk.file("events.jsonl", EVENTS);
    let import = async || json(&desk.runs(&["import", "--format", "events", "-o", "json", &file]).await);
    let first = import().await;
    assert_eq!((&first["read"], &first["accepted"], &first["duplicates"]), (&json!(3), &json!(3), &json!(0)));
    let second = import().await;
    assert_eq!(
        (&second["read"], &second["accepted"], &second["duplicates"]),
        (&json!(3), &json!(0), &json!(3))
    );
    assert_eq!(second["rejected"], json!(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_rows_go_to_a_file_with_their_reasons_and_the_others_are_taken() {
    let desk = Desk::open().await;
    let (file, rejects) = (desk.file("bad.jsonl", BAD), desk.path("rejects.jsonl"));
    let said = desk.runs(&["import", "--format", "events", "-o", "json", "--rejects", &rejects, &file]).await;
    let said = json(&said);
    assert_eq!((&said["accepted"], &said["rejected"]), (&json!(1), &json!(2)));
    let kept = fs::read_to_string(&rejects).expect("a file of rejected rows");
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<(&Value, &Value)> =
        kept.iter().map(|row| (&row["line"], &row["violations"][0]["field"])).collect();
    assert_eq!(told, [(&json!(1), &json!("occurred_at")), (&json!(2), &json!("type"))]);
    assert_eq!(kept[0]["fields"]["ts"], json!("yesterday"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_is_shown_then_applied_then_left_alone() {
    let desk = Desk::open().await;
    let file = desk.file("help.yaml", FUNNEL);
    let apply = async |flags: &[&str]| {
        let words = [&["apply", "-f", &file, "-o", "json"], flags].concat();
        let said = json(&desk.runs(&words).await);
        said[0]["action"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(apply(&["--dry-run"]).await, "create");
    let absent = desk.command(&["get", "funnel", "help"]).await;
    assert_eq!(absent.code, Some(1), "a dry run must not create: {}", absent.stdout);
    assert!(absent.stderr.contains("FUNNEL_NOT_FOUND"), "{}", absent.stderr);

    assert_eq!(apply(&[]).await, "create");
    assert_eq!(apply(&[]).await, "unchanged");
    let read = desk.runs(&["get", "funnel", "help", "-o", "json"]).await;
    assert_eq!(json(&read)["revision"], json!(1));

    desk.file("help.yaml", &FUNNEL.replace("displayName: Help\n", "displayName: Helped\n"));
    let shown = desk.runs(&["apply", "-f", &file, "--dry-run"]).await;
    assert!(shown.contains("Helped"), "the difference is not shown:\n{shown}");
    assert_eq!(apply(&[]).await, "update");
    let read = desk.runs(&["get", "funnel", "help", "-o", "json"]).await;
    assert_eq!((&json(&read)["revision"], &json(&read)["displayName"]), (&json!(2), &json!("Helped")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_gives_the_figures_of_what_was_imported() {
    let desk = Desk::open().await;
    let (events, funnel) = (desk.file("events.jsonl", EVENTS), desk.file("help.yaml", FUNNEL));
    desk.runs(&["apply", "-f", &funnel]).await;
    desk.runs(&["import", "--format", "events", &events]).await;
    let report = json(&desk.runs(&["report", "funnel", "help", "-o", "json", "--by", "plan"]).await);
    let reached = |stages: &Value| -> Vec<(String, String)> {
        let stages = stages.as_array().cloned().unwrap_or_default();
        stages.iter().map(|stage| (word(&stage["displayName"]), word(&stage["reached"]))).collect()
    };
    let two = |asked: &str, answered: &str| {
        vec![("Asked".to_owned(), asked.to_owned()), ("Answered".to_owned(), answered.to_owned())]
    };
    assert_eq!(reached(&report["figures"]["stages"]), two("2", "1"));
    let groups = report["breakdowns"][0]["groups"].as_array().cloned().unwrap_or_default();
    let by_plan: Vec<_> =
        groups.iter().map(|group| (word(&group["value"]), reached(&group["stages"]))).collect();
    assert_eq!(by_plan, [("free".to_owned(), two("1", "0")), ("pro".to_owned(), two("1", "1"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_is_listed_and_read_and_cannot_be_deleted() {
    let desk = Desk::open().await;
    // Nothing failed, so that it is through at once.
    let through = json(&desk.runs(&["replay", "--since", "2026-01-01", "-o", "json"]).await);
    assert_eq!(through[0]["state"], json!("STATE_DONE"), "{through}");
    assert_eq!(json(&desk.runs(&["list", "replays", "-o", "json"]).await), through);
    let name = word(&through[0]["name"]);
    let id = name.rsplit('/').next().expect("a part of a name");
    assert_eq!(json(&desk.runs(&["get", "replay", id, "-o", "json"]).await), through[0]);
    let table = desk.runs(&["list", "replays"]).await;
    assert!(table.contains(id) && table.contains("done"), "{table}");
    assert_eq!(desk.command(&["list", "replays", "--state", "done"]).await.code, Some(2));
    assert_eq!(desk.command(&["delete", "replay", id, "--yes"]).await.code, Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_say_whose_fault_it_was() {
    let desk = Desk::open().await;
    let bad = desk.file("bad.jsonl", BAD.lines().next().unwrap_or_default());
    let typo = desk.file("typo.yaml", &FUNNEL.replace("enter", "entre"));
    let invalid = desk.file("invalid.yaml", &FUNNEL.replace("id: answered", "id: asked"));
    let absent = desk.path("absent.jsonl");
    desk.runs(&["apply", "-f", &desk.file("help.yaml", FUNNEL)]).await;
    let code = async |words: &[&str]| desk.command(words).await.code;
    assert_eq!(code(&["healthcheck"]).await, Some(0));
    // It failed: the server refused, or nothing was of use.
    assert_eq!(code(&["report", "funnel", "absent"]).await, Some(1));
    assert_eq!(code(&["import", "--format", "events", &bad]).await, Some(1));
    // The command or its input is wrong.
    assert_eq!(code(&["import", &absent]).await, Some(2));
    assert_eq!(code(&["apply", "-f", &typo]).await, Some(2));
    assert_eq!(code(&["apply", "-f", &invalid]).await, Some(2));
    assert_eq!(code(&["report", "funnel"]).await, Some(2));
    assert_eq!(code(&["report", "funnel", "help", "--filter", "event.properties.plan =="]).await, Some(2));
    // No server could be reached.
    let unreachable = Process::spawn(&["list", "funnels", "--address", NOBODY], &[]).finish(COMMAND).await;
    assert_eq!(unreachable.code, Some(3), "{}", unreachable.stderr);
}

impl Desk {
    async fn open() -> Self {
        let database = database::sqlite();
        let service = Settings::of(&database).start().await;
        let folder = tempfile::tempdir().expect("a temporary directory");
        Self { service, folder, _database: database }
    }

    /// Runs a command against the service.
    async fn command(&self, words: &[&str]) -> Finished {
        let address = format!("http://{}", self.service.grpc);
        let words = [words, &["--address", &address]].concat();
        Process::spawn(&words, &[]).finish(COMMAND).await
    }

    /// Runs a command that must work; what it printed.
    async fn runs(&self, words: &[&str]) -> String {
        let finished = self.command(words).await;
        assert_eq!(finished.code, Some(0), "{words:?}: {}{}", finished.stdout, finished.stderr);
        finished.stdout
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.display().to_string()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).expect("a file of our own");
        path
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// A value of proto JSON as text: 64-bit integers are texts there, and zeros are left out.
fn word(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "0".to_owned(),
        other => other.to_string(),
    }
}
