//! What every call goes through before it reaches its service.

pub mod answered;
pub mod asked;
pub mod call_id;
pub mod deadline;
pub mod faults;
pub mod foreign;
pub mod gate;
