//! Which journey of a funnel and subject is live: has a timer, is marked and starts runs.

use rekindle_core::fold::Silence;
use rekindle_core::fold::passage::Standing;
use rekindle_ports::rows::{JourneyKey, JourneyWrite, LivePolicy};

use crate::revisions::ActiveRevision;

/// A journey that was folded.
pub(super) struct Folded<'a> {
    pub revision: &'a ActiveRevision,
    pub write: JourneyWrite,
    /// The silence that was open before.
    pub before: Option<Silence>,
}

/// A live journey of an older revision that had nothing to fold.
pub(super) struct Resting {
    pub funnel: String,
    pub key: JourneyKey,
    pub standing: Standing,
}

/// Sees to it that exactly one journey of a funnel and subject is live; returns those that are not any more.
pub(super) fn settle_live(folded: &mut [Folded<'_>], resting: &[Resting]) -> Vec<JourneyKey> {
    let mut retired = Vec::new();
    for place in 0..folded.len() {
        let head = &folded[place].revision.head;
        if !head.is_latest {
            continue;
        }
        let (funnel, policy, published_at) = (head.funnel.clone(), head.policy, head.published_at);
        let is_older = |one: &Folded<'_>| {
            one.revision.head.funnel == funnel && !one.revision.head.is_latest && one.write.row.live
        };
        let older = folded.iter().position(is_older);
        let older_standing = older
            .map(|older| (folded[older].write.row.key, folded[older].write.standing))
            .or_else(|| resting.iter().find(|one| one.funnel == funnel).map(|one| (one.key, one.standing)));
        let latest = &mut folded[place].write;
        if let Some((key, standing)) = older_standing {
            let is_over = standing.completed || standing.ended || standing.place.is_none();
            if is_over || policy == LivePolicy::Migrate {
                latest.row.live = true;
                retired.push(key);
                if let Some(older) = older {
                    folded[older].write.row.live = false;
                }
            }
        } else if !latest.existed {
            // What was live before a cancelling revision is not live again in it.
            let began_after = latest.row.journey.first_at.is_none_or(|first| first >= published_at);
            latest.row.live = policy != LivePolicy::Cancel || began_after;
        }
    }
    retired
}
