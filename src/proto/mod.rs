//! The agent as a value.
//!
//! `handle(now, input)` returns the effects, in order; `next_deadline()` says when to call at the latest;
//! `snapshot()` says how things stand. Belongs here: every decision. Does not belong here: a clock, a socket,
//! a log, or randomness without a seed.

#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

mod effect;
mod input;

pub use effect::{Addition, Effect};
pub use input::Input;
