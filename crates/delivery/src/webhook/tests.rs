//! Calls against scripted receivers on loopback ports.

mod answers;
mod destinations;
mod receiver;
