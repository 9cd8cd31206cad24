//! The program as a child process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use crate::Fallible;

/// Words of lines that are shown.
const COMPLAINTS: [&str; 2] = ["WARN", "ERROR"];

/// A running `rekindle serve`; killed when this goes.
pub struct Program {
    child: Child,
    address: String,
}

impl Program {
    /// Starts the program on a database, which it migrates, on ports of its own choice.
    pub fn start(program: &Path, database_url: &str, receiver: Option<u16>) -> Fallible<Self> {
        let Some(port) = receiver else {
            return Self::start_with(program, database_url, &[]);
        };
        let ports = format!("[{port}]");
        let settings = [
            ("REKINDLE__DELIVERY__ALLOW_NETWORKS", r#"["127.0.0.0/8"]"#),
            ("REKINDLE__DELIVERY__ALLOW_PORTS", ports.as_str()),
            ("REKINDLE__DELIVERY__ALLOW_HTTP", "true"),
        ];
        Self::start_with(program, database_url, &settings)
    }

    /// The same with settings of its own.
    pub fn start_with(program: &Path, database_url: &str, settings: &[(&str, &str)]) -> Fallible<Self> {
        let mut command = Command::new(program);
        command
            .arg("serve")
            .env_clear()
            .env("REKINDLE__DATABASE__URL", database_url)
            .env("REKINDLE__DATABASE__MIGRATE", "true")
            .env("REKINDLE__SERVER__LISTEN", "127.0.0.1:0")
            .env("REKINDLE__HTTP__LISTEN", "127.0.0.1:0")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        let stderr = child.stderr.take().ok_or("the program has no stderr")?;
        let (lines, heard) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if COMPLAINTS.iter().any(|word| line.contains(word)) {
                    eprintln!("rekindle: {line}");
                }
                // Nobody waits for the address any more.
                let _ = lines.send(line);
            }
        });
        let mut this = Self { child, address: String::new() };
        loop {
            let line = heard
                .recv_timeout(Duration::from_mins(1))
                .map_err(|_| "the program did not say where it listens")?;
            if let Some((grpc, _)) = line.strip_prefix("gRPC on ").and_then(|rest| rest.split_once(", HTTP"))
            {
                grpc.clone_into(&mut this.address);
                return Ok(this);
            }
        }
    }

    /// A connection of its own to it.
    pub async fn connect(&self) -> Fallible<Channel> {
        Ok(Endpoint::from_shared(format!("http://{}", self.address))?.connect().await?)
    }

    /// Resident memory now, in MB.
    pub fn resident_mb(&self) -> Fallible<f64> {
        self.status("VmRSS:")
    }

    /// Most resident memory so far, in MB.
    pub fn peak_mb(&self) -> Fallible<f64> {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> Fallible<f64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)).ok_or("no such line in /proc")?;
        let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes / 1_000.0)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
