//! A `PostgreSQL` server of a test's own, which the test may kill.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A running server with a data directory of its own; stopped when this goes.
#[derive(Debug)]
pub struct OwnServer {
    programs: PathBuf,
    home: TempDir,
    port: u16,
    /// The server refuses to run as root, and then runs as `postgres`.
    as_root: bool,
}

impl OwnServer {
    /// Makes and starts a server; `None` where `PostgreSQL`'s programs are not installed.
    pub fn start() -> Option<Self> {
        let programs = programs()?;
        let home = tempfile::tempdir().expect("a temporary directory");
        let as_root = said(Command::new("id").arg("-u")) == "0";
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let server = Self { programs, home, port, as_root };
        if as_root {
            said(Command::new("chown").arg("postgres").arg(server.home.path()));
        }
        said(server.program("initdb").args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale"]));
        drop(listener);
        server.start_again();
        Some(server)
    }

    /// How to connect to it as its owner.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Ends every process of it at once (SIGQUIT): what was committed is in its log only.
    pub fn kill(&self) {
        said(self.program("pg_ctl").args(["stop", "-s", "-w", "-m", "immediate"]));
    }

    /// Starts it once more, and returns when it has recovered.
    pub fn start_again(&self) {
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c fsync=on -c max_connections=100",
            self.port,
            self.home.path().display()
        );
        let log = self.home.path().join("log");
        said(self.program("pg_ctl").args(["start", "-s", "-w", "-o", &options]).arg("-l").arg(log));
    }

    /// A program of the server, for its data directory.
    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        let mut command = if self.as_root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // The server outlives the command: no pipe of ours must stay open in it.
        command.arg("-D").arg(self.home.path().join("data")).current_dir(self.home.path());
        command
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let mut stop = self.program("pg_ctl");
        // It may be down already.
        let _ = stop.args(["stop", "-s", "-w", "-m", "immediate"]).stderr(Stdio::null()).status();
    }
}

/// Where the newest installed server's programs are.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok().into_iter().flatten().flatten();
    let mut installed: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
        .filter(|(_, programs)| programs.join("initdb").is_file())
        .collect();
    installed.sort();
    let elsewhere = ["/usr/local/pgsql/bin", "/usr/local/bin", "/usr/bin"].map(Path::new);
    let found = elsewhere.into_iter().find(|programs| programs.join("initdb").is_file());
    installed.pop().map(|(_, programs)| programs).or_else(|| found.map(Path::to_path_buf))
}

/// What a command says; panics when it fails.
fn said(command: &mut Command) -> String {
    let errors = tempfile::NamedTempFile::new().expect("a temporary file");
    let said = tempfile::NamedTempFile::new().expect("a temporary file");
    let status = command
        .stdin(Stdio::null())
        .stdout(said.reopen().expect("a file of our own"))
        .stderr(errors.reopen().expect("a file of our own"))
        .status()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let read = |file: &tempfile::NamedTempFile| std::fs::read_to_string(file.path()).unwrap_or_default();
    assert!(status.success(), "{command:?}: {}{}", read(&said), read(&errors));
    read(&said).trim().to_owned()
}
