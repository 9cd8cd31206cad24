//! Silences of a stage that came due in a period, customer by customer.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use rekindle_core::Timestamp;
use rekindle_core::fold::Silence;
use rekindle_core::funnel::{CompiledFunnel, OwedBy, SubjectKind};
use rekindle_core::mark::MarkKind;
use rekindle_core::metrics::Period;
use rekindle_core::sequence::simulate::left_at;
use rekindle_ports::Tx;
use rekindle_ports::browse::SilenceRow;
use rekindle_ports::rows::JourneyRow;
use uuid::Uuid;

use crate::budget;
use crate::error::EngineResult;

/// Subjects, or customers with all their conversations, of a page; and journeys that are read at once.
const PAGE: u32 = 1_000;

/// Which silences.
pub(super) struct Watched<'a> {
    /// Key of the funnel's revision.
    pub revision: i64,
    /// What it says.
    pub funnel: &'a CompiledFunnel,
    /// Place of the stage.
    pub place: usize,
    /// What they became.
    pub kind: MarkKind,
    /// Whether the rule measures our own silence.
    pub is_ours: bool,
    /// When they came due.
    pub period: Period,
    /// Where history ends.
    pub as_of: Timestamp,
}

/// A silence that came due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub subject: Uuid,
    pub conversation: Option<Uuid>,
    pub customer: Option<Uuid>,
    pub since: Timestamp,
    pub due_at: Timestamp,
    pub owed_by: OwedBy,
    /// Id of the event from which its clock ran.
    pub anchor: String,
    /// When the journey left the stage, if it did.
    pub left_at: Option<Timestamp>,
    /// When our side spoke, if it owed the word and did.
    pub spoke_at: Option<Timestamp>,
}

impl Found {
    /// Whose contacts count together.
    fn whose(&self) -> Uuid {
        self.customer.unwrap_or(self.subject)
    }
}

/// The silences page by page: those of one customer in one page, and in the order in which they came
/// due. Limits and cool-downs of a customer reach over all of their conversations, and over nobody
/// else's: what memory holds is one page, however long the period is.
pub(super) struct Pages<'a> {
    watched: &'a Watched<'a>,
    /// Whose page is next, behind a key; `None` behind the last.
    next: Option<(Whose, Option<Uuid>)>,
}

/// Whose silences a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Customers, or all the conversations of each.
    Customers,
    /// Conversations whose customers are not known.
    Strangers,
}

impl<'a> Pages<'a> {
    /// From the first.
    pub fn of(watched: &'a Watched<'a>) -> Self {
        Self { watched, next: Some((Whose::Customers, None)) }
    }

    /// The next page, which may be empty; `None` behind the last.
    pub async fn turn(&mut self, tx: &mut dyn Tx, due: Option<Instant>) -> EngineResult<Option<Vec<Found>>> {
        let Some((whose, after)) = self.next else {
            return Ok(None);
        };
        let keys = match whose {
            Whose::Customers => tx.subjects_after(true, after, PAGE).await?,
            Whose::Strangers => tx.conversations_unowned(after, PAGE).await?,
        };
        self.next = match keys.last() {
            Some(last) if keys.len() == PAGE as usize => Some((whose, Some(*last))),
            _ if whose == Whose::Strangers || self.watched.follows_customers() => None,
            _ => Some((Whose::Strangers, None)),
        };
        let subjects = self.subjects(tx, whose, keys).await?;
        let mut found = Vec::new();
        for some in subjects.chunks(PAGE as usize) {
            budget::check(due)?;
            found.extend(self.watched.among(tx, some).await?);
        }
        found.sort_by_key(|it| (it.whose(), it.due_at, it.subject));
        Ok(Some(found))
    }

    /// The subjects of the funnel that a page is about.
    async fn subjects(&self, tx: &mut dyn Tx, whose: Whose, keys: Vec<Uuid>) -> EngineResult<Vec<Uuid>> {
        if self.watched.follows_customers() || whose == Whose::Strangers {
            return Ok(keys);
        }
        Ok(tx.conversations_owned(&keys).await?)
    }
}

/// A clock of the stage's rule and how long it ran.
struct Clock {
    since: Timestamp,
    due_at: Timestamp,
    owed_by: OwedBy,
    anchor: String,
    /// When it stopped; one that has not stopped yet comes last.
    until: Option<Timestamp>,
}

impl Watched<'_> {
    /// Whether its funnel follows customers over their conversations.
    pub fn follows_customers(&self) -> bool {
        self.funnel.funnel.subject == SubjectKind::Customer
    }

    /// The silences of subjects.
    async fn among(&self, tx: &mut dyn Tx, subjects: &[Uuid]) -> EngineResult<Vec<Found>> {
        let journeys = tx.load_journeys(&[self.revision], subjects).await?;
        let mut ended: HashMap<Uuid, Vec<SilenceRow>> = HashMap::new();
        for row in tx.ended_silences(&[self.revision], subjects).await? {
            ended.entry(row.subject).or_default().push(row);
        }
        let mut found = Vec::new();
        for journey in &journeys {
            let rows = ended.remove(&journey.key.subject).unwrap_or_default();
            found.extend(self.of(journey, &rows));
        }
        Ok(found)
    }

    /// The silences of a journey, each once.
    fn of(&self, journey: &JourneyRow, ended: &[SilenceRow]) -> Vec<Found> {
        let open = journey.journey.watch.open.as_ref();
        let mut all: Vec<Clock> = ended.iter().filter_map(|row| self.ended(row)).collect();
        all.sort_by_key(|clock| clock.until);
        all.extend(open.and_then(|silence| self.open(silence)));
        // A silence that goes on under another name, because its stage has another rule whose clock
        // began anew, or because it was closed and opened again, came due once.
        let mut clocks: BTreeMap<Timestamp, Clock> = BTreeMap::new();
        for clock in all {
            let came_due = clock.until.is_none_or(|until| clock.due_at < until);
            match clocks.get_mut(&clock.due_at) {
                Some(known) => known.until = clock.until,
                None if came_due => {
                    clocks.insert(clock.due_at, clock);
                }
                None => {}
            }
        }
        let fits = |at: Timestamp| self.period.contains(at) && at <= self.as_of;
        let clocks = clocks.into_values().filter(|clock| fits(clock.due_at));
        clocks.map(|clock| self.found(journey, clock)).collect()
    }

    fn ended(&self, row: &SilenceRow) -> Option<Clock> {
        let due_at = match self.kind {
            MarkKind::Stalled => row.stall_at,
            MarkKind::Abandoned => row.abandon_at,
            MarkKind::Warned => None,
        };
        Some(Clock {
            since: row.since,
            due_at: due_at.filter(|_| row.place == self.place)?,
            owed_by: row.owed_by,
            // Of two rules that measure different parties, the event of the later clock.
            anchor: row.anchor.clone(),
            until: Some(row.until),
        })
    }

    fn open(&self, silence: &Silence) -> Option<Clock> {
        let mut clocks = silence.clocks().filter(|_| silence.key.place == self.place);
        let (_, clock) = clocks.find(|(kind, _)| *kind == self.kind)?;
        Some(Clock {
            since: silence.since(),
            due_at: clock.due_at,
            owed_by: silence.owed_by,
            anchor: clock.anchor.id.clone(),
            until: None,
        })
    }

    fn found(&self, journey: &JourneyRow, clock: Clock) -> Found {
        let subject = journey.key.subject;
        Found {
            subject,
            conversation: (!self.follows_customers()).then_some(subject),
            customer: journey.customer,
            since: clock.since,
            due_at: clock.due_at,
            owed_by: clock.owed_by,
            anchor: clock.anchor,
            left_at: left_at(self.funnel, &journey.journey.passages, self.place, clock.due_at),
            spoke_at: clock.until.filter(|_| self.is_ours),
        }
    }
}
