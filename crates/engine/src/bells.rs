//! Bells that wake the loops before they would look by themselves.

use rekindle_ports::store::Queue;
use tokio::sync::Notify;

/// One for each loop. They are rung after the commit that gave it something to do.
#[derive(Debug, Default)]
pub(crate) struct Bells {
    timers: Notify,
    schedules: Notify,
    runs: Notify,
    deliveries: Notify,
}

impl Bells {
    /// The bell of a loop.
    pub fn of(&self, queue: Queue) -> &Notify {
        match queue {
            Queue::Timers => &self.timers,
            Queue::Schedules => &self.schedules,
            Queue::Runs => &self.runs,
            Queue::Deliveries => &self.deliveries,
        }
    }

    /// Wakes a loop, if it waits.
    pub fn ring(&self, queue: Queue) {
        self.of(queue).notify_waiters();
    }
}
