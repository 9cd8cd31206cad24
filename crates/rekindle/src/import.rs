//! Reading events from files: CSV, JSONL, either of them gzipped.
//!
//! A file is a stream of rows; a mapping makes an event of each row; rows without an id get one
//! from their content; events leave in batches. Memory is bounded by the batches under way,
//! except for 10 to 20 bytes for every row that has no id of its own.

pub mod batch;
pub mod csv_rows;
pub mod field;
pub mod identity;
pub mod instant;
pub mod json_rows;
pub mod lines;
pub mod mapper;
pub mod mapping;
pub mod reader;
pub mod row;
pub mod scalar;
pub mod send;
pub mod source;
pub mod window;
