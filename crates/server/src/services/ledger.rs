//! Lists of what was done, the newest first, some of it passed over.

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;

use crate::status::ApiError;

/// A place in a list: when the entry was created, and its id.
pub type Newest = (Timestamp, String);

/// Rows asked for at once while some of them are passed over.
const AT_ONCE: u32 = 1_000;

/// Collects up to `most` entries that pass, after a place in the list.
pub async fn gather<V>(
    most: u32,
    mut after: Option<Newest>,
    fetch: impl Fn(Option<Newest>, u32) -> BoxFuture<'static, Result<Vec<V>, ApiError>>,
    place: impl Fn(&V) -> Newest,
    passes: impl Fn(&V) -> bool,
) -> Result<Vec<V>, ApiError> {
    let mut found = Vec::new();
    let mut limit = most;
    loop {
        let rows = fetch(after.clone(), limit).await?;
        let is_last = rows.len() < limit as usize;
        after = rows.last().map(&place);
        found.extend(rows.into_iter().filter(&passes));
        if is_last || found.len() >= most as usize {
            found.truncate(most as usize);
            return Ok(found);
        }
        // Few of them pass: the next look is a wide one.
        limit = AT_ONCE.max(most);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn entries_that_do_not_pass_are_passed_over_until_the_page_is_full() {
        let rows: Vec<i64> = (0..5_000).rev().collect();
        let place = |row: &i64| (Timestamp(*row), row.to_string());
        let fetch = |before: Option<Newest>, limit: u32| {
            let before = before.map_or(i64::MAX, |(at, _)| at.0);
            let page = rows.iter().copied().filter(|row| *row < before).take(limit as usize).collect();
            std::future::ready(Ok(page)).boxed()
        };
        let every_thousandth = |row: &i64| row % 1_000 == 0;
        let page = gather(3, None, &fetch, place, every_thousandth).await.expect("no refusal");
        assert_eq!(page, [4_000, 3_000, 2_000]);
        let rest = gather(3, Some(place(&2_000)), &fetch, place, every_thousandth).await.expect("no refusal");
        assert_eq!(rest, [1_000, 0]);
    }
}
