use std::path::{Path, PathBuf};
use std::pin::pin;

use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::protocol::{Command, ProtocolHandle, ProtocolJoin, spawn};
use crate::config::{self, Config, Parsed};
use crate::io::files::{self, RuntimeDir};
use crate::io::{capabilities, keys, sandbox, system};
use crate::report::Event;
use crate::service::log::Log;
use crate::service::{Request, checks, log, socket, starter};
use crate::types::{Exit, Failure};

/// Largest configuration that is read; the parser says what it makes of one that is larger than it takes.
const LARGEST: usize = 2 << 20;
/// Requests of the service side that may wait.
const REQUESTS: usize = 64;
/// Warnings of one configuration that are told line by line.
const WARNINGS: usize = 20;
/// The status socket's name in the runtime directory.
const SOCKET: &str = "locum.sock";

/// What `locum run` was told.
#[derive(Debug)]
pub struct Options {
    /// The configuration.
    pub config: PathBuf,
    /// Where lock and socket are.
    pub runtime_dir: PathBuf,
}

/// Runs the agent in this process until it is told to stop and has let everything go.
///
/// # Errors
/// It cannot begin: the configuration, the runtime directory, the rights or the system do not allow it.
pub fn run(options: &Options) -> Result<(), Failure> {
    let loaded = load(&options.config).map_err(|refusal| refusal.failure)?;
    let runtime_dir = RuntimeDir::claim(&options.runtime_dir)
        .map_err(|error| Failure::new(error.exit(), format!("runtime directory {error}")))?;
    capabilities::probe().map_err(|error| {
        let exit = if error.is_permission() { Exit::NotPermitted } else { Exit::Internal };
        Failure::new(exit, error.to_string())
    })?;
    // While this process is small, has one thread and all its rights.
    let runner = starter::Place::find(runtime_dir.path()).map_err(internal("start the runner of check programs"))?;
    let missing = sandbox::enter(&needs(options, &loaded.config, &runtime_dir)?);
    let (log, writer) = log::start().map_err(internal("start the log"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(internal("start"))?;
    let service = Service { file: options.config.clone(), log: log.clone() };
    for sandbox::Missing { what, why } in missing {
        log.tell(Event::SystemRefused { router: None, what: what.to_owned(), error: why });
    }
    let result = runtime.block_on(service.run(loaded, runner, &runtime_dir));
    // What still waits for a disk or a child must not keep us.
    runtime.shutdown_background();
    writer.finish(log);
    result
}

/// What must stay within reach.
fn needs(options: &Options, config: &Config, runtime_dir: &RuntimeDir) -> Result<sandbox::Needs, Failure> {
    let keys = config.key_files().into_iter().map(Path::to_owned);
    let program = std::fs::read_link("/proc/self/exe").map_err(internal("find this program"))?;
    Ok(sandbox::Needs {
        files: std::iter::once(options.config.clone()).chain(keys).collect(),
        runtime_dir: runtime_dir.path().to_owned(),
        program,
        realtime: false,
        laid: false,
    })
}

fn internal(what: &str) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::new(Exit::Internal, format!("cannot {what}: {error}"))
}

/// Reads a configuration. What is wrong with it is told in full to who starts the agent, and in one line to the log.
fn load(file: &Path) -> Result<Loaded, Refusal> {
    let source = files::read_text(file, LARGEST).map_err(|error| {
        let line = error.to_string();
        Refusal { failure: Failure::new(error.exit(), line.clone()), line }
    })?;
    let name = file.display().to_string();
    match config::parse(&source, &system::host_name()) {
        Ok(Parsed { mut config, warnings }) => {
            read_keys(&mut config, &name)?;
            let told = warnings.iter().take(WARNINGS);
            let told = told.map(|warning| config::summary(std::slice::from_ref(warning), &name, &source));
            Ok(Loaded { config, warnings: told.collect() })
        }
        Err(problems) => {
            let all = config::render(&problems, &name, &source, system::stderr_has_colour());
            let text = format!("{name} is not valid\n{}", all.trim_end());
            let line = config::summary(&problems, &name, &source);
            Err(Refusal { failure: Failure::new(Exit::Configuration, text), line })
        }
    }
}

/// Reads the key files that a configuration names; one that cannot be used is a mistake of the configuration.
fn read_keys(config: &mut Config, name: &str) -> Result<(), Refusal> {
    let (mut secrets, mut errors) = (config::Secrets::new(), Vec::new());
    for file in config.key_files() {
        match keys::read(file) {
            Ok(secret) => drop(secrets.insert(file.to_owned(), secret)),
            Err(error) => errors.push(format!("key file {error}; {}", error.remedy(file))),
        }
    }
    config.secrets = secrets;
    if errors.is_empty() {
        return Ok(());
    }
    let text = format!("{name} cannot be used\n{}", errors.join("\n"));
    Err(Refusal { failure: Failure::new(Exit::Configuration, text), line: format!("{name}: {}", errors.join(", ")) })
}

/// Why a configuration was not taken.
#[derive(Debug)]
struct Refusal {
    failure: Failure,
    line: String,
}

/// A valid configuration, and a line for each thing that it hardly means.
#[derive(Debug)]
struct Loaded {
    config: Config,
    warnings: Vec<String>,
}

/// The service side: this thread.
struct Service {
    file: PathBuf,
    log: Log,
}

impl Service {
    async fn run(self, loaded: Loaded, runner: starter::Place, runtime_dir: &RuntimeDir) -> Result<(), Failure> {
        let signals = Signals::new().map_err(internal("listen for signals"))?;
        let path = runtime_dir.file(SOCKET);
        let what = format!("open the status socket {}", path.display());
        let listener = socket::open(&path).map_err(internal(&what))?;
        let specs = loaded.config.checks.clone();
        self.warn(loaded.warnings);
        let (agent, join) = spawn(loaded.config, self.log.sender()).map_err(internal("start the protocol thread"))?;
        let checks = self.serve(listener, runner, &agent);
        // The channel is empty and has room for one.
        checks.specs.send(specs).await.ok();
        let result = self.until_ended(signals, agent, join, checks).await;
        match runtime_dir.remove_stale(SOCKET) {
            Ok(()) => {}
            Err(error) => {
                let what = format!("remove {}", path.display());
                self.log.tell(Event::SystemRefused { router: None, what, error: error.to_string() });
            }
        }
        result
    }

    /// Starts what runs beside the agent.
    fn serve(&self, listener: UnixListener, runner: starter::Place, agent: &ProtocolHandle) -> Checks {
        let (requests, queue) = mpsc::channel(REQUESTS);
        tokio::spawn(forward(queue, agent.clone()));
        tokio::spawn(socket::serve(listener, requests.clone()));
        let (specs, receiver) = mpsc::channel(1);
        let task = tokio::spawn(checks::run(runner, receiver, requests, self.log.clone()));
        Checks { specs, task }
    }

    async fn until_ended(
        &self,
        mut signals: Signals,
        agent: ProtocolHandle,
        join: ProtocolJoin,
        checks: Checks,
    ) -> Result<(), Failure> {
        let mut ended = pin!(join.ended());
        let Checks { specs, task } = checks;
        let mut specs = Some(specs);
        let mut loading = None;
        let mut load_again = false;
        loop {
            let loaded = async {
                match &mut loading {
                    Some(loading) => loading.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut ended => break,
                told = signals.next() => match told {
                    Told::Stop => {
                        // While lingering no check decides anything, and a service manager may have ended its program.
                        let command = if specs.take().is_some() { Command::Stop } else { Command::StopAtOnce };
                        // That it has stopped already is what `ended` tells.
                        agent.send(command).await.ok();
                    }
                    Told::Reload if loading.is_some() => load_again = true,
                    Told::Reload => loading = Some(self.load()),
                },
                result = loaded => {
                    loading = std::mem::take(&mut load_again).then(|| self.load());
                    self.take_over(result.unwrap_or_else(|error| Err(error.to_string())), &agent, specs.as_ref()).await;
                }
            }
        }
        if specs.take().is_some() {
            return Err(Failure::new(Exit::Internal, "the protocol thread ended without having been told to"));
        }
        // It was told to end long ago; what is awaited is that its programs are gone.
        task.await.ok();
        Ok(())
    }

    /// Reads the configuration again, away from this thread: the disk may not answer.
    fn load(&self) -> JoinHandle<Result<Loaded, String>> {
        let file = self.file.clone();
        tokio::task::spawn_blocking(move || load(&file).map_err(|refusal| refusal.line))
    }

    async fn take_over(
        &self,
        loaded: Result<Loaded, String>,
        agent: &ProtocolHandle,
        specs: Option<&mpsc::Sender<checks::Specs>>,
    ) {
        match (loaded, specs) {
            (Ok(loaded), Some(specs)) => {
                self.warn(loaded.warnings);
                let checks = loaded.config.checks.clone();
                // First the agent, so that it knows the checks whose results come.
                agent.send(Command::Reload(Box::new(loaded.config))).await.ok();
                specs.send(checks).await.ok();
            }
            (Ok(_), None) => self.log.tell(Event::ReloadRefused { why: "the agent is stopping".to_owned() }),
            (Err(why), Some(_) | None) => self.log.tell(Event::ReloadRefused { why }),
        }
    }

    fn warn(&self, warnings: Vec<String>) {
        for what in warnings {
            self.log.tell(Event::ConfigWarning { what });
        }
    }
}

/// The checks: what is asked of them, and the task that runs them until that channel is closed.
struct Checks {
    specs: mpsc::Sender<checks::Specs>,
    task: JoinHandle<()>,
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

/// The signals that mean something to us. SIGPIPE is ignored from the start, as in every Rust program.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    reload: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.reload.recv() => Told::Reload,
        }
    }
}

/// What a signal told us.
enum Told {
    Stop,
    Reload,
}
