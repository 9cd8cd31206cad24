//! A scripted relay on a loopback port, in three lights.

mod conduct;
mod faults;
mod relay;
mod tls;
