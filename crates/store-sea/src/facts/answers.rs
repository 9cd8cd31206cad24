//! What customers answered when they were asked how satisfied they are.

use rekindle_core::Timestamp;
use rekindle_core::event::{CSAT_ANSWER, Event};
use rekindle_ports::StoreResult;
use rekindle_ports::rows::NameKind;
use uuid::Uuid;

use crate::probe::Probe;
use crate::sql::{Kind, Source};
use crate::store::SeaTx;
use crate::subjects::{in_order, keys};

impl SeaTx {
    pub(super) async fn read_csat_answers(
        &self,
        kind: NameKind,
        subjects: &[Uuid],
        after: Timestamp,
        by: Timestamp,
    ) -> StoreResult<Vec<(Uuid, Event)>> {
        let in_time =
            format!("AND kind = '{CSAT_ANSWER}' AND effective_at > {} AND effective_at <= {}", after.0, by.0);
        match kind {
            NameKind::Conversation => self.answers_in("conversation", subjects, &in_time).await,
            NameKind::Customer => self.answers_of_customers(subjects, &in_time).await,
        }
    }

    /// Those in conversations of the customers, and those in none.
    async fn answers_of_customers(
        &self,
        customers: &[Uuid],
        in_time: &str,
    ) -> StoreResult<Vec<(Uuid, Event)>> {
        let owners = self.owned_by(customers).await?;
        let conversations: Vec<Uuid> = owners.keys().copied().collect();
        let mut answers = self.answers_in("conversation", &conversations, in_time).await?;
        for (subject, _) in &mut answers {
            *subject = owners[subject];
        }
        let in_none = format!("{in_time} AND conversation IS NULL");
        answers.extend(self.answers_in("customer", customers, &in_none).await?);
        answers.sort_by(|(_, a), (_, b)| in_order(a, b));
        Ok(answers)
    }

    async fn answers_in(
        &self,
        column: &'static str,
        subjects: &[Uuid],
        and: &str,
    ) -> StoreResult<Vec<(Uuid, Event)>> {
        let Source { select, values } = self.source(&[(column, Kind::Uuid)], &keys(subjects), 1);
        let columns = format!("{}, {column} AS subject", self.event_columns());
        let answers = Probe { columns: &columns, table: "events", by: &[column], and };
        self.subject_events(&self.probe(&answers, &select), values).await
    }
}
