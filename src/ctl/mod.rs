//! What the administrator's commands do and print, beside the agent itself.
//!
//! Belongs here: asking the agent over its socket, and how an answer is shown to a person. Does not belong here: what
//! a word or a token is (`report`), and anything that runs inside the agent (`daemon`, `service`).

mod check;
mod client;
mod firewall;
mod lists;
mod reload;
mod span;
mod table;

pub use check::check;
pub use client::status;
pub use reload::reload;

use std::io::{self, Write};

use crate::types::{Exit, Failure};

/// Writes to standard output. That nobody wants to read all of it (`| head`) is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Exit::Internal, format!("cannot write to standard output: {error}"))),
    }
}
