//! Runs the checks: asks the runner for programs when they are due, tells the agent how each run ended.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Request;
use super::log::Log;
use super::schedule::{Health, Schedule};
use super::starter::{Heard, Place, Runner};
use crate::io::clock;
use crate::report::Event;
use crate::types::{CheckName, CheckResult, CheckSpec, Instant, ProgramOutcome, ProgramReport};

/// The checks of one configuration, by name.
pub type Specs = BTreeMap<CheckName, CheckSpec>;

/// A runner that is lost is looked for again at once, then after this long, and then after twice as long each time.
const BACK_OFF: Duration = Duration::from_millis(100);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);
/// A runner that lived for this long starts the count anew.
const LIVED_WELL: Duration = Duration::from_secs(60);

/// Runs the checks that come over `specs`, each set in place of the one before, until that channel is closed; then
/// what the runner has started is ended, and the runner too if it is our own.
pub async fn run(place: Place, specs: mpsc::Receiver<Specs>, agent: mpsc::Sender<Request>, log: Log) {
    let mut checks = Checks::new(place, specs, agent, log);
    checks.connect(clock::now()).await;
    checks.run().await;
    drop(checks.runner);
    checks.place.leave().await;
}

#[derive(Debug)]
struct Checks {
    schedule: Schedule,
    specs: mpsc::Receiver<Specs>,
    agent: mpsc::Sender<Request>,
    log: Log,
    place: Place,
    runner: Option<Runner>,
    connected_at: Instant,
    /// When a runner that was lost is looked for again.
    connect_at: Option<Instant>,
    back_off: Duration,
}

/// What ended a wait.
enum Wake {
    Time,
    Heard(Heard),
    Specs(Option<Specs>),
}

impl Checks {
    fn new(place: Place, specs: mpsc::Receiver<Specs>, agent: mpsc::Sender<Request>, log: Log) -> Self {
        Checks {
            schedule: Schedule::default(),
            specs,
            agent,
            log,
            place,
            runner: None,
            connected_at: Instant::default(),
            connect_at: None,
            back_off: Duration::ZERO,
        }
    }

    async fn run(&mut self) {
        loop {
            match self.wait().await {
                Wake::Time => self.time(clock::now()).await,
                Wake::Heard(Heard::Report(report)) => self.report(report).await,
                Wake::Heard(Heard::Lost(why)) => self.lost(why, clock::now()).await,
                Wake::Specs(Some(specs)) => {
                    let now = clock::now();
                    self.schedule.configure(specs, now);
                    self.begin_due(now).await;
                }
                Wake::Specs(None) => return,
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        let next = [self.schedule.next(), self.connect_at].into_iter().flatten().min();
        let time = async {
            match next {
                Some(next) => sleep(next.since(clock::now())).await,
                None => std::future::pending().await,
            }
        };
        let heard = async {
            match &mut self.runner {
                Some(runner) => runner.hear().await,
                None => std::future::pending().await,
            }
        };
        // In this order: a report that has come is read before time decides against its run.
        tokio::select! {
            biased;
            specs = self.specs.recv() => Wake::Specs(specs),
            heard = heard => Wake::Heard(heard),
            () = time => Wake::Time,
        }
    }

    async fn time(&mut self, now: Instant) {
        if self.connect_at.is_some_and(|at| at <= now) {
            self.connect_at = None;
            self.connect(now).await;
        }
        match self.schedule.look_for_overdue(now) {
            Health::Fine => {}
            Health::Hung => {
                for name in self.schedule.end_overdue(now) {
                    self.tell(name, CheckResult::TimedOut, "the runner did not report its end".to_owned()).await;
                }
                let mut why = "it hangs".to_owned();
                if let Some(Err(error)) = self.runner.as_ref().map(|runner| self.place.replace(runner)) {
                    why = format!("it hangs and cannot be replaced: {error}");
                }
                self.lost(why, now).await;
            }
        }
        self.begin_due(now).await;
    }

    async fn begin_due(&mut self, now: Instant) {
        for (name, request) in self.schedule.begin_due(now) {
            let asked = match &self.runner {
                Some(runner) => runner.ask(&request),
                None => Err("the runner of check programs is gone".to_owned()),
            };
            if let Err(why) = asked {
                self.schedule.end(request.id);
                self.tell(name, CheckResult::CouldNotRun, why).await;
            }
        }
    }

    async fn report(&mut self, report: ProgramReport) {
        let ProgramReport { id, outcome, output } = report;
        // The run of a check that has been changed or removed since is nobody's.
        let Some(name) = self.schedule.end(id) else { return };
        let (result, output) = match outcome {
            ProgramOutcome::Exited(0) => (CheckResult::Ok, output),
            ProgramOutcome::Exited(code) => (CheckResult::Failed, or_else(output, || format!("exit code {code}"))),
            ProgramOutcome::Signalled(signal) => (CheckResult::Killed, or_else(output, || format!("signal {signal}"))),
            ProgramOutcome::TimedOut => (CheckResult::TimedOut, output),
            ProgramOutcome::CouldNotRun(why) => (CheckResult::CouldNotRun, why),
        };
        self.tell(name, result, output).await;
    }

    /// Connects to the runner, or notes that there is none.
    async fn connect(&mut self, now: Instant) {
        self.connected_at = now;
        match self.place.connect() {
            Ok(runner) => self.runner = Some(runner),
            Err(why) => self.lost(format!("it {why}"), now).await,
        }
    }

    /// The runner is gone: every run with it has failed, and it is looked for again, since whoever keeps it going starts
    /// another one.
    async fn lost(&mut self, why: String, now: Instant) {
        self.log.tell(Event::RunnerLost { why });
        self.runner = None;
        if now.since(self.connected_at) >= LIVED_WELL {
            self.back_off = Duration::ZERO;
        }
        self.connect_at = Some(now + self.back_off);
        self.back_off = (self.back_off * 2).clamp(BACK_OFF, LONGEST_BACK_OFF);
        for name in self.schedule.end_all() {
            self.tell(name, CheckResult::CouldNotRun, "the runner of check programs is gone".to_owned()).await;
        }
    }

    async fn tell(&self, name: CheckName, result: CheckResult, output: String) {
        // An agent that has stopped needs no results; whoever closes `specs` ends us too.
        self.agent.send(Request::Check { name, result, output }).await.ok();
    }
}

/// What it printed, or what else can be said.
fn or_else(output: String, say: impl FnOnce() -> String) -> String {
    if output.is_empty() { say() } else { output }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::log;
    use crate::types::ProgramRequest;

    /// The runner's end of a channel, played by the test.
    struct Played(UnixDatagram);

    type UnixDatagram = tokio::net::UnixDatagram;

    impl Played {
        async fn request(&self) -> ProgramRequest {
            let mut buffer = vec![0; 65_536];
            let count = self.0.recv(&mut buffer).await.expect("a request");
            serde_json::from_slice(&buffer[..count]).expect("a request")
        }

        async fn report(&self, id: u64, outcome: ProgramOutcome) {
            let report = ProgramReport { id, outcome, output: "said".to_owned() };
            self.0.send(&serde_json::to_vec(&report).expect("json")).await.expect("sent");
        }
    }

    struct Bench {
        played: Option<Played>,
        specs: mpsc::Sender<Specs>,
        agent: mpsc::Receiver<Request>,
        events: mpsc::Receiver<Event>,
        checks: Checks,
    }

    fn bench() -> Bench {
        let (ours, theirs) = crate::io::channel::pair().expect("a channel");
        let theirs = std::os::unix::net::UnixDatagram::from(theirs);
        theirs.set_nonblocking(true).expect("set");
        let (specs, receiver) = mpsc::channel(1);
        let (sender, agent) = mpsc::channel(16);
        let (log, events) = log::channel();
        let mut checks =
            Checks::new(Place::played_by_test(std::path::Path::new("/nonexistent")), receiver, sender, log);
        checks.runner = Some(Runner::played_by_test(ours));
        checks.connected_at = clock::now();
        Bench { played: Some(Played(UnixDatagram::from_std(theirs).expect("a socket"))), specs, agent, events, checks }
    }

    fn spec(name: &str, interval: u64, timeout: u64) -> Specs {
        let name: CheckName = name.parse().expect("a name");
        let (interval, timeout) = (Duration::from_millis(interval), Duration::from_millis(timeout));
        let script = vec!["/bin/x".to_owned(), "y".to_owned()];
        Specs::from([(
            name.clone(),
            CheckSpec { name, script, interval, timeout, rise: 1, fall: 1, weight: None, user: None },
        )])
    }

    async fn result(agent: &mut mpsc::Receiver<Request>) -> (String, CheckResult, String) {
        match agent.recv().await {
            Some(Request::Check { name, result, output }) => (name.to_string(), result, output),
            Some(Request::Snapshot(_)) | None => panic!("no result came"),
        }
    }

    fn on_runtime(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(test);
    }

    #[test]
    fn outcomes_become_results() {
        on_runtime(async {
            let Bench { played, specs, mut agent, mut checks, .. } = bench();
            let played = played.expect("there");
            tokio::spawn(async move { checks.run().await });
            specs.send(spec("web", 1, 60_000)).await.expect("taken");
            for (outcome, expected) in [
                (ProgramOutcome::Exited(0), (CheckResult::Ok, "said")),
                (ProgramOutcome::Exited(1), (CheckResult::Failed, "said")),
                (ProgramOutcome::Signalled(9), (CheckResult::Killed, "said")),
                (ProgramOutcome::TimedOut, (CheckResult::TimedOut, "said")),
                (ProgramOutcome::CouldNotRun("/bin/x: gone".to_owned()), (CheckResult::CouldNotRun, "/bin/x: gone")),
            ] {
                let request = played.request().await;
                assert_eq!((request.argv, request.timeout_ms), (vec!["/bin/x".to_owned(), "y".to_owned()], 60_000));
                assert_eq!(request.environment.get("LOCUM_CHECK").map(String::as_str), Some("web"));
                // A report of a run that nobody asked for changes nothing.
                played.report(u64::MAX, ProgramOutcome::Exited(0)).await;
                played.report(request.id, outcome).await;
                let (name, result, output) = result(&mut agent).await;
                assert_eq!((name.as_str(), result, output.as_str()), ("web", expected.0, expected.1));
            }
        });
    }

    #[test]
    fn a_runner_that_dies_fails_every_run_and_is_told_of() {
        on_runtime(async {
            let Bench { mut played, specs, mut agent, mut events, mut checks } = bench();
            checks.back_off = LONGEST_BACK_OFF;
            tokio::spawn(async move { checks.run().await });
            specs.send(spec("web", 20, 60_000)).await.expect("taken");
            played.as_ref().expect("there").request().await;
            played = None;
            assert!(played.is_none());
            assert!(matches!(events.recv().await, Some(Event::RunnerLost { .. })));
            // The run under way, and then each that falls due while there is no runner.
            for _ in 0..3 {
                assert_eq!(result(&mut agent).await.1, CheckResult::CouldNotRun);
            }
        });
    }

    #[test]
    fn a_runner_that_hangs_is_no_healthy_check() {
        on_runtime(async {
            let Bench { played, specs, mut agent, mut events, mut checks } = bench();
            checks.back_off = LONGEST_BACK_OFF;
            tokio::spawn(async move { checks.run().await });
            specs.send(spec("web", 60_000, 10)).await.expect("taken");
            played.as_ref().expect("there").request().await;
            assert_eq!(result(&mut agent).await.1, CheckResult::TimedOut);
            assert!(matches!(events.recv().await, Some(Event::RunnerLost { .. })));
        });
    }

    #[test]
    fn it_ends_when_nobody_configures_it_any_more() {
        on_runtime(async {
            let Bench { specs, mut checks, .. } = bench();
            drop(specs);
            checks.run().await;
        });
    }
}
