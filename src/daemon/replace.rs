use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::handover::{Document, Willing};
use super::protocol::{Command, Parked, ProtocolHandle};
use super::reload::{LARGEST, understand};
use super::run::Options;
use crate::io::handover::{self, Trial};
use crate::io::{capabilities, files};
use crate::report::{Answer, Event, Summary};
use crate::service::log::Log;
use crate::service::manager::{Stage, Stages};
use crate::types::{Exit, Failure};

/// How long the new program may take to say that it could take over.
const TRIAL: Duration = Duration::from_secs(5);
/// How long a quiet moment is waited for: no address on its way in or out.
const QUIET: Duration = Duration::from_secs(15);
/// How long lines that were told are given to be written, before and after the protocol thread has stopped.
const LOG_PATIENCE: Duration = Duration::from_millis(100);
const LAST_LINES: Duration = Duration::from_millis(10);
const LOOK: Duration = Duration::from_millis(1);
/// How long virtual routers are given to settle before the caller is told in any case.
const SETTLE: Duration = Duration::from_secs(5);
/// How long a caller may take to fetch the answer.
const ANSWER: Duration = Duration::from_secs(2);

/// All that is needed to have another program take this one's place.
#[derive(Debug)]
pub(super) struct Replacement {
    /// The file that is on disk under the name that this program was started by.
    pub(super) program: PathBuf,
    pub(super) options: Options,
    pub(super) lock: OwnedFd,
    pub(super) listener: OwnedFd,
    pub(super) keeper: Option<i32>,
}

/// A program that would do, and the configuration it would run.
struct Tried {
    trial: Trial,
    config: String,
}

impl Replacement {
    /// Tries the program on disk and becomes it; where that cannot be, the caller and the log are told why, and all
    /// goes on as before.
    pub(super) async fn run(self, caller: UnixStream, agent: ProtocolHandle, stages: Stages, log: Log) -> Self {
        stages.tell(Stage::Reloading);
        let (replacement, tried) = self.try_out().await;
        let answer = match tried {
            Ok(tried) => replacement.become_it(&tried, &caller, &agent, &log).await,
            Err(answer) => answer,
        };
        if let Answer::Refused { error, .. } = &answer {
            let program = replacement.program.display().to_string();
            log.tell(Event::ReplaceRefused { program, why: error.clone() });
        }
        stages.tell(Stage::Reloaded);
        tell(caller, &answer).await;
        replacement
    }

    async fn try_out(self) -> (Self, Result<Tried, Answer>) {
        let copy = (self.program.clone(), self.options.clone(), self.lock.as_raw_fd(), self.listener.as_raw_fd());
        let tried = tokio::task::spawn_blocking(move || {
            let (program, options, lock, listener) = copy;
            try_out(&program, &options, [lock, listener])
        });
        let tried = tried.await.unwrap_or_else(|error| Err(Answer::refused(error.to_string())));
        (self, tried)
    }

    async fn become_it(&self, tried: &Tried, caller: &UnixStream, agent: &ProtocolHandle, log: &Log) -> Answer {
        log.tell(Event::Replacing { program: self.program.display().to_string() });
        timeout(LOG_PATIENCE, async {
            while !log.is_idle() {
                sleep(LOOK).await;
            }
        })
        .await
        .ok();
        let (reply, parked) = oneshot::channel();
        if agent.send(Command::HandOver(reply)).await.is_err() {
            return Answer::refused("the agent is stopping");
        }
        match timeout(QUIET, parked).await {
            Ok(Ok(Err(error))) => Answer::refused(format!("the running agent cannot hand over: {error}")),
            Ok(Ok(Ok(parked))) => {
                let deadline = std::time::Instant::now() + LAST_LINES;
                while !log.is_idle() && std::time::Instant::now() < deadline {
                    std::thread::sleep(LOOK);
                }
                let error = self.replace(tried, caller, &parked);
                Answer::refused(format!("{}: {error}", self.program.display()))
            }
            Ok(Err(_)) => Answer::refused("the agent is stopping"),
            Err(_) => Answer::refused("addresses were on their way in or out all the time; try again"),
        }
    }

    /// Returns only if it fails.
    fn replace(&self, tried: &Tried, caller: &UnixStream, parked: &Parked) -> io::Error {
        let sockets = parked.sockets.iter().map(AsRawFd::as_raw_fd).collect();
        let numbers = [self.lock.as_raw_fd(), self.listener.as_raw_fd(), caller.as_raw_fd()];
        let mut document = Document::new(tried.config.clone(), numbers, sockets);
        document.keeper = self.keeper;
        document.sandboxed = true;
        document.remember(&parked.memory);
        let content = serde_json::to_vec(&document).map_err(io::Error::other);
        // Whoever reads it cannot come back any more.
        let content = content.and_then(|content| Document::read(&content).map(|_| content).map_err(io::Error::other));
        let file = match content.and_then(|content| handover::document(&content)) {
            Ok(file) => file,
            Err(error) => return error,
        };
        let others = [self.lock.as_fd(), self.listener.as_fd(), caller.as_fd()];
        let kept: Vec<BorrowedFd<'_>> = others.into_iter().chain(parked.sockets.iter().map(AsFd::as_fd)).collect();
        handover::become_program(&self.program, &tried.trial, &self.options.words("run"), &file, &kept)
    }
}

fn try_out(program: &std::path::Path, options: &Options, numbers: [i32; 2]) -> Result<Tried, Answer> {
    let refused = |error: String| Answer::Refused { error, exit: None };
    let config = files::read_text(&options.config, LARGEST)
        .map_err(|error| Answer::Refused { exit: Some(error.exit().code()), error: error.to_string() })?;
    let [lock, listener] = numbers;
    // Nobody waits in a trial, and no descriptor is handed over.
    let document = Document::new(config.clone(), [lock, listener, i32::MAX], Vec::new());
    let content = serde_json::to_vec(&document).map_err(|error| refused(error.to_string()))?;
    let input: File = handover::document(&content).map_err(|error| refused(error.to_string()))?;
    let trial = handover::try_out(program, &options.words("probe"), input, TRIAL).map_err(refused)?;
    match (trial.code, Willing::read(&trial.output)) {
        (Some(0), Some(_)) => Ok(Tried { trial, config }),
        (Some(0), None) => {
            Err(refused(format!("{}: it does not know how to take over from this agent", program.display())))
        }
        (Some(code), _) if code == i32::from(Exit::Configuration.code()) => {
            Err(Answer::Refused { error: trial.complaint, exit: Some(Exit::Configuration.code()) })
        }
        (code, _) => {
            let code = code.map_or_else(String::new, |code| format!(" (exit code {code})"));
            Err(refused(format!("{}: its trial failed{code}: {}", program.display(), trial.complaint)))
        }
    }
}

/// Tells a caller how it went.
pub(super) async fn tell(mut caller: UnixStream, answer: &Answer) {
    let Ok(mut text) = serde_json::to_string(answer) else { return };
    text.push('\n');
    let write = async {
        caller.write_all(text.as_bytes()).await?;
        caller.shutdown().await
    };
    // One that is gone or too slow gets no answer and misses none.
    timeout(ANSWER, write).await.ok();
}

/// Tells the caller of the agent before us that we have taken over, as soon as all virtual routers stand.
pub(super) async fn tell_when_settled(caller: UnixStream, before: String, mut summary: watch::Receiver<Summary>) {
    let settled = async { summary.wait_for(|summary| summary.settled).await.map(|summary| summary.line.clone()) };
    let line = match timeout(SETTLE, settled).await {
        Ok(Ok(line)) => line,
        Ok(Err(_)) | Err(_) => "not all virtual routers have settled yet; see `locum status`".to_owned(),
    };
    let done = format!("locum {} has taken over from {before}: {line}", env!("CARGO_PKG_VERSION"));
    tell(caller, &Answer::Done { done }).await;
}

/// `locum probe`: whether this program could take over from an agent that hands it this document on standard input.
/// Says so in one line on standard output.
///
/// # Errors
/// It could not: the document, the configuration or the rights are not such that it would run.
pub fn probe() -> Result<(), Failure> {
    let internal = |text: String| Failure::new(Exit::Internal, text);
    let content = handover::document_on_standard_input().map_err(|error| internal(error.to_string()))?;
    let document = Document::read(&content).map_err(internal)?;
    understand(Path::new("the configuration"), &document.config, false).map_err(|refusal| refusal.failure)?;
    capabilities::probe().map_err(|error| {
        let exit = if error.is_permission() { Exit::NotPermitted } else { Exit::Internal };
        Failure::new(exit, error.to_string())
    })?;
    let willing = serde_json::to_string(&Willing::this()).map_err(|error| internal(error.to_string()))?;
    io::Write::write_all(&mut io::stdout(), format!("{willing}\n").as_bytes())
        .map_err(|error| internal(error.to_string()))
}
