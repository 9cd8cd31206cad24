//! D4 and M1 to M3: counts over all subjects at an instant.

use rekindle_core::Timestamp;
use rekindle_core::funnel::Funnel;
use rekindle_core::metrics::Figures;

use super::world::World;
use super::{Mood, Told, told};

/// The counts of a funnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFigures {
    /// Subjects with an event.
    pub known: i64,
    /// Those that never entered.
    pub never_entered: i64,
    /// For each stage: reached, active, stalled, abandoned, ended, recovered, converted.
    pub stages: Vec<[i64; 7]>,
    /// Time from the first stage to the last, added up, in microseconds.
    pub time_to_convert: i64,
}

impl ModelFigures {
    /// What the definitions say.
    pub fn of(world: &World, funnel: &Funnel, by: Timestamp) -> Self {
        let told: Vec<Told> = told(world, funnel, by).into_iter().map(|(_, told)| told).collect();
        let best: Vec<_> = told.iter().filter_map(Told::best).collect();
        let last = funnel.stages.len() - 1;
        let stages = (0..=last).map(|place| {
            let is =
                |mood| told.iter().filter(|t| t.place == Some(place) && t.mood == Some(mood)).count() as i64;
            let reached = best.iter().filter(|attempt| attempt.reaches(funnel, place));
            let converted = reached.clone().filter(|attempt| attempt.entered[last].is_some());
            [
                reached.count() as i64,
                is(Mood::Active),
                is(Mood::Stalled),
                is(Mood::Abandoned),
                is(Mood::Ended),
                told.iter().filter(|t| t.recovered.contains(&place)).count() as i64,
                converted.count() as i64,
            ]
        });
        Self {
            known: told.len() as i64,
            never_entered: told.iter().filter(|t| t.place.is_none()).count() as i64,
            stages: stages.collect(),
            time_to_convert: best.iter().filter_map(|a| Some(a.entered[last]?.since(a.entered[0]?))).sum(),
        }
    }

    /// The same counts out of an answer.
    pub fn read(figures: &Figures) -> Self {
        let time = &figures.time_to_convert;
        Self {
            known: figures.known,
            never_entered: figures.never_entered,
            stages: figures
                .stages
                .iter()
                .map(|s| [s.reached, s.active, s.stalled, s.abandoned, s.ended, s.recovered, s.converted])
                .collect(),
            time_to_convert: (time.mean * time.n as f64 * 1e6).round() as i64,
        }
    }
}
