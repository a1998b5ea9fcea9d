//! The runner as seen from the agent: a process to reach, ask, hear and replace.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixDatagram;

use crate::io::channel::{self, Listener, Peer};
use crate::io::program::{self, Told};
use crate::io::users;
use crate::types::{ProgramReport, ProgramRequest, RUNNER_SOCKET};

/// Where a runner listens that this agent has started itself.
const OWN_SOCKET: &str = "own-runner.sock";
/// Most bytes of one message, either way; the runner has the same limit.
const MAX_MESSAGE: usize = 64 * 1024;
/// What is told of one that has closed its end.
const ENDED: &str = "it ended, or does not serve us";
/// How long a keeper may take to end, and how often it is looked whether it has.
const END_PATIENCE: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(5);

/// Where the runner is, for as long as this process lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    /// The process that keeps it going, if we have started it; a service otherwise.
    keeper: Option<i32>,
    /// Besides root and ourselves this user may be the runner: who owns the runtime directory can put anybody there.
    owner: u32,
}

impl Place {
    /// The service that listens in this runtime directory; without one a runner of our own is started there. Our own
    /// keeps the rights that we have now.
    ///
    /// # Errors
    /// The system's.
    pub fn find(runtime_dir: &Path) -> io::Result<Self> {
        if runtime_dir.join(RUNNER_SOCKET).try_exists()? {
            return Place::known(runtime_dir, None);
        }
        let owner = runtime_dir.metadata()?.uid();
        let path = runtime_dir.join(OWN_SOCKET);
        let listener: OwnedFd = Listener::bind(&path)?.into();
        let agent = std::process::id().to_string();
        let keeper = program::start_self(&["runner", "--role", "keeper", "--agent", &agent], listener)?;
        Ok(Place { path, keeper: Some(keeper), owner })
    }

    /// The one that the agent before us in this process had: its keeper, or else the service. We could start none.
    ///
    /// # Errors
    /// The system's.
    pub fn known(runtime_dir: &Path, keeper: Option<i32>) -> io::Result<Self> {
        let path = runtime_dir.join(if keeper.is_some() { OWN_SOCKET } else { RUNNER_SOCKET });
        Ok(Place { path, keeper, owner: runtime_dir.metadata()?.uid() })
    }

    /// The process that keeps it going, if it is not a service; it stays a child of this process, whatever that becomes.
    pub fn keeper(&self) -> Option<i32> {
        self.keeper
    }

    /// Connects to it.
    ///
    /// # Errors
    /// In words that go on from "the runner of check programs".
    pub(super) fn connect(&self) -> Result<Runner, String> {
        let path = self.path.display();
        let (channel, peer) = channel::connect(&self.path).map_err(|error| match (error.kind(), self.keeper) {
            (io::ErrorKind::WouldBlock, _) => format!("does not take connections at {path}"),
            (_, None) => format!("does not listen at {path} ({error}); see `systemctl status locum-runner`"),
            (_, Some(_)) => format!("has no keeper any more ({error}), and only a new agent can start one; restart it"),
        })?;
        if ![0, users::own_uid(), self.owner].contains(&peer.uid) {
            return Err(format!("at {path} is of user {}, and is not asked", peer.uid));
        }
        Runner::new(channel, peer).map_err(|error| format!("cannot be heard: {error}"))
    }

    /// Has one that hangs killed, so that another one takes its place.
    pub(super) fn replace(&self, runner: &Runner) -> io::Result<()> {
        match self.keeper {
            Some(keeper) => program::tell(keeper, Told::Replace),
            // It lives, since its end of the channel is open; the service manager starts it anew.
            None => program::tell(runner.peer.pid, Told::Die),
        }
    }

    /// Ends the runner, if it is our own. Awaits its end.
    pub(super) async fn leave(self) {
        let Some(keeper) = self.keeper else { return };
        for told in [Told::End, Told::Die] {
            program::tell(keeper, told).ok();
            let gone = async {
                while matches!(program::reap(keeper), Ok(None)) {
                    tokio::time::sleep(LOOK).await;
                }
            };
            if tokio::time::timeout(END_PATIENCE, gone).await.is_ok() {
                return;
            }
        }
        // Killed but unable to die, for a disk that does not answer: nothing can be done about it.
    }

    #[cfg(test)]
    pub(super) fn played_by_test(path: &Path) -> Self {
        Place { path: path.to_owned(), keeper: None, owner: users::own_uid() }
    }
}

/// A runner that can be talked to.
#[derive(Debug)]
pub(super) struct Runner {
    channel: UnixDatagram,
    /// The same socket: tokio's own way of sending fails before it has seen the socket ready once.
    sender: std::os::unix::net::UnixDatagram,
    peer: Peer,
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
    #[cfg(test)]
    pub(super) fn played_by_test(channel: std::os::unix::net::UnixDatagram) -> Self {
        Runner::new(channel, Peer { pid: 0, uid: users::own_uid() }).expect("a channel")
    }

    fn new(channel: std::os::unix::net::UnixDatagram, peer: Peer) -> io::Result<Self> {
        let sender = channel.try_clone()?;
        Ok(Runner { channel: UnixDatagram::from_std(channel)?, sender, peer, buffer: vec![0; MAX_MESSAGE] })
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
            Ok(0) => Heard::Lost(ENDED.to_owned()),
            Ok(count) => match serde_json::from_slice(self.buffer.get(..count).unwrap_or_default()) {
                Ok(report) => Heard::Report(report),
                Err(error) => Heard::Lost(format!("it sent what is no report: {error}")),
            },
            // It had not read all that it was asked for.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Heard::Lost(ENDED.to_owned()),
            Err(error) => Heard::Lost(error.to_string()),
        }
    }
}
