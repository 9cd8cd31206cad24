//! Figures for people: bars, tables and numbers on a terminal or in plain text.

pub mod bar;
pub mod breakdown;
pub mod funnel;
pub mod number;
pub mod paint;
pub mod table;
pub mod trend;
