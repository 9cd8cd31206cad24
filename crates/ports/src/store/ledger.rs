//! Marks, runs and deliveries in the store.

use std::collections::HashMap;

use async_trait::async_trait;
use rekindle_core::Timestamp;
use rekindle_core::mark::{Mark, MarkKey};
use rekindle_core::sequence::Progress;
use uuid::Uuid;

use crate::error::StoreResult;
use crate::ledger::{
    AttemptRow, Contact, DeliveryKey, DeliveryRow, EndReason, LedgerFilter, RunCrowd, RunEvent, RunKey,
    RunRow,
};
use crate::rows::{Claimed, JourneyRow, Lease, NameKind};

/// The detector's ledger.
#[async_trait]
pub trait Marks {
    /// The live journeys of these subjects.
    async fn live_journeys(&mut self, subjects: &[(String, Uuid)]) -> StoreResult<Vec<JourneyRow>>;

    /// Inserts marks, each of another silence; returns the keys of those that were not there. One that
    /// was taken back because its silence comes due at another instant is there no more.
    async fn insert_marks(&mut self, marks: &[Mark]) -> StoreResult<Vec<MarkKey>>;

    /// Marks of subjects (of all funnels), oldest first.
    async fn marks_of(&mut self, subjects: &[Uuid]) -> StoreResult<Vec<Mark>>;

    /// Notes that late events took these marks back.
    async fn void_marks(&mut self, keys: &[MarkKey], now: Timestamp) -> StoreResult<()>;
}

/// Runs.
#[async_trait]
pub trait Runs {
    /// Inserts runs, one for each sequence and mark; returns the ids of those that were not there.
    async fn insert_runs(&mut self, runs: &[RunRow]) -> StoreResult<Vec<Uuid>>;

    /// Runs that go on, of these subjects.
    async fn open_runs(&mut self, subjects: &[Uuid]) -> StoreResult<Vec<RunRow>>;

    /// Runs that go on, about these customers or their conversations.
    async fn open_runs_of_customers(&mut self, customers: &[Uuid]) -> StoreResult<Vec<RunRow>>;

    /// When each of these subjects last had a run of a sequence that began.
    async fn last_runs(
        &mut self,
        sequence: &str,
        kind: NameKind,
        subjects: &[Uuid],
    ) -> StoreResult<HashMap<Uuid, Timestamp>>;

    /// A run.
    async fn run(&mut self, id: Uuid) -> StoreResult<Option<RunRow>>;

    /// Runs that pass, newest first.
    async fn runs(&mut self, filter: &LedgerFilter, limit: u32) -> StoreResult<Vec<RunRow>>;

    /// Number of runs of a sequence that go on.
    async fn count_runs(&mut self, sequence: &str) -> StoreResult<i64>;

    /// Runs of a sequence that go on, counted by where they stand: one answer for each place in which
    /// there are any, in no order.
    async fn run_crowds(&mut self, sequence: &str) -> StoreResult<Vec<RunCrowd>>;

    /// Ends runs: whoever holds them writes nothing more. Their scheduled deliveries are
    /// cancelled, those being sent are noted as overtaken.
    async fn end_runs(&mut self, runs: &[(Uuid, EndReason)], now: Timestamp) -> StoreResult<()>;

    /// Lets runs that failed go on at once, where they stood: whoever held them writes nothing more.
    /// Returns those that this changed.
    async fn reopen_runs(&mut self, runs: &[Uuid], now: Timestamp) -> StoreResult<Vec<Uuid>>;

    /// Claims runs of a bucket that are due and that nobody claimed before without giving them back.
    async fn claim_runs(
        &mut self,
        bucket: i16,
        now: Timestamp,
        lease: &Lease,
        limit: u32,
    ) -> StoreResult<Vec<Claimed<RunKey>>>;

    /// Claims one due run of a bucket whose claim ran out, and counts that.
    async fn claim_lost_run(
        &mut self,
        bucket: i16,
        now: Timestamp,
        lease: &Lease,
    ) -> StoreResult<Option<Claimed<RunKey>>>;

    /// Whether a claim still holds; its row locked, whatever it says.
    async fn holds_run(&mut self, claim: &Claimed<RunKey>) -> StoreResult<bool>;

    /// These runs, as far as they exist.
    async fn runs_by_id(&mut self, ids: &[Uuid]) -> StoreResult<Vec<RunRow>>;

    /// The runs of claims that still hold, their rows locked in the order of their ids.
    async fn hold_runs(&mut self, claims: &[Claimed<RunKey>]) -> StoreResult<Vec<RunRow>>;

    /// Writes held runs and gives them back; returns those whose claims still held.
    async fn release_runs(&mut self, held: &[(Claimed<RunKey>, RunRow)]) -> StoreResult<Vec<Uuid>>;

    /// Holds running runs; returns those that this changed. Whoever works on them writes nothing more.
    async fn pause_runs(&mut self, runs: &[Uuid], now: Timestamp) -> StoreResult<Vec<Uuid>>;

    /// Lets runs that are held go on, each at an instant; returns those that this changed.
    async fn resume_runs(&mut self, runs: &[(Uuid, Timestamp)]) -> StoreResult<Vec<Uuid>>;

    /// Lets runs that await a delivery and that nobody holds go on.
    async fn wake_runs(&mut self, runs: &[Uuid], now: Timestamp) -> StoreResult<()>;

    /// Lets runs that wait know something, and go on now if that is earlier than their time. The
    /// caller holds the locks of their subjects, so that nobody works on them.
    async fn tell_runs(&mut self, runs: &[(Uuid, Progress)], now: Timestamp) -> StoreResult<()>;

    /// Writes where runs that go on stand from now on: revision, place, what they remember and when
    /// they go on. Whoever holds them writes nothing more. The caller holds the locks of their
    /// subjects.
    async fn move_runs(&mut self, runs: &[RunRow]) -> StoreResult<()>;

    /// Writes ledger lines.
    async fn log_run(&mut self, events: &[RunEvent]) -> StoreResult<()>;

    /// Ledger lines of a run, oldest first.
    async fn run_log(&mut self, run: Uuid) -> StoreResult<Vec<RunEvent>>;
}

/// Deliveries: the outbox.
#[async_trait]
pub trait Outbox {
    /// Writes new deliveries; those that are there stay as they are. Returns how many were not.
    async fn insert_deliveries(&mut self, deliveries: &[DeliveryRow]) -> StoreResult<u64>;

    /// These deliveries, as far as they exist.
    async fn deliveries_by_id(&mut self, ids: &[String]) -> StoreResult<Vec<DeliveryRow>>;

    /// A delivery.
    async fn delivery(&mut self, id: &str) -> StoreResult<Option<DeliveryRow>>;

    /// Deliveries that pass, newest first.
    async fn deliveries(&mut self, filter: &LedgerFilter, limit: u32) -> StoreResult<Vec<DeliveryRow>>;

    /// Claims deliveries of a bucket that are due, or whose sender is gone.
    async fn claim_deliveries(
        &mut self,
        bucket: i16,
        now: Timestamp,
        lease: &Lease,
        limit: u32,
    ) -> StoreResult<Vec<Claimed<DeliveryKey>>>;

    /// The deliveries of claims that still hold, their rows locked in the order of their ids.
    async fn hold_deliveries(&mut self, claims: &[Claimed<DeliveryKey>]) -> StoreResult<Vec<DeliveryRow>>;

    /// Lets claims hold longer; returns those that still do.
    async fn renew_deliveries(
        &mut self,
        claims: &[Claimed<DeliveryKey>],
        lease: &Lease,
    ) -> StoreResult<Vec<DeliveryKey>>;

    /// Writes held deliveries; `release` gives them back. Returns those whose claims still held.
    async fn save_deliveries(
        &mut self,
        held: &[(Claimed<DeliveryKey>, DeliveryRow)],
        release: bool,
    ) -> StoreResult<Vec<String>>;

    /// Writes a delivery that nobody holds, such as by an operator; whoever held it writes nothing more.
    async fn decide_delivery(&mut self, delivery: &DeliveryRow) -> StoreResult<()>;

    /// Messages to customers from an instant on that count against their limits, oldest first: those
    /// that were delivered, may have been, or still may be.
    async fn contacts(&mut self, customers: &[Uuid], since: Timestamp) -> StoreResult<Vec<Contact>>;

    /// Notes messages that count from now on.
    async fn insert_contacts(&mut self, contacts: &[Contact]) -> StoreResult<()>;

    /// Writes attempts: new ones, or their outcomes.
    async fn save_attempts(&mut self, attempts: &[AttemptRow]) -> StoreResult<()>;

    /// Attempts of deliveries, oldest first.
    async fn attempts_of(&mut self, deliveries: &[String]) -> StoreResult<HashMap<String, Vec<AttemptRow>>>;
}
