//! The loop: waits for one thing, reads the clock once, hands the agent each input, performs the effects in order.
//!
//! `run` is the process: it begins, wires protocol and service sides together, and heeds signals. `protocol` is the
//! thread and how the service side reaches it, `turn` one wake-up of it, `hands` what performs effects, `listening`
//! the sockets of each channel, `watching` those that wait for any frame. Belongs here: order, bounds and back-pressure between the
//! rooms. Does not belong here: a decision (`proto`), a system call (`io`), anything that may block the loop.

#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

mod handover;
mod hands;
mod life;
mod listening;
mod protocol;
mod pulse;
mod realtime;
mod reload;
mod replace;
mod run;
mod signals;
mod turn;
mod watching;

pub use protocol::{Command, Gone, Parked, ProtocolHandle, ProtocolJoin, Start, spawn};
pub use replace::probe;
pub use run::{Options, run};
