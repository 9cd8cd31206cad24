//! How much memory the service has, seen from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::process::Process;

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(100);

/// Memory over time, in bytes resident.
#[derive(Debug, Clone, Copy)]
pub struct Resident {
    /// At first.
    pub before: u64,
    /// At most.
    pub most: u64,
    /// At last.
    pub after: u64,
}

/// Watches a process's memory.
pub struct Memory {
    process: u32,
    before: u64,
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    watcher: Option<JoinHandle<()>>,
}

impl Memory {
    /// Watches from now on.
    pub fn watch(process: &Process) -> Self {
        let process = process.id();
        let before = resident(process);
        let (most, stop) = (Arc::new(AtomicU64::new(before)), Arc::new(AtomicBool::new(false)));
        let (seen, stopped) = (Arc::clone(&most), Arc::clone(&stop));
        let watcher = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                seen.fetch_max(resident(process), Ordering::Relaxed);
                std::thread::sleep(LOOK);
            }
        });
        Self { process, before, most, stop, watcher: Some(watcher) }
    }

    /// What was seen so far.
    pub fn most(&self) -> Resident {
        let after = resident(self.process);
        let most = self.most.fetch_max(after, Ordering::Relaxed).max(after);
        Resident { before: self.before, most, after }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(watcher) = self.watcher.take() {
            watcher.join().expect("looking does not panic");
        }
    }
}

/// Bytes of a process that are in memory now; 0 when it is gone.
pub fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() * 1_024
}

#[test]
fn this_process_is_in_memory() {
    assert!(resident(std::process::id()) > 1_000_000);
}
