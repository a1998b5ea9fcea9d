//! What the service manager is told (systemd, `Type=notify` or `notify-reload`): that the agent is ready, reloads or
//! stops, and in one line how it stands.

use std::io;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::log::Log;
use crate::io::systemd::{Manager, NotifyState};
use crate::report::{Event, Summary};

/// Longest wait for all virtual routers to settle. A boot goes on without one whose checks have not said anything; its
/// status says so.
const PATIENCE: Duration = Duration::from_secs(30);
/// What is to be told that may wait.
const QUEUE: usize = 16;
/// A queue of the service manager's that is full is tried again after this long, and this often.
const PAUSE: Duration = Duration::from_millis(100);
const ATTEMPTS: u32 = 50;

/// A stage of the agent's life that the service manager waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The configuration is being read again, or the program replaced.
    Reloading,
    /// That is over: done, or there was nothing to do.
    Reloaded,
    /// That is over, and what is on disk was refused.
    Refused,
    /// It resigns and will end.
    Stopping,
}

/// How the stages are told. Telling never waits.
#[derive(Debug, Clone)]
pub struct Stages(Option<mpsc::Sender<Stage>>);

impl Stages {
    /// Tells one; nothing happens where nobody listens.
    pub fn tell(&self, stage: Stage) {
        if let Some(stages) = &self.0 {
            // Sixteen that wait mean a manager that does not listen; it has its own limits of patience.
            stages.try_send(stage).ok();
        }
    }
}

/// Starts telling, in the tokio runtime of the caller.
pub fn start(manager: Option<Manager>, summary: watch::Receiver<Summary>, log: Log) -> Stages {
    let Some(manager) = manager else { return Stages(None) };
    let (sender, stages) = mpsc::channel(QUEUE);
    tokio::spawn(
        Teller { manager, log, ready: false, busy: None, refused: false, line: String::new(), failed: false }
            .run(summary, stages),
    );
    Stages(Some(sender))
}

struct Teller {
    manager: Manager,
    log: Log,
    /// Told that it is ready.
    ready: bool,
    /// Stopping or reloading.
    busy: Option<Stage>,
    /// What is on disk is not what runs, and would not.
    refused: bool,
    /// How all virtual routers stand.
    line: String,
    /// The last message could not be sent.
    failed: bool,
}

impl Teller {
    async fn run(mut self, mut summary: watch::Receiver<Summary>, mut stages: mpsc::Receiver<Stage>) {
        let patience = Instant::now() + PATIENCE;
        loop {
            tokio::select! {
                biased;
                stage = stages.recv() => match stage {
                    Some(stage) => self.stage(stage).await,
                    None => return,
                },
                changed = summary.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let Summary { settled, line } = summary.borrow_and_update().clone();
                    self.stands(settled, line).await;
                }
                () = sleep_until(patience), if !self.ready => {
                    let line = summary.borrow().line.clone();
                    self.stands(true, line).await;
                }
            }
        }
    }

    async fn stage(&mut self, stage: Stage) {
        match stage {
            Stage::Reloading => {
                self.busy = Some(stage);
                // Without the time a service manager could not tell this reload from the one before.
                match NotifyState::monotonic_usec_now() {
                    Ok(time) => self.tell(&[NotifyState::Reloading, time]).await,
                    Err(_) => self.tell(&[NotifyState::Reloading]).await,
                }
            }
            Stage::Reloaded | Stage::Refused => {
                self.busy = None;
                self.ready = true;
                let refused = stage == Stage::Refused;
                if std::mem::replace(&mut self.refused, refused) == refused {
                    self.tell(&[NotifyState::Ready]).await;
                } else {
                    self.tell(&[NotifyState::Ready, NotifyState::Status(&self.status())]).await;
                }
            }
            Stage::Stopping => {
                self.busy = Some(stage);
                self.tell(&[NotifyState::Stopping, NotifyState::Status("stopping: waiting for the successor")]).await;
            }
        }
    }

    /// Whoever looks would not know otherwise that the next start is in danger.
    fn status(&self) -> String {
        let refused =
            if self.refused { "; what is on disk was refused and does not run: see `locum check`" } else { "" };
        format!("{}{refused}", self.line)
    }

    async fn stands(&mut self, settled: bool, line: String) {
        self.line = line;
        let line = &self.status();
        match self.busy {
            None if settled && !self.ready => {
                self.ready = true;
                self.tell(&[NotifyState::Ready, NotifyState::Status(line)]).await;
            }
            None | Some(Stage::Reloading | Stage::Reloaded | Stage::Refused) => {
                self.tell(&[NotifyState::Status(line)]).await
            }
            // It would hide that it stops.
            Some(Stage::Stopping) => {}
        }
    }

    async fn tell(&mut self, states: &[NotifyState<'_>]) {
        for _ in 0..ATTEMPTS {
            match self.manager.tell(states) {
                Ok(()) => {
                    self.failed = false;
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(PAUSE).await,
                Err(error) => return self.fail(&error),
            }
        }
        self.fail(&io::Error::from(io::ErrorKind::WouldBlock));
    }

    /// One line until it works again.
    fn fail(&mut self, error: &io::Error) {
        if !std::mem::replace(&mut self.failed, true) {
            let what = "tell the service manager how things stand".to_owned();
            self.log.tell(Event::SystemRefused { router: None, what, error: error.to_string() });
        }
    }
}
