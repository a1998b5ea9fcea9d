//! TOML text in, a [`Config`] that can only be valid out, or all its problems at once.
//!
//! Belongs here: names, ranges and defaults of keys, and what a mistake in them is told.
//! Does not belong here: reading files (`io`) and whether the system has what a key names.

mod model;

pub use model::{Config, RouterConfig, WhenUnhealthy};
