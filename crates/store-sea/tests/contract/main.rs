//! What every store promises, held on each database that there is.

mod connections;
mod journeys;
mod plans;
mod replays;
mod resources;
mod returns;
mod rows;
mod subjects;
mod timers;
