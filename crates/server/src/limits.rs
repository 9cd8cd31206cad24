//! Every limit of the edge, in one place.
//!
//! The library leaves most of them off. The defaults are those of the service; they are values
//! so that a test need not wait half an hour for a connection to grow old.

use std::time::Duration;

/// Largest message that is read, in bytes, after decompression.
pub const DECODE_LIMIT: usize = 4 * 1_024 * 1_024;
/// Largest message that is written, in bytes; clients read no larger ones unless told to.
pub const ENCODE_LIMIT: usize = 4 * 1_024 * 1_024;
/// Largest message of a stream of events, in bytes, after decompression.
pub const STREAM_MESSAGE_LIMIT: usize = 256 * 1_024;

/// What a connection may be and do.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// Most connections at once; others wait in the listener's queue.
    pub connections: usize,
    /// Most of them from one peer (one IPv4 address, one IPv6 /64); others are closed at once.
    pub per_peer: usize,
    /// Bytes of answers that a peer may leave untaken, over all its connections.
    pub unsent_per_peer: usize,
    /// How long a connection may take to say what protocol it speaks, and HTTP/1 its headers.
    pub preface: Duration,
    /// After this long in silence TCP asks whether the peer is there.
    pub tcp_keepalive: Duration,
    /// How often HTTP/2 asks whether the peer is there.
    pub ping_every: Duration,
    /// How long the peer has for the answer.
    pub ping_answered: Duration,
    /// A connection is asked to end when it is this old, give or take a tenth.
    pub age: Duration,
    /// How long its calls may go on after that.
    pub age_grace: Duration,
    /// Most calls at once on a connection.
    pub streams: u32,
    /// Bytes that a client may send on a call before they are read.
    pub stream_window: u32,
    /// The same for all calls of a connection.
    pub connection_window: u32,
    /// Bytes of one call's headers.
    pub header_list: u32,
    /// Streams reset by us for errors of the client before the connection is ended.
    pub local_error_resets: usize,
    /// Streams reset by the client before we saw them, before the connection is ended.
    pub pending_accept_resets: usize,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            connections: 1_024,
            per_peer: 64,
            unsent_per_peer: 32 * 1_024 * 1_024,
            preface: Duration::from_secs(10),
            tcp_keepalive: Duration::from_mins(1),
            ping_every: Duration::from_secs(30),
            ping_answered: Duration::from_secs(10),
            age: Duration::from_mins(30),
            age_grace: Duration::from_mins(1),
            streams: 100,
            stream_window: 256 * 1_024,
            connection_window: 1_024 * 1_024,
            header_list: 16 * 1_024,
            local_error_resets: 256,
            pending_accept_resets: 20,
        }
    }
}

/// What calls may take, all of them together and each of them.
#[derive(Debug, Clone, Copy)]
pub struct CallLimits {
    /// Most batches of events at once, over all connections.
    pub ingest_calls: usize,
    /// Most other calls at once: they are let in however many events are waiting.
    pub other_calls: usize,
    /// Most streams at once, over all connections.
    pub streams: usize,
    /// Bytes of requests that are read or worked on, over all calls.
    pub request_bytes: usize,
    /// How long a call waits to be let in before it is told to come again.
    pub queued: Duration,
    /// Most metadata entries of a call.
    pub metadata_entries: usize,
    /// How long a call may take when the client does not say.
    pub deadline: Duration,
    /// How long a call may take, whatever the client says.
    pub longest: Duration,
    /// A call with less time left is refused at once: no answer takes less.
    pub shortest: Duration,
    /// How long a stream may say nothing.
    pub stream_idle: Duration,
    /// How long a client waits for one acknowledgement at most.
    pub stream_acknowledged: Duration,
}

impl Default for CallLimits {
    fn default() -> Self {
        Self {
            // Calls spend their time in the database; more of them at once would only wait there.
            ingest_calls: 384,
            other_calls: 128,
            streams: 512,
            request_bytes: 128 * 1_024 * 1_024,
            queued: Duration::from_millis(50),
            metadata_entries: 64,
            deadline: Duration::from_secs(10),
            longest: Duration::from_secs(30),
            shortest: Duration::from_millis(20),
            stream_idle: Duration::from_mins(1),
            stream_acknowledged: Duration::from_secs(10),
        }
    }
}
