//! The agent as a value.
//!
//! `handle(now, input)` appends the effects, in order; `next_deadline()` says when to call at the latest;
//! `snapshot()` says how things stand. Belongs here: every decision. Does not belong here: a clock, a socket,
//! a log, or randomness without a seed. `agent` holds what several virtual routers share, `router` wires one
//! together from `election`, `holding`, `eligibility` and `peers`, which do not know each other.

#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

mod agent;
mod effect;
mod election;
mod eligibility;
mod holding;
mod input;
mod interfaces;
mod lateness;
mod links;
mod listening;
mod peers;
mod resume;
mod router;
mod settle;

pub use agent::Agent;
pub use effect::{Addition, Effect, Lease};
pub use input::Input;
