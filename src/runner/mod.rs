//! The process that starts other people's programs (`locum runner`), so that nothing they do, and no fork, happens in
//! the agent itself.
//!
//! It speaks [`ProgramRequest`](crate::types::ProgramRequest) and [`ProgramReport`](crate::types::ProgramReport), one
//! JSON value a message, over standard input; it ends when that is closed, and then kills what it has started, so it
//! does not outlive an agent that was killed. Belongs here: starting, bounding, watching and ending a program.
//! Does not belong here: when a check is due and what its result means (`service`, `proto`).
//!
//! A program runs in a process group of its own. When its leader ends, the run is over: the report goes out at once,
//! and what it left behind in its group is killed, so that runs cannot pile up. A program that puts itself into
//! another group or session has gone its own way and is left alone, but reaped. At its timeout a run is reported and
//! its group gets SIGKILL without SIGTERM before: a hung program's answer matters to nobody any more, and a period of
//! grace would let it run beside its successor.

mod last_line;
mod serve;

pub use serve::{MAX_MESSAGE, MAX_RUNS, run};
