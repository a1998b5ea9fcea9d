use std::path::Path;
use std::time::Duration;

use super::client::{ask, unanswered};
use super::print;
use crate::report::Answer;
use crate::types::{Exit, Failure};

/// Longer than the agent takes to give up, whichever way.
const PATIENCE: Duration = Duration::from_secs(30);

/// `locum reload`: has the agent read its configuration again, with `exec` by the program that is on disk.
///
/// # Errors
/// No agent answers in `runtime_dir`, it may not be asked by this user, or nothing was changed: the answer says why.
pub fn reload(runtime_dir: &Path, exec: bool) -> Result<(), Failure> {
    let socket = runtime_dir.join("locum.sock");
    let request = if exec { "{\"command\":\"reload\",\"exec\":true}\n" } else { "{\"command\":\"reload\"}\n" };
    let answer = ask(&socket, request, PATIENCE).map_err(|error| unanswered(&socket, &error))?;
    if answer.is_empty() {
        let text = format!("{}: the agent closed the connection; see its log", socket.display());
        return Err(Failure::new(Exit::NoAgent, text));
    }
    match serde_json::from_str::<Answer>(&answer) {
        Ok(Answer::Done { done }) => print(&format!("{done}\n")),
        Ok(Answer::Refused { error, exit }) => {
            let exit = exit.and_then(Exit::from_code).unwrap_or(Exit::No);
            Err(Failure::new(exit, format!("nothing was changed: {error}")))
        }
        Err(error) => {
            let text = format!("{}: not an answer of this version of locum: {error}", socket.display());
            Err(Failure::new(Exit::NoAgent, text))
        }
    }
}
