use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;

use crate::io::program::{Told, Watched};
use crate::io::{clock, program};
use crate::types::{Exit, Failure, Instant};

/// The first new runner is started at once, the next after this long, and then after twice as long each time.
const BACK_OFF: Duration = Duration::from_millis(500);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);
/// A runner that lived for this long starts the count anew.
const LIVED_WELL: Duration = Duration::from_secs(60);
/// How long a runner may take to end.
const PATIENCE: Duration = Duration::from_millis(500);

struct Keeper {
    agent: Watched,
    signals: SignalFd,
    /// The runner, while it lives.
    worker: Option<i32>,
    started_at: Instant,
    start_at: Instant,
    back_off: Duration,
}

/// Keeps a runner going for the agent with this process id, whose child we are: starts it with our standard input, and
/// anew when it has ended; ends it and returns once the agent has ended or says so.
///
/// # Errors
/// That agent is not what started us, or the system refuses something basic.
pub(super) fn keep(agent: i32) -> Result<(), Failure> {
    let internal = |error: io::Error| Failure::new(Exit::Internal, format!("the keeper of the runner ends: {error}"));
    let agent = program::watch_parent(agent).map_err(internal)?;
    program::become_runner().map_err(internal)?;
    let signals = program::signals().map_err(internal)?;
    let now = clock::now();
    let (started_at, start_at) = (now, now);
    let mut keeper = Keeper { agent, signals, worker: None, started_at, start_at, back_off: Duration::ZERO };
    let result = keeper.run();
    keeper.end();
    result.map_err(internal)
}

impl Keeper {
    fn run(&mut self) -> io::Result<()> {
        loop {
            if self.worker.is_none() && self.start_at <= clock::now() {
                self.start();
            }
            let until = if self.worker.is_none() { Some(self.start_at) } else { None };
            if self.agent_has_ended(until)? {
                return Ok(());
            }
            while let Some(signal) = self.signals.read_signal()? {
                let number = i32::try_from(signal.ssi_signo).unwrap_or_default();
                if number == libc::SIGUSR1 {
                    return Ok(());
                }
                if number == libc::SIGUSR2
                    && let Some(worker) = self.worker
                {
                    program::tell(worker, Told::Die)?;
                }
            }
            self.reap()?;
        }
    }

    fn start(&mut self) {
        let now = clock::now();
        self.started_at = now;
        match program::start_self_as_child(&["runner", "--role", "worker"]) {
            Ok(worker) => self.worker = Some(worker),
            // The agent hears of it, as nobody takes its requests.
            Err(_) => self.delay(now),
        }
    }

    fn delay(&mut self, now: Instant) {
        if now.since(self.started_at) >= LIVED_WELL {
            self.back_off = Duration::ZERO;
        }
        self.start_at = now + self.back_off;
        self.back_off = (self.back_off * 2).clamp(BACK_OFF, LONGEST_BACK_OFF);
    }

    /// Waits for a signal, or that it is time; whether the agent has ended.
    fn agent_has_ended(&self, until: Option<Instant>) -> io::Result<bool> {
        let mut fds = [&self.agent.as_fd(), &self.signals.as_fd()].map(|fd| PollFd::new(*fd, PollFlags::POLLIN));
        let timeout = until.map_or(PollTimeout::NONE, |until| super::up_to(until.since(clock::now())));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [agent, _] = fds;
        Ok(agent.any().unwrap_or(false))
    }

    /// Orphans of its programs come to us when a runner has died.
    fn reap(&mut self) -> io::Result<()> {
        while let Some(pid) = program::ended_child()? {
            program::reap(pid)?;
            if self.worker == Some(pid) {
                self.worker = None;
                self.delay(clock::now());
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        let Some(worker) = self.worker else { return };
        // It ends what it has started; if it hangs, the kernel does, for all that is left in its place.
        program::tell(worker, Told::End).ok();
        let deadline = clock::now() + PATIENCE;
        while clock::now() < deadline {
            match program::reap(worker) {
                Ok(None) => std::thread::sleep(Duration::from_millis(2)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        program::tell(worker, Told::Die).ok();
    }
}
