//! What the fold means, and that it holds: against a naive model of the definitions, in
//! every order of sending, on both databases, and when commits fail.

mod cases;
mod concurrency;
mod example;
mod faults;
mod histories;
mod ingest;
mod meaning;
mod pure;
