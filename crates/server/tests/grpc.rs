//! The server over real sockets, on a database in memory.

#[path = "grpc/connections.rs"]
mod connections;
#[path = "grpc/errors.rs"]
mod errors;
#[path = "grpc/funnels.rs"]
mod funnels;
#[path = "grpc/harness.rs"]
mod harness;
#[path = "grpc/ingest.rs"]
mod ingest;
#[path = "grpc/messages.rs"]
mod messages;
#[path = "grpc/patience.rs"]
mod patience;
#[path = "grpc/recovery.rs"]
mod recovery;
#[path = "grpc/replays.rs"]
mod replays;
#[path = "grpc/targets.rs"]
mod targets;
#[path = "grpc/transport.rs"]
mod transport;
