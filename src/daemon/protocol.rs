use std::io;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::handover::Sockets;
use super::hands::Hands;
use super::pulse::Pulse;
use super::turn::{Beside, Loop};
use crate::config::Config;
use crate::io::clock;
use crate::io::realtime::Thread;
use crate::io::record::Kept;
use crate::io::systemd::Manager;
use crate::proto::Agent;
use crate::report::status::Status;
use crate::report::{Event, Summary};
use crate::types::{CheckName, CheckResult, Memory};

/// Commands that may wait for the protocol thread.
const COMMANDS: usize = 256;

/// What the service side wants of the agent.
#[derive(Debug)]
pub enum Command {
    /// One run of a check has ended.
    Check {
        /// Which.
        name: CheckName,
        /// How.
        result: CheckResult,
        /// The last line it printed.
        output: String,
    },
    /// Take over a new configuration, and tell in words what came of it. Dropped without if the agent is stopping.
    Reload(Box<Config>, oneshot::Sender<String>),
    /// Real time was taken away from the protocol thread.
    RealtimeTaken,
    /// Resign, linger and end.
    Stop,
    /// End without waiting for a successor.
    StopAtOnce,
    /// Stop at a quiet moment, so that another program can take this one's place. Dropped without if the agent is stopping.
    HandOver(oneshot::Sender<io::Result<Parked>>),
    /// End without resigning and without removing anything.
    Leave,
    /// Say how things stand.
    Snapshot(oneshot::Sender<Status>),
}

/// The protocol thread stands still, and goes on when this is dropped, or after two seconds.
#[derive(Debug)]
pub struct Parked {
    /// Its sockets, which may be handed on.
    pub sockets: Vec<OwnedFd>,
    /// What the agent knows at this moment.
    pub memory: Memory,
    /// Nothing is ever sent.
    pub(super) _go_on: std::sync::mpsc::Sender<()>,
}

/// The protocol thread has ended, or has not kept up with 256 commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Gone {
    /// It has ended.
    #[error("the agent has stopped")]
    Stopped,
    /// 256 commands wait for it already.
    #[error("the agent is too busy to take another command")]
    Busy,
}

/// How the service side reaches the protocol thread. The agent stops when the last of these is dropped.
#[derive(Debug, Clone)]
pub struct ProtocolHandle {
    commands: mpsc::Sender<Command>,
    thread: Thread,
}

impl ProtocolHandle {
    /// Hands a command over, waiting for room.
    ///
    /// # Errors
    /// [`Gone::Stopped`].
    pub async fn send(&self, command: Command) -> Result<(), Gone> {
        self.commands.send(command).await.map_err(|_| Gone::Stopped)
    }

    /// Hands a command over at once or not at all.
    ///
    /// # Errors
    /// Either of [`Gone`].
    pub fn try_send(&self, command: Command) -> Result<(), Gone> {
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Gone::Busy,
            mpsc::error::TrySendError::Closed(_) => Gone::Stopped,
        })
    }

    /// Schedules the protocol thread as usual, at once: it did not let others run.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn take_realtime(&self) -> io::Result<()> {
        self.thread.leave_realtime()
    }

    /// How things stand.
    ///
    /// # Errors
    /// [`Gone::Stopped`].
    pub async fn snapshot(&self) -> Result<Status, Gone> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Snapshot(reply)).await?;
        answer.await.map_err(|_| Gone::Stopped)
    }
}

/// Tells when the protocol thread has ended.
#[derive(Debug)]
pub struct ProtocolJoin {
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl ProtocolJoin {
    /// Ends when the agent has let everything go and the thread is over. Of its use, that is its only way to end.
    pub async fn ended(self) {
        // The sender is dropped by the thread as its last act, whatever that was.
        drop(self.ended.await);
        if let Err(panic) = self.thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// What the protocol thread begins with.
#[derive(Debug)]
pub struct Start {
    /// What it is asked to do.
    pub config: Config,
    /// Where log lines go. Those that find no room are counted and told of later.
    pub events: mpsc::Sender<Event>,
    /// Where it says in short how things stand, when that changes.
    pub summary: watch::Sender<Summary>,
    /// The service manager, if it watches us, and how long it waits to hear from the thread.
    pub watchdog: Option<(Manager, Duration)>,
    /// Sockets that an agent before this one has left open.
    pub sockets: Option<Sockets>,
    /// What it knew.
    pub memory: Option<Memory>,
    /// What was kept of an earlier process: it goes on from that, as far as it can.
    pub kept: Kept,
}

impl Start {
    /// With this configuration and log, and nobody else who listens.
    pub fn new(config: Config, kept: Kept, events: mpsc::Sender<Event>) -> Self {
        Start { config, events, summary: watch::Sender::default(), watchdog: None, sockets: None, memory: None, kept }
    }
}

/// Starts the protocol thread in the network namespace of the caller and waits until its sockets are open.
///
/// # Errors
/// The system's: no netlink, no threads, no file descriptors.
pub fn spawn(start: Start) -> io::Result<(ProtocolHandle, ProtocolJoin)> {
    let (commands, queue) = mpsc::channel(COMMANDS);
    let (over, ended) = oneshot::channel::<()>();
    let (ready, begun) = std::sync::mpsc::sync_channel(1);
    let Start { config, events, summary, watchdog, sockets, memory, kept } = start;
    let pulse = watchdog.map(|(manager, limit)| Pulse::new(manager, limit));
    let thread = std::thread::Builder::new().name("locum-protocol".to_owned()).spawn(move || {
        let run = || -> io::Result<_> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            let hands = {
                let _context = runtime.enter();
                Hands::new(kept, events, sockets)?
            };
            Ok((runtime, hands))
        };
        match run() {
            Ok((runtime, hands)) => {
                drop(ready.send(Ok(Thread::current())));
                let wanted = config.realtime;
                let mut turns =
                    Loop::new(Agent::new(config, clock::now()), hands, queue, Beside { summary, pulse, memory });
                turns.schedule(wanted);
                runtime.block_on(turns.run());
            }
            Err(error) => drop(ready.send(Err(error))),
        }
        drop(over);
    })?;
    match begun.recv() {
        Ok(Ok(thread_id)) => Ok((ProtocolHandle { commands, thread: thread_id }, ProtocolJoin { ended, thread })),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the protocol thread ended before it began")),
    }
}
