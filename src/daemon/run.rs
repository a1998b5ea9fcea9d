use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

use super::handover::{self, Inherited, Sockets};
use super::life::{Checks, Life, warn};
use super::protocol::{Command, ProtocolHandle, Start, spawn};
use super::reload::{Loaded, Readings, load, understand};
use super::replace::{self, Replacement};
use super::signals::Signals;
use crate::config::Config;
use crate::io::files::RuntimeDir;
use crate::io::handover as io_handover;
use crate::io::record::Kept;
use crate::io::systemd::{self, Manager};
use crate::io::{capabilities, sandbox, system};
use crate::report::{Event, Summary};
use crate::service::log::Log;
use crate::service::manager::{self, Stages};
use crate::service::starter::Place;
use crate::service::{Order, Request, checks, log, socket};
use crate::types::{Exit, Failure, Memory};

/// Requests of the service side that may wait.
const REQUESTS: usize = 64;
/// Orders that may wait.
const ORDERS: usize = 4;
/// The status socket's name in the runtime directory.
const SOCKET: &str = "locum.sock";

/// What `locum run` was told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration.
    pub config: PathBuf,
    /// Where lock and socket are.
    pub runtime_dir: PathBuf,
}

impl Options {
    /// The command line that says the same with this command.
    pub(super) fn words(&self, command: &str) -> Vec<OsString> {
        let (config, runtime_dir) = (self.config.clone().into(), self.runtime_dir.clone().into());
        vec![command.into(), "--config".into(), config, "--runtime-dir".into(), runtime_dir]
    }
}

/// Runs the agent in this process until it is told to stop and has let everything go.
///
/// # Errors
/// It cannot begin: the configuration, the runtime directory, the rights or the system do not allow it.
pub fn run(options: &Options) -> Result<(), Failure> {
    // First of all: what is handed over goes by numbers that nothing else may have yet.
    let inherited = handover::inherited().map_err(|text| Failure::new(Exit::Internal, text))?;
    // A reload or a stop that comes too early is done as soon as it can be.
    io_handover::hold_signals_back().map_err(internal("hold signals back"))?;
    let program = io_handover::own_path().map_err(internal("find this program"))?;
    let colour = system::stderr_has_colour();
    let loaded = match &inherited {
        Some(inherited) => understand(&options.config, &inherited.config, colour),
        None => load(&options.config, colour),
    };
    let loaded = loaded.map_err(|refusal| refusal.failure)?;
    let (lock, before) = inherited.map(Before::split).unzip();
    let claimed = match lock {
        Some(lock) => RuntimeDir::claim_again(&options.runtime_dir, lock),
        None => RuntimeDir::claim(&options.runtime_dir),
    };
    let runtime_dir = claimed.map_err(|error| Failure::new(error.exit(), format!("runtime directory {error}")))?;
    let probed = match before {
        // It was found out in the trial, and what is opened for it would have to be closed: the next program could not
        // begin before the kernel has done that.
        Some(_) => None,
        None => Some(capabilities::probe().map_err(|error| {
            let exit = if error.is_permission() { Exit::NotPermitted } else { Exit::Internal };
            Failure::new(exit, error.to_string())
        })?),
    };
    // While this process is small, has one thread and all its rights.
    let place = match &before {
        Some(before) => Place::known(runtime_dir.path(), before.keeper),
        None => Place::find(runtime_dir.path()),
    };
    let runner = place.map_err(internal("start the runner of check programs"))?;
    let laid = before.as_ref().is_some_and(|before| before.sandboxed);
    let missing = sandbox::enter(&needs(options, &loaded.config, &runtime_dir, &program, laid));
    let (log, writer) = log::start().map_err(internal("start the log"))?;
    drop(probed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(internal("start"))?;
    for sandbox::Missing { what, why } in missing {
        log.tell(Event::SystemRefused { router: None, what: what.to_owned(), error: why });
    }
    if let Err(error) = system::lift_file_limit() {
        let what = "open more files than usual, for many interfaces".to_owned();
        log.tell(Event::SystemRefused { router: None, what, error: error.to_string() });
    }
    let service = Service { program, options: options.clone(), runtime_dir, log: log.clone() };
    let result = runtime.block_on(service.run(loaded, runner, before));
    // What still waits for a disk or a child must not keep us.
    runtime.shutdown_background();
    writer.finish(log);
    result
}

/// What must stay within reach.
fn needs(options: &Options, config: &Config, runtime_dir: &RuntimeDir, program: &Path, laid: bool) -> sandbox::Needs {
    let keys = config.key_files().into_iter().map(Path::to_owned);
    sandbox::Needs {
        files: std::iter::once(options.config.clone()).chain(keys).collect(),
        runtime_dir: runtime_dir.path().to_owned(),
        program: program.to_owned(),
        realtime: config.realtime,
        laid,
    }
}

fn internal(what: &str) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::new(Exit::Internal, format!("cannot {what}: {error}"))
}

/// What an agent before us in this process has left, beside configuration and lock.
struct Before {
    program: String,
    listener: OwnedFd,
    caller: OwnedFd,
    sockets: Sockets,
    memory: Memory,
    keeper: Option<i32>,
    sandboxed: bool,
}

impl Before {
    fn split(inherited: Inherited) -> (OwnedFd, Self) {
        let Inherited { program, config: _, lock, listener, caller, sockets, memory, keeper, sandboxed } = inherited;
        (lock, Before { program, listener, caller, sockets, memory, keeper, sandboxed })
    }
}

/// The service side: this thread.
struct Service {
    program: PathBuf,
    options: Options,
    runtime_dir: RuntimeDir,
    log: Log,
}

impl Service {
    async fn run(self, loaded: Loaded, runner: Place, before: Option<Before>) -> Result<(), Failure> {
        let signals = Signals::new().map_err(internal("listen for signals"))?;
        let path = self.runtime_dir.file(SOCKET);
        let what = format!("open the status socket {}", path.display());
        let kept = Kept::open(self.runtime_dir.path());
        let mut start = Start::new(loaded.config, kept, self.log.sender());
        io_handover::let_signals_come().map_err(internal("listen for signals"))?;
        let listener = match before {
            Some(before) => self.succeed(before, &mut start).map_err(internal("go on from the agent before"))?,
            None => socket::open(&path).map_err(internal(&what))?,
        };
        let specs = start.config.checks_in_use();
        warn(&self.log, loaded.warnings);
        let replacement_parts = (self.runtime_dir.lock().try_clone_to_owned(), listener.as_fd().try_clone_to_owned());
        let keeper = runner.keeper();
        let (start, stages) = self.managed(start);
        let (agent, join) = spawn(start).map_err(internal("start the protocol thread"))?;
        let (checks, orders) = self.serve(listener, runner, &agent);
        // The channel is empty and has room for one.
        checks.specs.send(specs).await.ok();
        let readings = Readings::new(self.options.config.clone());
        let replacement = Replacement {
            program: self.program.clone(),
            options: self.options.clone(),
            lock: replacement_parts.0.map_err(internal("keep the lock of the runtime directory"))?,
            listener: replacement_parts.1.map_err(internal("keep the status socket"))?,
            keeper,
        };
        let (specs, log) = (Some(checks.specs), self.log.clone());
        let life = Life { agent, specs, readings, replacement: Some(replacement), orders, stages, log };
        let result = life.run(signals, join, checks.task).await;
        match self.runtime_dir.remove_stale(SOCKET) {
            Ok(()) => {}
            Err(error) => {
                let what = format!("remove {}", path.display());
                self.log.tell(Event::SystemRefused { router: None, what, error: error.to_string() });
            }
        }
        result
    }

    /// Goes on from the agent that was this process before: its status socket.
    fn succeed(&self, before: Before, start: &mut Start) -> std::io::Result<UnixListener> {
        let Before { program, listener, caller, sockets, memory, keeper: _, sandboxed: _ } = before;
        self.log.tell(Event::Replaced { before: program.clone(), version: env!("CARGO_PKG_VERSION") });
        start.sockets = Some(sockets);
        start.memory = Some(memory);
        let caller = std::os::unix::net::UnixStream::from(caller);
        caller.set_nonblocking(true)?;
        tokio::spawn(replace::tell_when_settled(UnixStream::from_std(caller)?, program, start.summary.subscribe()));
        let listener = std::os::unix::net::UnixListener::from(listener);
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    }

    /// Has the service manager told how things stand, if there is one that listens.
    fn managed(&self, mut start: Start) -> (Start, Stages) {
        let summary: watch::Receiver<Summary> = start.summary.subscribe();
        let watchdog = systemd::watchdog();
        start.watchdog = watchdog.and_then(|limit| Some((self.manager()?, limit)));
        let stages = manager::start(self.manager(), summary, self.log.clone());
        (start, stages)
    }

    fn manager(&self) -> Option<Manager> {
        Manager::from_environment().unwrap_or_else(|error| {
            let what = "reach the service manager".to_owned();
            self.log.tell(Event::SystemRefused { router: None, what, error: error.to_string() });
            None
        })
    }

    /// Starts what runs beside the agent.
    fn serve(&self, listener: UnixListener, runner: Place, agent: &ProtocolHandle) -> (Checks, mpsc::Receiver<Order>) {
        let (requests, queue) = mpsc::channel(REQUESTS);
        let (orders, ordered) = mpsc::channel(ORDERS);
        tokio::spawn(forward(queue, agent.clone()));
        tokio::spawn(socket::serve(listener, requests.clone(), orders));
        let (specs, receiver) = mpsc::channel(1);
        let task = tokio::spawn(checks::run(runner, receiver, requests, self.log.clone()));
        (Checks { specs, task }, ordered)
    }
}

/// Hands what the service side wants to the protocol thread.
async fn forward(mut queue: mpsc::Receiver<Request>, agent: ProtocolHandle) {
    while let Some(request) = queue.recv().await {
        let command = match request {
            Request::Check { name, result, output } => Command::Check { name, result, output },
            Request::Snapshot(reply) => Command::Snapshot(reply),
        };
        if agent.send(command).await.is_err() {
            return;
        }
    }
}
