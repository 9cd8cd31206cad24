//! Messages that customers got, whatever sequence sent them.

use rekindle_core::Timestamp;
use rekindle_ports::StoreResult;
use rekindle_ports::facts::TouchFact;
use rekindle_ports::ledger::DeliveryState;
use rekindle_ports::rows::NameKind;
use sea_orm::QueryResult;
use uuid::Uuid;

use crate::codes::Code;
use crate::probe::Probe;
use crate::sql::{Kind, Source};
use crate::store::{SeaTx, get};
use crate::subjects::keys;

const T: &str = "deliveries";

impl SeaTx {
    pub(super) async fn read_touches(
        &self,
        kind: NameKind,
        subjects: &[Uuid],
        from: Timestamp,
        before: Timestamp,
    ) -> StoreResult<Vec<TouchFact>> {
        // By their runs, which are found by whose they are; deliveries alone are not.
        let column = match kind {
            NameKind::Customer => "customer",
            NameKind::Conversation => "conversation",
        };
        let Source { select, values } = self.source(&[(column, Kind::Uuid)], &keys(subjects), 1);
        let columns = format!("{column} AS subject, id AS run, sequence");
        let and = format!("AND {column} IS NOT NULL AND created_at < {}", before.0);
        let runs = Probe { columns: &columns, table: "runs", by: &[column], and: &and };
        let sql = format!(
            "SELECT r.subject, r.sequence, d.step, d.ended_at FROM ({}) AS r JOIN deliveries d ON {} AND d.run = r.run \
             WHERE NOT d.internal AND d.state = {} AND d.ended_at >= {} AND d.ended_at < {} ORDER BY d.ended_at, d.id",
            self.probe(&runs, &select),
            self.here_in("d."),
            DeliveryState::Delivered.code(),
            from.0,
            before.0
        );
        self.all(&sql, values).await?.iter().map(touch).collect()
    }
}

fn touch(row: &QueryResult) -> StoreResult<TouchFact> {
    Ok(TouchFact {
        subject: get(row, T, "subject")?,
        at: Timestamp(get(row, T, "ended_at")?),
        sequence: get(row, T, "sequence")?,
        step: get(row, T, "step")?,
    })
}
