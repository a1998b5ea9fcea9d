use std::io;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::hands::Hands;
use super::turn::Loop;
use crate::config::Config;
use crate::io::clock;
use crate::io::record::Kept;
use crate::proto::Agent;
use crate::report::Event;
use crate::report::status::Status;
use crate::types::{CheckName, CheckResult};

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
    /// Take over a new configuration.
    Reload(Box<Config>),
    /// Resign, linger and end.
    Stop,
    /// End without waiting for a successor.
    StopAtOnce,
    /// End without resigning and without removing anything.
    Leave,
    /// Say how things stand.
    Snapshot(oneshot::Sender<Status>),
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

/// Starts the protocol thread in the network namespace of the caller and waits until its sockets are open. It goes on
/// from what was `kept` of an earlier process, as far as it can. Log lines that `events` cannot take are counted and told of later.
///
/// # Errors
/// The system's: no netlink, no threads, no file descriptors.
pub fn spawn(config: Config, kept: Kept, events: mpsc::Sender<Event>) -> io::Result<(ProtocolHandle, ProtocolJoin)> {
    let (commands, queue) = mpsc::channel(COMMANDS);
    let (over, ended) = oneshot::channel::<()>();
    let (ready, begun) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name("locum-protocol".to_owned()).spawn(move || {
        let run = || -> io::Result<_> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
            let hands = {
                let _context = runtime.enter();
                Hands::new(kept, events)?
            };
            Ok((runtime, hands))
        };
        match run() {
            Ok((runtime, hands)) => {
                drop(ready.send(Ok(())));
                runtime.block_on(Loop::new(Agent::new(config, clock::now()), hands, queue).run());
            }
            Err(error) => drop(ready.send(Err(error))),
        }
        drop(over);
    })?;
    match begun.recv() {
        Ok(Ok(())) => Ok((ProtocolHandle { commands }, ProtocolJoin { ended, thread })),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::Error::other("the protocol thread ended before it began")),
    }
}
