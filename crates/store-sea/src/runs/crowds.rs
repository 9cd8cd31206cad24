//! Open runs of a sequence, counted by where they stand.

use rekindle_ports::StoreResult;
use rekindle_ports::ledger::{RunCrowd, RunState};
use sea_orm::{DatabaseBackend, QueryResult};

use super::T;
use crate::codes::Code;
use crate::store::{SeaTx, get, get_json};

pub(super) async fn count(tx: &SeaTx, sequence: &str) -> StoreResult<Vec<RunCrowd>> {
    let at = |path: &[&str]| remembered(tx.backend, path);
    let [delivery, rule, moment, leave] =
        ["delivery", "rule", "moment", "leave"].map(|kind| at(&["awaits", kind, "step"]));
    let sql = format!(
        "SELECT sequence_revision, step, MIN(progress) AS progress, COUNT(*) AS crowd \
         FROM {} WHERE {} AND sequence = {} AND state = {} \
         GROUP BY sequence_revision, step, ({} IS NULL), {delivery}, COALESCE({rule}, {moment}, {leave})",
        with_memory(tx.backend),
        tx.here(),
        tx.bind(1),
        RunState::Running.code(),
        at(&["steps"])
    );
    tx.all(&sql, vec![sequence.into()]).await?.iter().map(crowd).collect()
}

/// Runs, beside what they remember in a form that can be searched; see [`remembered`].
///
/// On `PostgreSQL` it is read once for each row (`OFFSET 0` keeps it from being written out for every
/// use), with another character in the place of NUL, which has no form there.
fn with_memory(backend: DatabaseBackend) -> &'static str {
    match backend {
        DatabaseBackend::Postgres => {
            "runs, LATERAL (SELECT REPLACE(runs.progress, '\\u0000', '\\u0001')::jsonb AS memory OFFSET 0) AS m"
        }
        _ => "runs",
    }
}

/// The text at a path in what runs remember; a part of a statement over [`with_memory`].
fn remembered(backend: DatabaseBackend, path: &[&str]) -> String {
    match backend {
        DatabaseBackend::Postgres => format!("memory #>> '{{{}}}'", path.join(",")),
        _ => format!("json_extract(progress, '$.{}')", path.join(".")),
    }
}

fn crowd(row: &QueryResult) -> StoreResult<RunCrowd> {
    Ok(RunCrowd {
        revision: get(row, T, "sequence_revision")?,
        step: get(row, T, "step")?,
        progress: get_json(row, T, "progress")?,
        count: get(row, T, "crowd")?,
    })
}
