//! What is told, in one place: reasons, log lines and the status document share one vocabulary.
//!
//! Belongs here: tokens, words and serializable shapes. Does not belong here: when to tell (`proto`)
//! and where to (`service`, `ctl`).

#![deny(clippy::wildcard_enum_match_arm, clippy::match_wildcard_for_single_variants)]

mod answer;
mod event;
mod first_steps;
mod mistake;
mod reason;
pub mod status;
mod summary;
mod walltime;

pub use answer::Answer;
pub use event::{Event, Field, Level, Release};
pub use first_steps::{CONFIG_FILE, first_steps, no_router};
pub use mistake::Mistake;
pub use reason::{Reason, RouterState, Trouble};
pub use summary::{Standing, Summary};
pub use walltime::WallClock;
