//! The program as a process: started, listened to, signalled, killed.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::surroundings::until;

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_rekindle");
/// Lines of stderr that a failed test shows.
const SHOWN: usize = 40;

/// A running process of the program; killed when this goes.
pub struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

/// What a process that ended has left.
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Process {
    /// Starts the program with these arguments and nothing in its environment but `settings`.
    pub fn spawn(arguments: &[&str], settings: &[(String, String)]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .env_clear()
            .envs(settings.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program that was built for this test starts");
        let stdout = Lines::of(child.stdout.take());
        let stderr = Lines::of(child.stderr.take());
        Self { child, stdout, stderr }
    }

    /// The line of stderr that `find` picks, once there is one; panics when the process ends without it.
    pub async fn says<T>(&mut self, what: &str, within: Duration, find: impl Fn(&str) -> Option<T>) -> T {
        let found = self.says_unless_it_ends(what, within, find).await;
        found.unwrap_or_else(|| panic!("{what}: the program ended with {:?}", self.ended()))
    }

    /// The same; `None` when the process ends without it.
    pub async fn says_unless_it_ends<T>(
        &mut self,
        what: &str,
        within: Duration,
        find: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        until(what, within, async || {
            let ended = self.ended().is_some();
            let found = self.stderr.lines().iter().find_map(|line| find(line));
            (found.is_some() || ended).then_some(found)
        })
        .await
    }

    /// Its number among the processes of the machine.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How many lines of stderr contain a text.
    pub fn count(&self, text: &str) -> usize {
        self.stderr.lines().iter().filter(|line| line.contains(text)).count()
    }

    /// The sum of a field of the log, over the lines that contain a text.
    pub fn sum(&self, text: &str, field: &str) -> usize {
        let marker = format!(" {field}=");
        let value = |line: &String| line.split_once(&marker)?.1.split(' ').next()?.parse::<usize>().ok();
        self.stderr.lines().iter().filter(|line| line.contains(text)).filter_map(value).sum()
    }

    /// Sends a signal by its name: `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", r#"kill -s "$0" "$1""#, name, &self.child.id().to_string()])
            .status()
            .expect("a shell");
        assert!(sent.success(), "{name} could not be sent");
    }

    /// Kills it without a word, and waits until it is gone.
    pub fn kill(mut self) {
        self.end();
    }

    /// Waits until it ends by itself.
    pub async fn exit(&mut self, within: Duration) -> ExitStatus {
        until("the program ends", within, async || self.ended()).await
    }

    /// Waits until it ends by itself; what it left.
    pub async fn finish(mut self, within: Duration) -> Finished {
        let status = self.exit(within).await;
        let (stdout, stderr) = (self.stdout.whole(), self.stderr.whole());
        Finished { code: status.code(), stdout, stderr }
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours can be waited for")
    }

    fn end(&mut self) {
        if self.ended().is_none() {
            self.child.kill().expect("a child of ours can be killed");
            self.child.wait().expect("a child of ours can be waited for");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            let lines = self.stderr.lines();
            let shown = &lines[lines.len().saturating_sub(SHOWN)..];
            eprintln!("the program (process {}) last said:\n{}", self.child.id(), shown.join("\n"));
        }
    }
}

/// What comes through a pipe, line by line.
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Lines {
    fn of(pipe: Option<impl Read + Send + 'static>) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        let reader = pipe.map(|pipe| {
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    into.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            })
        });
        Self { lines, reader }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything, once the other end is closed.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading a pipe does not panic");
        }
        self.lines().join("\n")
    }
}
