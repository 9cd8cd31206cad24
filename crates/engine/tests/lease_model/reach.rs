//! What the checker cannot say: that from *every* state a goal can still be reached.

use std::collections::HashMap;
use std::hash::Hash;

use stateright::Model;

/// The answer of a search.
#[derive(Debug)]
pub struct Reached<S> {
    /// Number of states there are.
    pub states: usize,
    /// A state from which no sequence of steps leads to the goal.
    pub lost: Option<S>,
}

/// Explores the whole of a model and looks for a state that cannot reach the goal any more.
pub fn from_everywhere<M>(
    model: &M,
    same: fn(&M::State) -> M::State,
    goal: fn(&M::State) -> bool,
) -> Reached<M::State>
where
    M: Model,
    M::State: Clone + Eq + Hash,
{
    let (states, before) = graph(model, same);
    let mut good: Vec<bool> = states.iter().map(goal).collect();
    let mut open: Vec<usize> = (0..states.len()).filter(|place| good[*place]).collect();
    while let Some(place) = open.pop() {
        for &earlier in &before[place] {
            if !good[earlier] {
                good[earlier] = true;
                open.push(earlier);
            }
        }
    }
    let lost = good.iter().position(|good| !good).map(|place| states[place].clone());
    Reached { states: states.len(), lost }
}

/// Every state, and for each the places of those that lead to it.
fn graph<M>(model: &M, same: fn(&M::State) -> M::State) -> (Vec<M::State>, Vec<Vec<usize>>)
where
    M: Model,
    M::State: Clone + Eq + Hash,
{
    let mut states: Vec<M::State> = model.init_states();
    let mut places: HashMap<M::State, usize> = states.iter().cloned().zip(0..).collect();
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); states.len()];
    let mut next = 0;
    while next < states.len() {
        for state in model.next_states(&states[next]) {
            let state = same(&state);
            let place = *places.entry(state).or_insert_with_key(|state| {
                states.push(state.clone());
                before.push(Vec::new());
                states.len() - 1
            });
            before[place].push(next);
        }
        next += 1;
    }
    (states, before)
}
