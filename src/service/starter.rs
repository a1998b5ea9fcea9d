//! The runner as seen from the agent: a process to start, ask, hear and replace.

use std::io;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use tokio::net::UnixDatagram;

use crate::io::program;
use crate::types::{ProgramReport, ProgramRequest};

/// Most bytes of one message, either way; the runner has the same limit.
const MAX_MESSAGE: usize = 64 * 1024;
/// How long a runner may take to end once its channel is closed.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// A runner that was started. May be made outside of a tokio runtime.
#[derive(Debug)]
pub struct Started {
    child: Child,
    channel: std::os::unix::net::UnixDatagram,
}

/// Starts a runner: this very program anew, as `locum runner`.
///
/// # Errors
/// The system's.
pub fn start() -> io::Result<Started> {
    let (child, channel) = program::start_self(&["runner"])?;
    Ok(Started { child, channel })
}

/// The process id of the runner that is in use, for whoever must reap it after us.
#[derive(Debug, Clone, Default)]
pub struct RunnerPid(Arc<AtomicI32>);

impl RunnerPid {
    /// `None` while there is none.
    pub fn get(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|pid| *pid > 0)
    }

    pub(super) fn set(&self, pid: Option<u32>) {
        self.0.store(pid.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0), Ordering::Relaxed);
    }
}

/// A runner that can be talked to.
#[derive(Debug)]
pub(super) struct Runner {
    /// `None` where there is no process to care for (tests).
    child: Option<Child>,
    channel: UnixDatagram,
    /// The same socket: tokio's own way of sending fails before it has seen the socket ready once.
    sender: std::os::unix::net::UnixDatagram,
    buffer: Vec<u8>,
}

/// What was heard of a runner.
#[derive(Debug)]
pub(super) enum Heard {
    Report(ProgramReport),
    /// It is gone, or talks nonsense; in words.
    Lost(String),
}

impl Runner {
    pub(super) fn connect(started: Started) -> io::Result<Self> {
        Runner::new(Some(started.child), started.channel)
    }

    fn new(child: Option<Child>, channel: std::os::unix::net::UnixDatagram) -> io::Result<Self> {
        let sender = channel.try_clone()?;
        Ok(Runner { child, channel: UnixDatagram::from_std(channel)?, sender, buffer: vec![0; MAX_MESSAGE] })
    }

    #[cfg(test)]
    pub(super) fn played_by_test(channel: std::os::unix::net::UnixDatagram) -> Self {
        Runner::new(None, channel).expect("a channel")
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Asks for a program to be started, without waiting.
    pub(super) fn ask(&self, request: &ProgramRequest) -> Result<(), String> {
        let message = serde_json::to_vec(request).map_err(|error| error.to_string())?;
        if message.len() > MAX_MESSAGE {
            return Err(format!("its arguments have more than {MAX_MESSAGE} bytes"));
        }
        self.sender.send(&message).map(drop).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => "the runner does not take requests".to_owned(),
            _ => format!("the runner cannot be asked: {error}"),
        })
    }

    /// What it says next. Nothing is lost if the wait is given up.
    pub(super) async fn hear(&mut self) -> Heard {
        match self.channel.recv(&mut self.buffer).await {
            Ok(0) => Heard::Lost("it ended".to_owned()),
            Ok(count) => match serde_json::from_slice(self.buffer.get(..count).unwrap_or_default()) {
                Ok(report) => Heard::Report(report),
                Err(error) => Heard::Lost(format!("it sent what is no report: {error}")),
            },
            Err(error) => Heard::Lost(error.to_string()),
        }
    }

    /// Closes the channel, upon which it kills its programs and ends; killed if it does not. Awaits its end.
    pub(super) async fn end(self, at_once: bool) {
        let Runner { child, channel, sender, .. } = self;
        drop((channel, sender));
        let Some(mut child) = child else { return };
        if at_once {
            child.kill().ok();
        }
        let pid = child.id();
        let mut waiting = tokio::task::spawn_blocking(move || child.wait());
        if tokio::time::timeout(END_PATIENCE, &mut waiting).await.is_err() {
            program::kill(pid).ok();
            // Killed but unable to die, for a disk that does not answer: nothing can be done about it.
            tokio::time::timeout(END_PATIENCE, waiting).await.ok();
        }
    }
}
