use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::{print, table};
use crate::report::Answer;
use crate::report::status::Status;
use crate::types::{Exit, Failure};

/// How long an answer is waited for: longer than a busy agent takes to say that it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// Largest answer that is read; a thousand virtual routers fill a tenth of it.
const LARGEST: u64 = 64 << 20;

/// `locum status`: how things stand, as a table or as the document itself.
///
/// # Errors
/// No agent answers in `runtime_dir`, it may not be asked by this user, or it answers with an error.
pub fn status(runtime_dir: &Path, json: bool) -> Result<(), Failure> {
    let socket = runtime_dir.join("locum.sock");
    let answer = ask(&socket, "{\"command\":\"status\"}\n", PATIENCE).map_err(|error| unanswered(&socket, &error))?;
    if answer.is_empty() {
        let text = format!("{}: the agent closed the connection; it is ending or very busy", socket.display());
        return Err(Failure::new(Exit::NoAgent, text));
    }
    match serde_json::from_str::<Status>(&answer) {
        Ok(_) if json => print(&answer),
        Ok(status) => print(&table::table(&status)),
        Err(error) => Err(match serde_json::from_str::<Answer>(&answer) {
            Ok(Answer::Refused { error, .. }) => Failure::new(Exit::NoAgent, format!("the agent answers: {error}")),
            Ok(Answer::Done { .. }) | Err(_) => {
                let text = format!("{}: not an answer of this version of locum: {error}", socket.display());
                Failure::new(Exit::NoAgent, text)
            }
        }),
    }
}

pub(super) fn ask(socket: &Path, request: &str, patience: Duration) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(LARGEST).read_to_string(&mut answer)?;
    Ok(answer)
}

pub(super) fn unanswered(socket: &Path, error: &io::Error) -> Failure {
    let path = socket.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => Failure::new(
            Exit::NotPermitted,
            format!("{path}: permission denied; run it as root or as a member of the agent's group"),
        ),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::new(
            Exit::NoAgent,
            format!(
                "no agent runs there ({path}: {error}); see `systemctl status locum` and start it with `systemctl start locum`, \
                 without systemd with `locum run`, or name its --runtime-dir"
            ),
        ),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failure::new(
            Exit::NoAgent,
            format!("{path}: the agent does not answer; it may be stopped by a debugger or starved of CPU"),
        ),
        _ => Failure::new(Exit::NoAgent, format!("{path}: {error}")),
    }
}
