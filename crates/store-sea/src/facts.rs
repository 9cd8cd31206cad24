//! Raw rows of figures in SQL.

use std::collections::HashMap;
use std::fmt::Write;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::event::{Event, OrderKey};
use rekindle_core::fold::Journey;
use rekindle_core::fold::attempt::Entry;
use rekindle_core::fold::passage::{Passages, Standing};
use rekindle_core::fold::silence::EndedBy;
use rekindle_core::funnel::{Property, PropertyScope};
use rekindle_core::value::Value;
use rekindle_ports::StoreResult;
use rekindle_ports::facts::{AttemptFact, FactQuery, Reading, RunFact, SilenceFact, StandingFact, TouchFact};
use rekindle_ports::rows::NameKind;
use rekindle_ports::store::Facts;
use sea_orm::{DatabaseBackend, QueryResult};
use uuid::Uuid;

use crate::codes::Code;
use crate::filter::{Filter, Joins};
use crate::probe::Probe;
use crate::sql::Source;
use crate::store::{SeaTx, get, get_json};
use crate::subjects::{instant, keys};

mod answers;
mod runs;
mod touches;

#[async_trait]
impl Facts for SeaTx {
    async fn attempt_facts(&mut self, query: &FactQuery) -> StoreResult<Vec<AttemptFact>> {
        let mut values = Vec::new();
        let groups = self.group_columns(&query.groups, &mut values);
        let filter = Filter::new(self.backend, query.filter.as_ref(), &mut values);
        let joins = Joins {
            entry: "a.start_event",
            subject: "a.subject",
            customer: "a.customer",
            all_entered: true,
            wanted: query.groups.iter().any(|group| !matches!(group, Reading::Declared(_)))
                || filter.is_some(),
        };
        let mut sql = format!(
            "SELECT a.subject, a.customer, a.start_at, a.start_sequence, a.start_event, a.entered, a.voided_at, \
             a.episode, a.chained, a.entry_values{groups}{} FROM attempts a {} \
             WHERE {} AND a.revision = {} AND a.start_at <= {}",
            filter.columns(),
            joins.sql(self),
            self.here_in("a."),
            query.revision,
            query.as_of.0
        );
        if let Some(from) = query.from {
            let _ = write!(sql, " AND a.start_at >= {}", from.0);
        }
        if let Some(until) = query.until {
            let _ = write!(sql, " AND a.start_at < {}", until.0);
        }
        sql += &filter.condition();
        let rows = self.all(&sql, values).await?;
        let mut facts = Vec::with_capacity(rows.len());
        for row in &rows {
            if filter.passes(row)? {
                facts.push(attempt(row, &query.groups)?);
            }
        }
        // Cheaper here than there, where it would not fit into what a sort may take.
        facts.sort_unstable_by(|a, b| (a.subject, &a.start).cmp(&(b.subject, &b.start)));
        Ok(facts)
    }

    async fn standing_facts(&mut self, query: &FactQuery) -> StoreResult<Vec<StandingFact>> {
        let mut values = Vec::new();
        let filter = Filter::new(self.backend, query.filter.as_ref(), &mut values);
        let joins = Joins {
            entry: "j.entry_event",
            subject: "j.subject",
            customer: "j.customer",
            all_entered: false,
            wanted: filter.is_some(),
        };
        let sql = format!(
            "SELECT j.subject, j.customer, j.first_at, j.place, j.entered_at, j.moved_at, j.completed, j.ended, \
             CASE WHEN j.last_at > {as_of} THEN j.passages END AS passages{} FROM journeys j {} \
             WHERE {} AND j.revision = {} AND j.first_at <= {as_of}{}",
            filter.columns(),
            joins.sql(self),
            self.here_in("j."),
            query.revision,
            filter.condition(),
            as_of = query.as_of.0
        );
        let rows = self.all(&sql, values).await?;
        let mut facts = Vec::with_capacity(rows.len());
        for row in &rows {
            if filter.passes(row)? {
                facts.push(standing(row)?);
            }
        }
        Ok(facts)
    }

    async fn silence_facts(&mut self, query: &FactQuery) -> StoreResult<Vec<SilenceFact>> {
        let here = self.here();
        let (revision, as_of) = (query.revision, query.as_of.0);
        let sql = format!(
            "SELECT subject, place, since, stall_at, abandon_at, until_at, ended_by FROM silences \
             WHERE {here} AND revision = {revision} AND (stall_at <= {as_of} OR abandon_at <= {as_of}) \
             UNION ALL \
             SELECT subject, place, open_since, open_stall_at, open_abandon_at, NULL, NULL FROM journeys \
             WHERE {here} AND revision = {revision} AND (open_stall_at <= {as_of} OR open_abandon_at <= {as_of})"
        );
        self.all(&sql, Vec::new()).await?.iter().map(silence).collect()
    }

    async fn episode_ends(&mut self, revision: i64) -> StoreResult<HashMap<(Uuid, u32), Timestamp>> {
        let sql =
            format!("SELECT subject, state FROM journeys WHERE {} AND revision = {revision}", self.here());
        let mut ends = HashMap::new();
        for row in self.all(&sql, Vec::new()).await? {
            let subject: Uuid = get(&row, "journeys", "subject")?;
            let journey: Journey = get_json(&row, "journeys", "state")?;
            for (episode, start) in journey.episode_starts.iter().enumerate() {
                ends.insert((subject, episode as u32), *start);
            }
        }
        Ok(ends)
    }

    async fn run_facts(
        &mut self,
        sequence: &str,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> StoreResult<Vec<RunFact>> {
        self.read_run_facts(sequence, from, until).await
    }

    async fn csat_answers(
        &mut self,
        kind: NameKind,
        subjects: &[Uuid],
        after: Timestamp,
        by: Timestamp,
    ) -> StoreResult<Vec<(Uuid, Event)>> {
        self.read_csat_answers(kind, subjects, after, by).await
    }

    async fn touches(
        &mut self,
        kind: NameKind,
        subjects: &[Uuid],
        from: Timestamp,
        before: Timestamp,
    ) -> StoreResult<Vec<TouchFact>> {
        self.read_touches(kind, subjects, from, before).await
    }

    async fn names(&mut self, kind: NameKind, wanted: &[Uuid]) -> StoreResult<HashMap<Uuid, String>> {
        let table = match kind {
            NameKind::Customer => "customers",
            NameKind::Conversation => "conversations",
        };
        let Source { select, values } = self.source(&[("key", crate::sql::Kind::Uuid)], &keys(wanted), 1);
        let names = Probe { columns: "key, name", table, by: &["key"], and: "" };
        let rows = self.all(&self.probe(&names, &select), values).await?;
        rows.iter().map(|row| Ok((get(row, table, "key")?, get(row, table, "name")?))).collect()
    }
}

impl SeaTx {
    /// `, … AS g0, … AS g1`: values of properties as JSON text.
    fn group_columns(&self, groups: &[Reading], values: &mut Vec<sea_orm::Value>) -> String {
        let mut columns = String::new();
        for (place, group) in groups.iter().enumerate() {
            let (Reading::OnEntryEvent(property) | Reading::Now(property)) = group else {
                continue;
            };
            values.push(property.key.clone().into());
            let json = json_at(self.backend, column_of(property), &self.bind(values.len()));
            let _ = write!(columns, ", {json} AS g{place}");
        }
        columns
    }
}

/// The JSON column that holds a property, by the aliases of [`Joins`].
fn column_of(property: &Property) -> &'static str {
    match property.scope {
        PropertyScope::Event => "e.properties",
        PropertyScope::Conversation => "c.attributes",
        PropertyScope::Customer => "u.attributes",
    }
}

/// One value of a JSON object as JSON text, or NULL.
fn json_at(backend: DatabaseBackend, column: &str, key: &str) -> String {
    match backend {
        DatabaseBackend::Postgres => format!("({column} -> {key})::text"),
        _ => format!(
            "(SELECT CASE WHEN j.type IN ('object', 'array', 'true', 'false') \
             THEN CASE j.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE j.value END \
             ELSE json_quote(j.value) END FROM json_each({column}) j WHERE j.key = {key})"
        ),
    }
}

fn attempt(row: &QueryResult, groups: &[Reading]) -> StoreResult<AttemptFact> {
    const T: &str = "attempts";
    let entered: Vec<Option<Entry>> = get_json(row, T, "entered")?;
    let declared: Vec<String> = get_json(row, T, "entry_values")?;
    let episode: i32 = get(row, T, "episode")?;
    let values = groups.iter().enumerate().map(|(place, group)| match group {
        Reading::Declared(at) => Ok(declared.get(*at).cloned().unwrap_or_default()),
        Reading::OnEntryEvent(_) | Reading::Now(_) => {
            let json: Option<String> = row.try_get("", &format!("g{place}")).unwrap_or_default();
            let value = json.and_then(|json| serde_json::from_str::<Value>(&json).ok());
            Ok(value.map(|value| value.as_text_key()).unwrap_or_default())
        }
    });
    Ok(AttemptFact {
        subject: get(row, T, "subject")?,
        customer: get(row, T, "customer")?,
        start: OrderKey {
            at: Timestamp(get(row, T, "start_at")?),
            sequence: get(row, T, "start_sequence")?,
            id: get(row, T, "start_event")?,
        },
        entered: entered.into_iter().map(|entry| entry.map(|entry| entry.0)).collect(),
        voided_at: instant(row, T, "voided_at")?,
        episode: episode as u32,
        chained: get(row, T, "chained")?,
        values: values.collect::<StoreResult<_>>()?,
    })
}

fn standing(row: &QueryResult) -> StoreResult<StandingFact> {
    const T: &str = "journeys";
    let place: Option<i16> = get(row, T, "place")?;
    let passages: Option<String> = get(row, T, "passages")?;
    let passages: Option<Passages> = match passages {
        Some(_) => Some(get_json(row, T, "passages")?),
        None => None,
    };
    Ok(StandingFact {
        subject: get(row, T, "subject")?,
        customer: get(row, T, "customer")?,
        first_at: Timestamp(get(row, T, "first_at")?),
        standing: Standing {
            place: place.map(|place| place as usize),
            entered_at: instant(row, T, "entered_at")?,
            moved_at: instant(row, T, "moved_at")?,
            completed: get(row, T, "completed")?,
            ended: get(row, T, "ended")?,
        },
        passages,
    })
}

fn silence(row: &QueryResult) -> StoreResult<SilenceFact> {
    const T: &str = "silences";
    let place: i16 = get(row, T, "place")?;
    let ended_by: Option<i16> = get(row, T, "ended_by")?;
    Ok(SilenceFact {
        subject: get(row, T, "subject")?,
        place: place as usize,
        since: Timestamp(get(row, T, "since")?),
        stall_at: instant(row, T, "stall_at")?,
        abandon_at: instant(row, T, "abandon_at")?,
        until: instant(row, T, "until_at")?,
        ended_by: ended_by.and_then(|code| EndedBy::from_code(code.into())),
    })
}
