//! Batches: worked on together, and one by one where that cannot be.

use futures_util::future::BoxFuture;

use super::poison::is_its_fault;
use crate::error::{EngineError, EngineResult};

/// Claims of busy subjects that are waited for after their batch; the others are given back.
const WAITED_FOR: usize = 8;

/// What became of claims.
pub(super) struct Worked<C, T> {
    /// What the work yielded.
    pub done: Vec<T>,
    /// Claims whose subjects somebody else had locked: nothing was done about them.
    pub busy: Vec<C>,
}

/// Works on claims in one transaction; where that fails for a reason of theirs, on each in one of
/// its own. The claim of one that fails even so runs out.
///
/// A batch waits for nobody's locks: it would keep everybody waiting for those that it has. Alone,
/// a claim does wait, and the first of the busy ones have their turn that way, so that a subject
/// that is always busy is not passed over for ever.
pub(super) async fn together<'a, C: Clone, T>(
    claims: Vec<C>,
    work: impl Fn(Vec<C>) -> BoxFuture<'a, EngineResult<Worked<C, T>>>,
    complain: impl Fn(&C, &EngineError),
) -> EngineResult<Worked<C, T>> {
    let mut worked = match work(claims.clone()).await {
        Err(error) if is_its_fault(&error) => {
            let done = match claims.as_slice() {
                [claim] => {
                    complain(claim, &error);
                    Vec::new()
                }
                _ => one_by_one(claims, work, complain).await?,
            };
            return Ok(Worked { done, busy: Vec::new() });
        }
        answer => answer?,
    };
    let rest = worked.busy.split_off(worked.busy.len().min(WAITED_FOR));
    worked.done.extend(one_by_one(worked.busy, work, complain).await?);
    Ok(Worked { busy: rest, ..worked })
}

/// Works on each claim in a transaction of its own, one after the other. One that fails for a reason
/// of its own is complained of, and costs only itself.
pub(super) async fn one_by_one<'a, C: Clone, T>(
    claims: Vec<C>,
    work: impl Fn(Vec<C>) -> BoxFuture<'a, EngineResult<Worked<C, T>>>,
    complain: impl Fn(&C, &EngineError),
) -> EngineResult<Vec<T>> {
    let mut done = Vec::new();
    for claim in claims {
        match work(vec![claim.clone()]).await {
            Err(error) if is_its_fault(&error) => complain(&claim, &error),
            answer => done.extend(answer?.done),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Works on numbers: fails for 13, finds multiples of ten busy unless they are alone.
    async fn work_on(claims: Vec<u32>) -> (Vec<u32>, Vec<u32>, Vec<u32>, usize) {
        let (calls, complaints) = (Mutex::new(0), Mutex::new(Vec::new()));
        let work = |claims: Vec<u32>| -> BoxFuture<'static, EngineResult<Worked<u32, u32>>> {
            *calls.lock().expect("no panic") += 1;
            Box::pin(async move {
                if claims.contains(&13) {
                    return Err(EngineError::Panicked("thirteen".into()));
                }
                let alone = claims.len() == 1;
                let (busy, done) = claims.into_iter().partition(|claim| !alone && claim % 10 == 0);
                Ok(Worked { done, busy })
            })
        };
        let complain = |claim: &u32, _: &EngineError| complaints.lock().expect("no panic").push(*claim);
        let Worked { done, busy } = together(claims, work, complain).await.expect("others are not to blame");
        (done, busy, complaints.into_inner().expect("no panic"), calls.into_inner().expect("no panic"))
    }

    #[tokio::test]
    async fn what_cannot_be_done_together_is_done_one_by_one() {
        assert_eq!(work_on(vec![1, 2, 3]).await, (vec![1, 2, 3], vec![], vec![], 1));
        assert_eq!(work_on(vec![1, 13, 3]).await, (vec![1, 3], vec![], vec![13], 4));
        assert_eq!(work_on(vec![13]).await, (vec![], vec![], vec![13], 1));
    }

    #[tokio::test]
    async fn the_first_of_the_busy_are_waited_for_and_the_rest_handed_back() {
        let (done, busy, ..) = work_on((100..200).collect()).await;
        assert_eq!(done[90..], [100, 110, 120, 130, 140, 150, 160, 170]);
        assert_eq!(busy, [180, 190]);
    }
}
