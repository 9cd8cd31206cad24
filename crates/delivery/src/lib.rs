//! Everything that talks to the outside world: mail over SMTP, webhooks over
//! HTTPS, and the templates whose output they carry.
//!
//! Nothing here reads the clock, the environment or entropy: instants, ids and
//! random bytes are arguments. Nothing here retries: one call is one attempt,
//! and its [`Outcome`] says what the caller may do next.
//!
//! | module | holds |
//! |---|---|
//! | [`outcome`] | what became of an attempt, and in which phase |
//! | [`smtp`] | one message to one recipient over one connection |
//! | [`email`] | the bytes of a message, the same for the same inputs |
//! | [`webhook`] | a signed POST, Standard Webhooks 1.0.0 |
//! | [`ssrf`] | which addresses a webhook may reach |
//! | [`template`] | customers' templates under limits |
//! | [`port`] | all of it behind the port that the engine calls |

pub mod email;
pub mod outcome;
pub mod port;
pub mod smtp;
pub mod ssrf;
pub mod template;
pub mod text;
pub mod webhook;

pub use outcome::{Outcome, Phase};
