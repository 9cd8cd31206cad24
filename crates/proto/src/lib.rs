//! The API as Rust: messages, clients, servers and proto JSON, generated from `proto/`.
//!
//! Nothing is written by hand here. Unknown fields in JSON are errors, so that a misspelt word
//! in a definition file is found.

/// Package `rekindle.v1`.
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/rekindle.v1.rs"));
    include!(concat!(env!("OUT_DIR"), "/rekindle.v1.serde.rs"));
}

/// The compiled protos, an encoded `google.protobuf.FileDescriptorSet`, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
