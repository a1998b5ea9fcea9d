//! What the agent gives up: shown by trying it, and by the agent's own process as the kernel describes it.

#[path = "../common/mod.rs"]
mod common;
#[path = "../isolation/mod.rs"]
mod isolation;

mod agent;
mod bites;
