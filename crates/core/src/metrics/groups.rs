//! Breakdowns: the largest groups by name, the rest as one, each compared with all others.

use std::collections::{HashMap, HashSet};

use super::facts::AttemptFact;
use super::positions::Positions;
use super::proportion::difference;
use super::{Analysis, Group, Ratio};

/// The value that stands for all groups that are not named.
pub const OTHER: &str = "$other";

/// Figures by value of the breakdown at `place`: the `top` largest by units that entered,
/// then by value, and one group for the rest.
pub fn groups(analysis: &Analysis, positions: &Positions, place: usize, top: usize) -> Vec<Group> {
    let group = |value: &str, is_other, figures| Group {
        value: value.to_owned(),
        is_other,
        figures,
        converted_difference: None,
    };
    let figures_of =
        |value: &String| analysis.figures_where(positions, |attempt| attempt.values[place] == *value);
    let named = largest(analysis, place, top);
    let mut groups: Vec<Group> = named.iter().map(|value| group(value, false, figures_of(value))).collect();
    let known: HashSet<&String> = named.iter().collect();
    let is_other = |attempt: &AttemptFact| !known.contains(&attempt.values[place]);
    if analysis.best().any(|(_, attempt)| is_other(attempt)) {
        groups.push(group(OTHER, true, analysis.figures_where(positions, is_other)));
    }
    compare(&mut groups);
    groups
}

/// Compares each group with all others together: every unit is in one group.
fn compare(groups: &mut [Group]) {
    let all: Vec<Ratio> = groups.iter().map(|group| group.figures.converted).collect();
    let entered: i64 = all.iter().map(|ratio| ratio.denominator).sum();
    let converted: i64 = all.iter().map(|ratio| ratio.numerator).sum();
    for (group, own) in groups.iter_mut().zip(all) {
        let others = Ratio { numerator: converted - own.numerator, denominator: entered - own.denominator };
        group.converted_difference = difference(own, others);
    }
}

/// Values by units that entered, largest first, ties by value.
pub fn largest(analysis: &Analysis, place: usize, top: usize) -> Vec<String> {
    let mut counts: HashMap<&String, i64> = HashMap::new();
    for (_, attempt) in analysis.best() {
        *counts.entry(&attempt.values[place]).or_default() += 1;
    }
    let mut values: Vec<(&String, i64)> = counts.into_iter().collect();
    values.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
    values.into_iter().take(top).map(|(value, _)| value.clone()).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::event::OrderKey;
    use crate::funnel::{Funnel, Stage};
    use crate::metrics::{Period, Shape, Unit};
    use crate::time::Timestamp;

    /// So many people who saw a page, the first of whom signed up.
    fn seen(page: &str, from: u128, entered: u128, converted: u128) -> impl Iterator<Item = AttemptFact> {
        (0..entered).map(move |number| AttemptFact {
            subject: Uuid::from_u128(from + number),
            customer: None,
            start: OrderKey { at: Timestamp::EARLIEST, sequence: 0, id: format!("e{from}-{number}") },
            entered: vec![
                Some(Timestamp::EARLIEST),
                (number < converted).then_some(Timestamp::EARLIEST.plus(1)),
            ],
            voided_at: None,
            episode: 0,
            chained: true,
            values: vec![page.to_owned()],
        })
    }

    fn groups_of(attempts: Vec<AttemptFact>, top: usize) -> Vec<Group> {
        let stage = |id: &str| Stage { id: id.into(), ..Stage::default() };
        let funnel = Funnel { stages: vec![stage("seen"), stage("signed-up")], ..Funnel::default() };
        let shape = Shape::of(&funnel);
        let (period, none) = (Period::default(), HashMap::new());
        let analysis = Analysis::new(shape, Unit::Subject, &period, Timestamp::LATEST, attempts, &none);
        groups(&analysis, &Positions::default(), 0, top)
    }

    #[test]
    fn each_group_is_compared_with_all_others_together() {
        let attempts = seen("loud", 0, 50, 30)
            .chain(seen("calm", 1_000, 40, 10))
            .chain(seen("bare", 2_000, 20, 5))
            .chain(seen("odd", 3_000, 10, 5));
        let found = groups_of(attempts.collect(), 2);
        let of = |numerator, denominator| Ratio { numerator, denominator };
        let expected = [
            ("loud", difference(of(30, 50), of(20, 70))),
            ("calm", difference(of(10, 40), of(40, 80))),
            // The two that are not named.
            (OTHER, difference(of(10, 30), of(40, 90))),
        ];
        let compared: Vec<_> =
            found.iter().map(|group| (group.value.as_str(), group.converted_difference)).collect();
        assert_eq!(compared, expected);
        assert!(found[0].converted_difference.is_some_and(|it| it.is_more()));
    }

    #[test]
    fn a_group_without_others_is_compared_with_nobody() {
        let found = groups_of(seen("loud", 0, 50, 30).collect(), 10);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].converted_difference, None);
    }
}
