//! TOML text in, a [`Config`] that can only be valid out, or all its problems at once.
//!
//! Belongs here: names, ranges and defaults of keys, and what a mistake in them is told.
//! Does not belong here: reading files (`io`) and whether the system has what a key names.
//!
//! `keys` is the table of everything that can stand in a file; `table` and `value` read by it, `address` and
//! `duration` know their notations; `router` (with `addresses` and `adverts`), `auth` and `check` read one section each,
//! `cross` holds sections against each other, `syntax` words the TOML parser's errors, `diagnostic` and `render` carry
//! and print the problems, `unknown` knows what a word that cannot stand somewhere was meant to be.

mod address;
mod addresses;
mod adverts;
mod auth;
mod check;
mod cross;
mod diagnostic;
mod duration;
pub mod keys;
mod model;
mod parse;
mod render;
mod router;
mod syntax;
mod table;
mod unknown;
mod value;

pub use diagnostic::{Diagnostic, Related, Severity};
pub use model::{AuthConfig, AuthMode, Config, RouterConfig, Secrets, WhenUnhealthy};
pub use parse::{Parsed, parse};
pub use render::{render, summary};
