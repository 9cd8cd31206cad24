//! The gRPC services: messages in, engine calls, messages out.
//!
//! A handler reads its request into values of the core, awaits the engine, and writes the
//! answer. It does nothing else: handlers are dropped when a client goes away or its time is
//! up, and the engine's work must not be dropped with them. Nothing but this crate knows
//! protobuf.

pub mod admission;
pub mod connection;
pub mod convert;
pub mod layers;
pub mod limits;
pub mod listener;
pub mod mask;
pub mod name;
pub mod page;
pub mod peers;
pub mod refusal;
pub mod serve;
pub mod services;
pub mod status;
pub mod together;

pub use admission::Rate;
pub use limits::{CallLimits, ConnectionLimits};
pub use serve::{Options, ServeError, Services, serve, service_names};
