//! Calls that wait to be committed, taken out in groups.

use std::collections::HashSet;

use tokio::sync::mpsc::UnboundedReceiver;

use super::committer::Job;

/// What waits in a lane.
#[derive(Debug)]
pub(super) struct Queue {
    arriving: UnboundedReceiver<Job>,
    /// The job that came next and did not fit the group before it.
    held: Option<Job>,
    group_size: usize,
}

impl Queue {
    /// The jobs of a channel, in groups of about `group_size` events.
    pub fn new(arriving: UnboundedReceiver<Job>, group_size: usize) -> Self {
        Self { arriving, held: None, group_size }
    }

    /// The jobs that wait now, as far as they fit together: one workspace, no id twice; `None` when
    /// nobody can hand over any more.
    pub async fn next_group(&mut self) -> Option<Vec<Job>> {
        let first = match self.held.take() {
            Some(job) => job,
            None => self.arriving.recv().await?,
        };
        let mut ids: HashSet<String> = ids(&first).collect();
        let mut group = vec![first];
        while ids.len() < self.group_size {
            let Ok(job) = self.arriving.try_recv() else {
                break;
            };
            if job.scope != group[0].scope || job.events.iter().any(|event| ids.contains(&event.id)) {
                self.held = Some(job);
                break;
            }
            ids.extend(self::ids(&job));
            group.push(job);
        }
        Some(group)
    }
}

fn ids(job: &Job) -> impl Iterator<Item = String> {
    job.events.iter().map(|event| event.id.clone())
}
