use std::path::{Path, PathBuf};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::{self, Config, Parsed};
use crate::io::{files, keys, system};
use crate::report::Answer;
use crate::types::{Exit, Failure};

/// Largest configuration that is read; the parser says what it makes of one that is larger than it takes.
pub(super) const LARGEST: usize = 2 << 20;
/// Warnings of one configuration that are told line by line.
const WARNINGS: usize = 20;
/// Callers that may wait for one reading.
const CALLERS: usize = 16;

/// A valid configuration, and a line for each thing that it hardly means.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) config: Config,
    pub(super) warnings: Vec<String>,
}

/// Why a configuration was not taken.
#[derive(Debug)]
pub(super) struct Refusal {
    /// In full, for who started this.
    pub(super) failure: Failure,
    /// In one line, for the log.
    pub(super) line: String,
}

impl Refusal {
    /// Nothing to do with what the file says.
    pub(super) fn other(text: &str) -> Self {
        Refusal { failure: Failure::new(Exit::Internal, text), line: text.to_owned() }
    }

    pub(super) fn answer(self) -> Answer {
        Answer::Refused { error: self.failure.text, exit: Some(self.failure.exit.code()) }
    }
}

/// Reads a configuration. What is wrong with it is told in full to who starts the agent, and in one line to the log.
pub(super) fn load(file: &Path, colour: bool) -> Result<Loaded, Refusal> {
    let source = files::read_text(file, LARGEST).map_err(|error| {
        let line = error.to_string();
        Refusal { failure: Failure::new(error.exit(), line.clone()), line }
    })?;
    understand(file, &source, colour)
}

/// The same of what was read already.
pub(super) fn understand(file: &Path, source: &str, colour: bool) -> Result<Loaded, Refusal> {
    let name = file.display().to_string();
    match config::parse(source, &system::host_name()) {
        Ok(Parsed { mut config, warnings }) => {
            read_keys(&mut config, &name)?;
            let told = warnings.iter().take(WARNINGS);
            let told = told.map(|warning| config::summary(std::slice::from_ref(warning), &name, source));
            Ok(Loaded { config, warnings: told.collect() })
        }
        Err(problems) => {
            let all = config::render(&problems, &name, source, colour);
            let text = format!("{name} is not valid\n{}", all.trim_end());
            let line = config::summary(&problems, &name, source);
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

/// Who waits for the outcome of a reload; a signal has nobody.
pub(super) type Caller = oneshot::Sender<Answer>;

/// One reading, and who asked for it.
#[derive(Debug)]
struct Reading {
    task: JoinHandle<Result<Loaded, Refusal>>,
    callers: Vec<Caller>,
}

/// Readings of the configuration, one at a time, away from the thread that awaits them: the disk may not answer.
#[derive(Debug)]
pub(super) struct Readings {
    file: PathBuf,
    under_way: Option<Reading>,
    /// Asked for since: the one under way may have read what was there before.
    next: Option<Vec<Caller>>,
}

impl Readings {
    pub(super) fn new(file: PathBuf) -> Self {
        Readings { file, under_way: None, next: None }
    }

    /// Begins one, or has another one follow the one that is under way.
    pub(super) fn ask(&mut self, caller: Option<Caller>) {
        match &mut self.under_way {
            Some(_) => {
                let callers = self.next.get_or_insert_default();
                match caller {
                    Some(caller) if callers.len() >= CALLERS => {
                        // Whoever asked may have gone away since.
                        drop(caller.send(Answer::refused("too many reloads are waiting already")));
                    }
                    caller => callers.extend(caller),
                }
            }
            None => self.begin(caller.into_iter().collect()),
        }
    }

    /// Ends with the reading that is under way, and begins the next; never ends if there is none. Nothing is lost if the
    /// wait is given up.
    pub(super) async fn done(&mut self) -> (Result<Loaded, Refusal>, Vec<Caller>) {
        let Some(reading) = &mut self.under_way else { return std::future::pending().await };
        let result = (&mut reading.task).await.unwrap_or_else(|error| Err(Refusal::other(&error.to_string())));
        let callers = self.under_way.take().map(|reading| reading.callers).unwrap_or_default();
        if let Some(callers) = self.next.take() {
            self.begin(callers);
        }
        (result, callers)
    }

    fn begin(&mut self, callers: Vec<Caller>) {
        let file = self.file.clone();
        let task = tokio::task::spawn_blocking(move || load(&file, false));
        self.under_way = Some(Reading { task, callers });
    }
}
