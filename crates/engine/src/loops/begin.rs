//! Looks once more whether messages are wanted, and writes *attempt started*.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use rekindle_core::Timestamp;
use rekindle_core::sequence::SequenceState;
use rekindle_core::sequence::arm::Arm;
use rekindle_core::sequence::progress::Awaits;
use rekindle_core::sequence::quiet::Ruling;
use rekindle_core::time::HOUR;
use rekindle_ports::ledger::{
    AttemptOutcome, AttemptRow, DeliveryKey, DeliveryRow, DeliveryState, EndReason, Message, RunEvent,
    RunRow, RunState,
};
use rekindle_ports::resources::{DestinationRow, SuppressionKind, SuppressionReason};
use rekindle_ports::rows::{Claimed, Lease, NameKind};
use rekindle_ports::{Deliver, Tx};
use uuid::Uuid;

use super::locks::{lock_free_pairs, lock_subjects};
use super::rest::Rest;
use super::room::Verdict;
use super::settle::{MOST_VANISHED, over};
use super::settled::Settled;
use super::shelf::Shelf;
use super::walk::PAUSED_LOOK;
use crate::engine::Inner;
use crate::error::EngineResult;
use crate::runs::ending;

/// How often a delivery to a disabled destination looks whether it is enabled again.
const DISABLED_LOOK: i64 = HOUR;

const VANISHED: &str = "vanished";

/// What a worker holds that has written *attempt started*.
#[derive(Clone)]
pub(super) struct Started {
    pub claim: Claimed<DeliveryKey>,
    pub delivery: DeliveryRow,
    pub attempt: AttemptRow,
    /// Where it goes; nowhere, if it stays in the house.
    pub destination: Option<DestinationRow>,
}

/// What beginning came to.
pub(super) struct Begun {
    /// Attempts that were written as started.
    pub started: Vec<Started>,
    /// Whether a run goes on, because its message is not to be sent.
    pub wakes: bool,
    /// Claims of deliveries whose subjects somebody else had locked.
    pub busy: Vec<Claimed<DeliveryKey>>,
}

/// Begins an attempt of every delivery that is still wanted; ends or puts off the others.
pub(super) fn begin(
    tx: &mut dyn Tx,
    inner: Arc<Inner>,
    deliver: Arc<dyn Deliver>,
    lease: Lease,
    claims: Vec<Claimed<DeliveryKey>>,
    now: Timestamp,
) -> BoxFuture<'_, EngineResult<Begun>> {
    Box::pin(async move {
        let ids: Vec<String> = claims.iter().map(|claim| claim.key.id.clone()).collect();
        let seen = tx.deliveries_by_id(&ids).await?;
        let of = |it: &DeliveryRow| [it.conversation, it.customer].into_iter().flatten();
        let (locked, claims, busy) = if claims.len() == 1 {
            (lock_subjects(tx, seen.iter().flat_map(of)).await?, claims, Vec::new())
        } else {
            let pairs = seen.iter().map(|it| (it.conversation, it.customer));
            let locked = lock_free_pairs(tx, pairs).await?;
            let is_busy = |it: &&DeliveryRow| !of(it).all(|subject| locked.holds(subject));
            let busy: HashSet<&str> = seen.iter().filter(is_busy).map(|it| it.id.as_str()).collect();
            let (claims, busy) = claims.into_iter().partition(|claim| !busy.contains(claim.key.id.as_str()));
            (locked, claims, busy)
        };
        let mut held = tx.hold_deliveries(&claims).await?;
        held.retain(|delivery| !delivery.state.is_final());
        let claims: HashMap<String, Claimed<DeliveryKey>> =
            claims.into_iter().map(|claim| (claim.key.id.clone(), claim)).collect();
        let mut shelf = Shelf::default();
        let mut beginning = Beginning {
            facts: Facts::of(tx, &held).await?,
            rest: Rest::of(tx, &mut shelf, &inner.programs, &locked, &held, now).await?,
            deliver: &*deliver,
            now,
            shelf,
            settled: Settled::default(),
            aborted: Vec::new(),
            started: Vec::new(),
            busy,
        };
        for delivery in beginning.in_order(tx, held).await? {
            let claim = claims[&delivery.id].clone();
            beginning.decide(tx, claim, delivery).await?;
        }
        beginning.save(tx, &lease).await
    })
}

/// What decides whether deliveries are wanted.
struct Facts {
    attempts: HashMap<String, Vec<AttemptRow>>,
    runs: HashMap<Uuid, RunRow>,
    /// Names of customers.
    names: HashMap<Uuid, String>,
    suppressed: HashMap<(SuppressionKind, String), SuppressionReason>,
}

impl Facts {
    async fn of(tx: &mut dyn Tx, held: &[DeliveryRow]) -> EngineResult<Self> {
        let ids: Vec<String> = held.iter().map(|delivery| delivery.id.clone()).collect();
        let runs: Vec<Uuid> = held.iter().map(|delivery| delivery.run).collect();
        let customers: Vec<Uuid> = held.iter().filter_map(|delivery| delivery.customer).collect();
        let mut facts = Self {
            attempts: tx.attempts_of(&ids).await?,
            runs: tx.runs_by_id(&runs).await?.into_iter().map(|run| (run.id, run)).collect(),
            names: tx.names(NameKind::Customer, &customers).await?,
            suppressed: HashMap::new(),
        };
        let entries: Vec<_> = held.iter().flat_map(|delivery| facts.entries(delivery)).collect();
        if !entries.is_empty() {
            let found = tx.suppressed(&entries).await?;
            facts.suppressed = found.into_iter().map(|it| ((it.kind, it.value), it.reason)).collect();
        }
        Ok(facts)
    }

    /// What of a delivery may stand on the suppression list: a customer is suppressed by any way,
    /// an address and its domain by mail.
    fn entries(&self, delivery: &DeliveryRow) -> Vec<(SuppressionKind, String)> {
        let mut entries = Vec::new();
        if let Message::Email { to, .. } = &delivery.message {
            let address = to.to_lowercase();
            let domain = address.rsplit('@').next().unwrap_or_default().to_owned();
            entries.push((SuppressionKind::Domain, domain));
            entries.push((SuppressionKind::Address, address));
        }
        // What is said about a customer is said to somebody else.
        let customer = delivery.customer.filter(|_| !delivery.internal);
        let name = customer.and_then(|customer| self.names.get(&customer));
        entries.extend(name.map(|name| (SuppressionKind::Customer, name.clone())));
        entries
    }

    fn attempts(&self, delivery: &DeliveryRow) -> &[AttemptRow] {
        self.attempts.get(&delivery.id).map_or(&[], Vec::as_slice)
    }
}

struct Beginning<'a> {
    facts: Facts,
    rest: Rest<'a>,
    deliver: &'a dyn Deliver,
    now: Timestamp,
    shelf: Shelf,
    settled: Settled,
    /// Runs that quiet hours end.
    aborted: Vec<(Uuid, EndReason)>,
    started: Vec<Started>,
    busy: Vec<Claimed<DeliveryKey>>,
}

impl Beginning<'_> {
    async fn decide(
        &mut self,
        tx: &mut dyn Tx,
        claim: Claimed<DeliveryKey>,
        delivery: DeliveryRow,
    ) -> EngineResult<()> {
        let now = self.now;
        let attempts = self.facts.attempts(&delivery);
        let vanished = attempts.last().filter(|attempt| attempt.outcome.is_none()).cloned();
        if let Some(attempt) = &vanished {
            // Somebody started to send and never said what came of it.
            let times = 1 + attempts.iter().filter(|attempt| attempt.phase == VANISHED).count();
            self.settled.attempt(vanished_attempt(attempt, now));
            if delivery.park_unknown || times >= MOST_VANISHED {
                let reason = "the sender vanished while sending".to_owned();
                self.settled.add(claim, over(delivery, DeliveryState::Unknown, reason, now));
                return Ok(());
            }
        }
        let run = self.facts.runs.get(&delivery.run);
        // Whoever is held waits, whatever the hour.
        let ruling = if run.is_some_and(|run| run.paused_at.is_some()) {
            Ruling::Send
        } else {
            self.rest.ask_the_clock(tx, &mut self.shelf, run, &delivery).await?
        };
        let refused = self.refuse(&delivery);
        if refused.is_none() && ruling == Ruling::Abort && self.is_awaited(&delivery) {
            self.aborted.push((delivery.run, EndReason::QuietHours));
        }
        if let Some((mut state, mut reason)) = refused.or_else(|| self.left_out(&delivery, ruling)) {
            if vanished.is_some() {
                // It is not wanted any more, and nobody knows whether it went.
                state = DeliveryState::Unknown;
                reason = format!("{reason}; its last sender vanished while sending");
            }
            self.settled.add(claim, over(delivery, state, reason, now));
            return Ok(());
        }
        let is_event = matches!(delivery.message, Message::Event { .. });
        let destination =
            if is_event { None } else { self.shelf.destination(tx, &delivery.destination).await? };
        if destination.is_none() && !is_event {
            let reason = "the destination is gone".to_owned();
            self.settled.add(claim, over(delivery, DeliveryState::Failed, reason, now));
            return Ok(());
        }
        if let Some((reason, at)) = self.held_back(tx, &delivery, destination.as_ref(), ruling).await? {
            let state = DeliveryState::Scheduled;
            let waiting = DeliveryRow { state, reason: reason.into(), next_at: Some(at), ..delivery };
            self.settled.add(claim, waiting);
            return Ok(());
        }
        let run = self.facts.runs.get(&delivery.run);
        match self.rest.make_room(tx, &mut self.shelf, run, &delivery).await? {
            Verdict::Goes => {}
            Verdict::Waits { until, words } => {
                let detail = format!("{words}: room at {}", until.to_rfc3339());
                self.settled.note(RunEvent {
                    run: delivery.run,
                    at: now,
                    kind: "deferred".into(),
                    step: delivery.step.clone(),
                    detail,
                });
                let state = DeliveryState::Scheduled;
                self.settled
                    .add(claim, DeliveryRow { state, reason: words, next_at: Some(until), ..delivery });
                return Ok(());
            }
            Verdict::LeftOut { words } => {
                let (state, reason) = (self.unsent(&delivery), format!("{words}: left out"));
                self.settled.add(claim, over(delivery, state, reason, now));
                return Ok(());
            }
        }
        let is_held_out = run.is_some_and(|run| run.arm == Arm::HeldOut);
        if is_held_out && (!delivery.internal || is_event) {
            // As far as anybody else goes, and no further.
            let reason = "the customer is held out".to_owned();
            self.settled.add(claim, over(delivery, DeliveryState::HeldOut, reason, now));
            return Ok(());
        }
        self.start(claim, delivery, destination);
        Ok(())
    }

    /// Whether its run stands and waits for it, and did not go on without it.
    fn is_awaited(&self, delivery: &DeliveryRow) -> bool {
        let run = self.facts.runs.get(&delivery.run).filter(|run| run.state == RunState::Running);
        matches!(
            run.and_then(|run| run.progress.awaits.as_ref()),
            Some(Awaits::Delivery { step, .. }) if *step == delivery.step
        )
    }

    /// What a message is that is not sent after all: one that may have arrived stays unknown.
    fn unsent(&self, delivery: &DeliveryRow) -> DeliveryState {
        let is_unknown = |attempt: &AttemptRow| attempt.outcome == Some(AttemptOutcome::Unknown);
        if self.facts.attempts(delivery).iter().any(is_unknown) {
            DeliveryState::Unknown
        } else {
            DeliveryState::Cancelled
        }
    }

    /// How a message ends that quiet hours keep from going, and that is not to wait.
    fn left_out(&self, delivery: &DeliveryRow, ruling: Ruling) -> Option<(DeliveryState, String)> {
        let words = match ruling {
            Ruling::Send | Ruling::Defer(_) => return None,
            Ruling::Skip => "quiet hours: left out",
            Ruling::Abort => "quiet hours ended the run",
        };
        Some((self.unsent(delivery), words.to_owned()))
    }

    /// Deliveries in the order in which they take what room there is: by the priority of their
    /// sequences, then by age.
    async fn in_order(&mut self, tx: &mut dyn Tx, held: Vec<DeliveryRow>) -> EngineResult<Vec<DeliveryRow>> {
        let mut ranked = Vec::with_capacity(held.len());
        for delivery in held {
            let body = match self.facts.runs.get(&delivery.run) {
                Some(run) => self.shelf.body(tx, run).await?,
                None => None,
            };
            let priority = body.map_or(0, |body| body.priority);
            ranked.push((Reverse(priority), delivery.created_at, delivery));
        }
        ranked.sort_by(|a, b| (a.0, a.1, &a.2.id).cmp(&(b.0, b.1, &b.2.id)));
        Ok(ranked.into_iter().map(|(.., delivery)| delivery).collect())
    }

    fn start(
        &mut self,
        claim: Claimed<DeliveryKey>,
        delivery: DeliveryRow,
        destination: Option<DestinationRow>,
    ) {
        let delivery =
            DeliveryRow { state: DeliveryState::Sending, attempts: delivery.attempts + 1, ..delivery };
        let attempt = AttemptRow {
            delivery: delivery.id.clone(),
            number: delivery.attempts,
            started_at: self.now,
            ended_at: None,
            outcome: None,
            phase: String::new(),
            code: None,
            response: String::new(),
        };
        self.settled.attempt(attempt.clone());
        self.started.push(Started { claim, delivery, attempt, destination });
    }

    /// How a delivery ends that is not to be sent at all, and why.
    fn refuse(&self, delivery: &DeliveryRow) -> Option<(DeliveryState, String)> {
        let end = |state, reason: &str| Some((state, reason.to_owned()));
        let run = self.facts.runs.get(&delivery.run);
        if run.is_some_and(|run| !matches!(run.state, RunState::Running | RunState::Completed)) {
            return end(DeliveryState::Cancelled, "its run is over");
        }
        if delivery.expires_at <= self.now {
            return end(DeliveryState::Expired, "its time is over");
        }
        if let Message::Email { to, .. } = &delivery.message
            && !self.deliver.may_write_to(to)
        {
            return end(DeliveryState::Suppressed, "the operator does not let this address be written to");
        }
        let entries = self.facts.entries(delivery);
        let reason = entries.iter().find_map(|entry| self.facts.suppressed.get(entry))?;
        end(DeliveryState::Suppressed, &format!("on the suppression list: {reason:?}"))
    }

    /// Why a message that is wanted is not sent yet, and when to look again.
    async fn held_back(
        &mut self,
        tx: &mut dyn Tx,
        delivery: &DeliveryRow,
        destination: Option<&DestinationRow>,
        ruling: Ruling,
    ) -> EngineResult<Option<(&'static str, Timestamp)>> {
        if destination.is_some_and(|destination| destination.disabled.is_some()) {
            return Ok(Some(("the destination is disabled", self.now.plus(DISABLED_LOOK))));
        }
        if let Ruling::Defer(free) = ruling {
            return Ok(Some(("quiet hours", free)));
        }
        let Some(run) = self.facts.runs.get(&delivery.run) else {
            return Ok(None);
        };
        if run.paused_at.is_some() {
            return Ok(Some(("its run is held by somebody", self.now.plus(PAUSED_LOOK))));
        }
        let is_paused = self.shelf.state(tx, run).await? == Some(SequenceState::Paused);
        Ok(is_paused.then_some(("its sequence is paused", self.now.plus(PAUSED_LOOK))))
    }

    async fn save(self, tx: &mut dyn Tx, lease: &Lease) -> EngineResult<Begun> {
        let sending: Vec<_> =
            self.started.iter().map(|started| (started.claim.clone(), started.delivery.clone())).collect();
        tx.save_deliveries(&sending, false).await?;
        // The whole lease lies ahead of the send.
        let claims: Vec<_> = sending.into_iter().map(|(claim, _)| claim).collect();
        tx.renew_deliveries(&claims, lease).await?;
        tx.insert_contacts(self.rest.made()).await?;
        let wakes = self.settled.save(tx, self.now).await?;
        ending::end(tx, &self.aborted, self.now).await?;
        Ok(Begun { started: self.started, wakes, busy: self.busy })
    }
}

fn vanished_attempt(attempt: &AttemptRow, now: Timestamp) -> AttemptRow {
    AttemptRow {
        ended_at: Some(now),
        outcome: Some(AttemptOutcome::Unknown),
        phase: VANISHED.into(),
        response: "the process that sent it ended before it could say what came of it".into(),
        ..attempt.clone()
    }
}
