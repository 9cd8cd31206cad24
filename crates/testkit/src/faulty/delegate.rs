//! Everything but the commit goes straight through.

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::event::{Event, OrderKey};
use rekindle_core::funnel::Funnel;
use rekindle_core::mark::{Mark, MarkKey};
use rekindle_core::scope::Scope;
use rekindle_core::sequence::{Progress, Sequence};
use rekindle_core::value::Properties;
use rekindle_ports::StoreResult;
use rekindle_ports::browse::{ConversationQuery, CustomerQuery, Scanned, SilenceRow, Stream, Tally};
use rekindle_ports::erasure::{Erased, Erasure};
use rekindle_ports::facts::{AttemptFact, FactQuery, RunFact, SilenceFact, StandingFact, TouchFact};
use rekindle_ports::ledger::{
    AttemptRow, Contact, DeliveryKey, DeliveryRow, EndReason, LedgerFilter, RunCrowd, RunEvent, RunKey,
    RunRow,
};
use rekindle_ports::resources::{
    DestinationRow, RequestKind, RequestRow, RunChange, SequenceRow, SuppressionKind, SuppressionRow,
    WorkspaceRow,
};
use rekindle_ports::rows::{
    Claimed, ConversationRow, CustomerRow, FillRow, FunnelRow, JourneyKey, JourneyRow, JourneyWrite, Lease,
    NameKind, RevisionHead, RevisionRow, StoredEvent, TimerAside, TimerDone, TimerKey, TimerSet,
};
use rekindle_ports::store::replays::{Covers, ReplayPlace, ReplayRow};
use rekindle_ports::store::schedules::ScheduleRow;
use rekindle_ports::store::{
    Browse, Catalog, Erase, Facts, Journeys, Marks, Outbox, Replays, Resources, Runs, Schedules, Subjects,
    Timers,
};
use uuid::Uuid;

use super::FaultyTx;

/// Writes an implementation that hands every call to the transaction inside.
macro_rules! delegate {
    ($trait:ident { $(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)* }) => {
        #[async_trait]
        impl $trait for FaultyTx {
            $(async fn $name(&mut self, $($argument: $type),*) -> $answer {
                self.inner.$name($($argument),*).await
            })*
        }
    };
}

delegate!(Catalog {
    fn active_revisions() -> StoreResult<Vec<RevisionHead>>;
    fn revision_by_key(key: i64) -> StoreResult<Option<RevisionRow>>;
    fn revision(funnel: &str, revision: i32) -> StoreResult<Option<RevisionRow>>;
    fn revisions(funnel: &str) -> StoreResult<Vec<RevisionRow>>;
    fn funnel(id: &str) -> StoreResult<Option<FunnelRow>>;
    fn funnels(after: &str, limit: u32) -> StoreResult<Vec<FunnelRow>>;
    fn save_funnel(row: &FunnelRow) -> StoreResult<()>;
    fn publish(head: &RevisionHead, body: &Funnel, stage_map: &BTreeMap<String, String>) -> StoreResult<()>;
    fn delete_funnel(id: &str) -> StoreResult<()>;
    fn fill(revision_key: i64) -> StoreResult<Option<FillRow>>;
    fn running_fills() -> StoreResult<Vec<FillRow>>;
    fn save_fill(fill: &FillRow) -> StoreResult<()>;
    fn subjects_after(customers: bool, after: Option<Uuid>, limit: u32) -> StoreResult<Vec<Uuid>>;
    fn count_subjects(customers: bool) -> StoreResult<i64>;
    fn count_live(funnel: &str) -> StoreResult<i64>;
    fn cancel_live(funnel: &str, except: i64, now: Timestamp) -> StoreResult<()>;
});

delegate!(Subjects {
    fn resolve(kind: NameKind, names: &[(String, Uuid)], now: Timestamp) -> StoreResult<HashMap<String, Uuid>>;
    fn key_of(kind: NameKind, name: &str) -> StoreResult<Option<Uuid>>;
    fn owners_of(conversations: &[Uuid]) -> StoreResult<HashMap<Uuid, Uuid>>;
    fn lock_customers(keys: &[Uuid]) -> StoreResult<Vec<CustomerRow>>;
    fn lock_conversations(keys: &[Uuid]) -> StoreResult<Vec<ConversationRow>>;
    fn lock_free_customers(keys: &[Uuid]) -> StoreResult<Vec<CustomerRow>>;
    fn lock_free_conversations(keys: &[Uuid]) -> StoreResult<Vec<ConversationRow>>;
    fn digests(ids: &[String]) -> StoreResult<HashMap<String, Uuid>>;
    fn insert_events(events: &[StoredEvent]) -> StoreResult<Vec<String>>;
    fn save_customers(rows: &[CustomerRow]) -> StoreResult<()>;
    fn save_conversations(rows: &[ConversationRow]) -> StoreResult<()>;
    fn events_by_id(ids: &[String]) -> StoreResult<Vec<Event>>;
    fn conversation_events(keys: &[Uuid]) -> StoreResult<Vec<(Uuid, Event)>>;
    fn customer_events(keys: &[Uuid]) -> StoreResult<Vec<(Uuid, Event)>>;
    fn returns(kind: NameKind, after: &[(Uuid, Timestamp)]) -> StoreResult<HashMap<(Uuid, Timestamp), Timestamp>>;
    fn attributes(kind: NameKind, keys: &[Uuid]) -> StoreResult<HashMap<Uuid, Properties>>;
    fn attribute_events(keys: &[Uuid]) -> StoreResult<Vec<(Uuid, Event)>>;
    fn conversations_owned(customers: &[Uuid]) -> StoreResult<Vec<Uuid>>;
    fn conversations_unowned(after: Option<Uuid>, limit: u32) -> StoreResult<Vec<Uuid>>;
    fn conversations_of(customer: Uuid, after: Timestamp, limit: u32) -> StoreResult<Vec<Uuid>>;
});

delegate!(Journeys {
    fn load_journeys(revisions: &[i64], subjects: &[Uuid]) -> StoreResult<Vec<JourneyRow>>;
    fn save_journeys(writes: &[JourneyWrite]) -> StoreResult<()>;
    fn retire(keys: &[JourneyKey]) -> StoreResult<()>;
    fn forget(revision: i64, subjects: &[Uuid]) -> StoreResult<()>;
    fn set_timers(timers: &[TimerSet]) -> StoreResult<()>;
});

delegate!(Timers {
    fn claim_timers(bucket: i16, now: Timestamp, lease: &Lease, limit: u32) -> StoreResult<Vec<Claimed<TimerKey>>>;
    fn claim_lost_timer(bucket: i16, now: Timestamp, lease: &Lease) -> StoreResult<Option<Claimed<TimerKey>>>;
    fn set_timer_aside(claim: &Claimed<TimerKey>, reason: &str, now: Timestamp) -> StoreResult<bool>;
    fn timers_aside(limit: u32) -> StoreResult<Vec<TimerAside>>;
    fn hold_timers(claims: &[Claimed<TimerKey>]) -> StoreResult<Vec<TimerKey>>;
    fn finish_timers(done: &[TimerDone]) -> StoreResult<u64>;
});

delegate!(Facts {
    fn attempt_facts(query: &FactQuery) -> StoreResult<Vec<AttemptFact>>;
    fn standing_facts(query: &FactQuery) -> StoreResult<Vec<StandingFact>>;
    fn silence_facts(query: &FactQuery) -> StoreResult<Vec<SilenceFact>>;
    fn run_facts(sequence: &str, from: Option<Timestamp>, until: Option<Timestamp>) -> StoreResult<Vec<RunFact>>;
    fn csat_answers(kind: NameKind, subjects: &[Uuid], after: Timestamp, by: Timestamp) -> StoreResult<Vec<(Uuid, Event)>>;
    fn touches(kind: NameKind, subjects: &[Uuid], from: Timestamp, before: Timestamp) -> StoreResult<Vec<TouchFact>>;
    fn episode_ends(revision: i64) -> StoreResult<HashMap<(Uuid, u32), Timestamp>>;
    fn names(kind: NameKind, keys: &[Uuid]) -> StoreResult<HashMap<Uuid, String>>;
});

delegate!(Marks {
    fn live_journeys(subjects: &[(String, Uuid)]) -> StoreResult<Vec<JourneyRow>>;
    fn insert_marks(marks: &[Mark]) -> StoreResult<Vec<MarkKey>>;
    fn marks_of(subjects: &[Uuid]) -> StoreResult<Vec<Mark>>;
    fn void_marks(keys: &[MarkKey], now: Timestamp) -> StoreResult<()>;
});

delegate!(Runs {
    fn insert_runs(runs: &[RunRow]) -> StoreResult<Vec<Uuid>>;
    fn open_runs(subjects: &[Uuid]) -> StoreResult<Vec<RunRow>>;
    fn run(id: Uuid) -> StoreResult<Option<RunRow>>;
    fn runs(filter: &LedgerFilter, limit: u32) -> StoreResult<Vec<RunRow>>;
    fn end_runs(runs: &[(Uuid, EndReason)], now: Timestamp) -> StoreResult<()>;
    fn reopen_runs(runs: &[Uuid], now: Timestamp) -> StoreResult<Vec<Uuid>>;
    fn claim_runs(bucket: i16, now: Timestamp, lease: &Lease, limit: u32) -> StoreResult<Vec<Claimed<RunKey>>>;
    fn claim_lost_run(bucket: i16, now: Timestamp, lease: &Lease) -> StoreResult<Option<Claimed<RunKey>>>;
    fn holds_run(claim: &Claimed<RunKey>) -> StoreResult<bool>;
    fn runs_by_id(ids: &[Uuid]) -> StoreResult<Vec<RunRow>>;
    fn hold_runs(claims: &[Claimed<RunKey>]) -> StoreResult<Vec<RunRow>>;
    fn release_runs(held: &[(Claimed<RunKey>, RunRow)]) -> StoreResult<Vec<Uuid>>;
    fn pause_runs(runs: &[Uuid], now: Timestamp) -> StoreResult<Vec<Uuid>>;
    fn resume_runs(runs: &[(Uuid, Timestamp)]) -> StoreResult<Vec<Uuid>>;
    fn wake_runs(runs: &[Uuid], now: Timestamp) -> StoreResult<()>;
    fn open_runs_of_customers(customers: &[Uuid]) -> StoreResult<Vec<RunRow>>;
    fn last_runs(sequence: &str, kind: NameKind, subjects: &[Uuid]) -> StoreResult<HashMap<Uuid, Timestamp>>;
    fn count_runs(sequence: &str) -> StoreResult<i64>;
    fn run_crowds(sequence: &str) -> StoreResult<Vec<RunCrowd>>;
    fn move_runs(runs: &[RunRow]) -> StoreResult<()>;
    fn tell_runs(runs: &[(Uuid, Progress)], now: Timestamp) -> StoreResult<()>;
    fn log_run(events: &[RunEvent]) -> StoreResult<()>;
    fn run_log(run: Uuid) -> StoreResult<Vec<RunEvent>>;
});

delegate!(Outbox {
    fn insert_deliveries(deliveries: &[DeliveryRow]) -> StoreResult<u64>;
    fn deliveries_by_id(ids: &[String]) -> StoreResult<Vec<DeliveryRow>>;
    fn delivery(id: &str) -> StoreResult<Option<DeliveryRow>>;
    fn deliveries(filter: &LedgerFilter, limit: u32) -> StoreResult<Vec<DeliveryRow>>;
    fn claim_deliveries(bucket: i16, now: Timestamp, lease: &Lease, limit: u32) -> StoreResult<Vec<Claimed<DeliveryKey>>>;
    fn hold_deliveries(claims: &[Claimed<DeliveryKey>]) -> StoreResult<Vec<DeliveryRow>>;
    fn renew_deliveries(claims: &[Claimed<DeliveryKey>], lease: &Lease) -> StoreResult<Vec<DeliveryKey>>;
    fn save_deliveries(held: &[(Claimed<DeliveryKey>, DeliveryRow)], release: bool) -> StoreResult<Vec<String>>;
    fn decide_delivery(delivery: &DeliveryRow) -> StoreResult<()>;
    fn contacts(customers: &[Uuid], since: Timestamp) -> StoreResult<Vec<Contact>>;
    fn insert_contacts(contacts: &[Contact]) -> StoreResult<()>;
    fn save_attempts(attempts: &[AttemptRow]) -> StoreResult<()>;
    fn attempts_of(deliveries: &[String]) -> StoreResult<HashMap<String, Vec<AttemptRow>>>;
});

delegate!(Resources {
    fn sequence(id: &str) -> StoreResult<Option<SequenceRow>>;
    fn sequences(after: &str, limit: u32) -> StoreResult<Vec<SequenceRow>>;
    fn sequences_of(funnel: &str) -> StoreResult<Vec<SequenceRow>>;
    fn sequences_on_events() -> StoreResult<Vec<SequenceRow>>;
    fn peek_sequence(id: &str) -> StoreResult<Option<SequenceRow>>;
    fn sequence_revision(id: &str, revision: i32) -> StoreResult<Option<Sequence>>;
    fn run_changes(sequence: &str) -> StoreResult<Vec<RunChange>>;
    fn publish_sequence(row: &SequenceRow, change: &RunChange) -> StoreResult<()>;
    fn insert_sequence(row: &SequenceRow) -> StoreResult<()>;
    fn save_sequence(row: &SequenceRow) -> StoreResult<()>;
    fn delete_sequence(id: &str) -> StoreResult<()>;
    fn destination(id: &str) -> StoreResult<Option<DestinationRow>>;
    fn peek_destination(id: &str) -> StoreResult<Option<DestinationRow>>;
    fn destinations(after: &str, limit: u32) -> StoreResult<Vec<DestinationRow>>;
    fn insert_destination(row: &DestinationRow) -> StoreResult<()>;
    fn save_destination(row: &DestinationRow) -> StoreResult<()>;
    fn delete_destination(id: &str) -> StoreResult<()>;
    fn suppressed(entries: &[(SuppressionKind, String)]) -> StoreResult<Vec<SuppressionRow>>;
    fn suppressions(after: Option<&(SuppressionKind, String)>, limit: u32) -> StoreResult<Vec<SuppressionRow>>;
    fn suppress(row: &SuppressionRow) -> StoreResult<bool>;
    fn unsuppress(kind: SuppressionKind, value: &str) -> StoreResult<bool>;
    fn request(kind: RequestKind, id: &str) -> StoreResult<Option<RequestRow>>;
    fn insert_request(row: &RequestRow) -> StoreResult<()>;
    fn workspace() -> StoreResult<WorkspaceRow>;
    fn save_workspace(row: &WorkspaceRow) -> StoreResult<()>;
    fn shared_key(name: &str, fresh: &str) -> StoreResult<String>;
});

delegate!(Schedules {
    fn due_schedules(bucket: i16, now: Timestamp, limit: u32) -> StoreResult<Vec<(Scope, String)>>;
    fn lock_schedule(sequence: &str) -> StoreResult<Option<ScheduleRow>>;
    fn await_schedule(sequence: &str) -> StoreResult<Option<ScheduleRow>>;
    fn save_schedule(row: &ScheduleRow) -> StoreResult<()>;
    fn delete_schedule(sequence: &str) -> StoreResult<()>;
    fn live_subjects(funnel: &str, after: Option<Uuid>, limit: u32) -> StoreResult<Vec<Uuid>>;
});

delegate!(Replays {
    fn replay(id: Uuid) -> StoreResult<Option<ReplayRow>>;
    fn lock_replay(id: Uuid) -> StoreResult<Option<ReplayRow>>;
    fn running_replays() -> StoreResult<Vec<ReplayRow>>;
    fn replays(before: Option<&(Timestamp, Uuid)>, limit: u32) -> StoreResult<Vec<ReplayRow>>;
    fn save_replay(row: &ReplayRow) -> StoreResult<()>;
    fn count_failures(covers: &Covers) -> StoreResult<i64>;
    fn failures(covers: &Covers, place: &ReplayPlace, limit: u32) -> StoreResult<Vec<(Timestamp, String)>>;
});

delegate!(Browse {
    fn list_conversations(query: &ConversationQuery) -> StoreResult<Scanned<ConversationRow>>;
    fn list_customers(query: &CustomerQuery) -> StoreResult<Scanned<CustomerRow>>;
    fn tallies(customers: &[Uuid]) -> StoreResult<HashMap<Uuid, Tally>>;
    fn event_page(stream: Stream, after: Option<&OrderKey>, limit: u32) -> StoreResult<Vec<StoredEvent>>;
    fn stored_event(id: &str) -> StoreResult<Option<StoredEvent>>;
    fn ended_silences(revisions: &[i64], subjects: &[Uuid]) -> StoreResult<Vec<SilenceRow>>;
});

delegate!(Erase {
    fn erase(order: &Erasure) -> StoreResult<Erased>;
});
