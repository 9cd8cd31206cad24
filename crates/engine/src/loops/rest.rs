//! People's rest: whether a mail may go to a customer at this hour, and so soon after others.

use rekindle_core::Timestamp;
use rekindle_core::sequence::MessageClass;
use rekindle_core::sequence::quiet::Ruling;
use rekindle_ports::Tx;
use rekindle_ports::ledger::{Contact, DeliveryRow, Message, RunRow};

use super::locks::Locked;
use super::room::{Room, Verdict};
use super::shelf::Shelf;
use super::zone::zone_of;
use crate::error::EngineResult;
use crate::sequences::programs::Programs;

/// What spares the customers of a batch: the quiet hours of sequences, and the limits of the workspace.
pub(super) struct Rest<'a> {
    programs: &'a Programs,
    locked: &'a Locked,
    room: Room,
    now: Timestamp,
}

impl<'a> Rest<'a> {
    /// What holds for these deliveries. The caller holds the locks of their customers.
    pub async fn of(
        tx: &mut dyn Tx,
        shelf: &mut Shelf,
        programs: &'a Programs,
        locked: &'a Locked,
        held: &[DeliveryRow],
        now: Timestamp,
    ) -> EngineResult<Self> {
        Ok(Self { programs, locked, room: Room::of(tx, shelf, held).await?, now })
    }

    /// What the quiet hours of its sequence say of a message right now: it may have waited for this.
    pub async fn ask_the_clock(
        &self,
        tx: &mut dyn Tx,
        shelf: &mut Shelf,
        run: Option<&RunRow>,
        delivery: &DeliveryRow,
    ) -> EngineResult<Ruling> {
        let Some(run) = run else {
            return Ok(Ruling::Send);
        };
        let program = shelf.program_of(tx, self.programs, run).await?;
        let quiet = program.as_ref().and_then(|program| program.quiet());
        let Some(quiet) = quiet.filter(|_| is_mail_to_customer(delivery)) else {
            return Ok(Ruling::Send);
        };
        let zone = zone_of(self.locked, delivery.customer, &shelf.workspace(tx).await?.body.zone);
        // What it waited for until now was something else.
        Ok(quiet.rule(&zone.zone, self.now, self.now))
    }

    /// Whether the limits of the workspace have room for a mail, and makes it where they have.
    /// What the customer asked for, and what machines are told, needs none.
    pub async fn make_room(
        &mut self,
        tx: &mut dyn Tx,
        shelf: &mut Shelf,
        run: Option<&RunRow>,
        delivery: &DeliveryRow,
    ) -> EngineResult<Verdict> {
        let customer = delivery.customer.filter(|_| is_mail_to_customer(delivery));
        let (Some(run), Some(customer)) = (run, customer) else {
            return Ok(Verdict::Goes);
        };
        let body = shelf.body(tx, run).await?;
        let Some(body) = body.filter(|body| body.class == MessageClass::Marketing) else {
            return Ok(Verdict::Goes);
        };
        let zone = zone_of(self.locked, Some(customer), &shelf.workspace(tx).await?.body.zone);
        Ok(self.room.ask(delivery, customer, &zone, body.when_limited, self.now))
    }

    /// The room that was made.
    pub fn made(&self) -> &[Contact] {
        &self.room.made
    }
}

/// Whether a message is one that people are to be spared at night and too often.
fn is_mail_to_customer(delivery: &DeliveryRow) -> bool {
    matches!(delivery.message, Message::Email { .. }) && !delivery.internal
}
