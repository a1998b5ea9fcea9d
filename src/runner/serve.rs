use std::collections::{BTreeMap, VecDeque};
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;

use super::last_line::LastLine;
use crate::io::{clock, program, system};
use crate::types::{Exit, Failure, Instant, ProgramOutcome, ProgramReport, ProgramRequest};

/// Most programs at once; one more is reported as "could not run". Twice the checks a configuration may have, so that
/// each may have one run and one that was killed and cannot die yet.
pub const MAX_RUNS: usize = 512;
/// Most bytes of one message, either way.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// What is read of a program's output at once, and then how long not again: 6 MB/s cost little, and who prints more waits.
const OUTPUT_READ: usize = 64 * 1024;
const OUTPUT_PAUSE: Duration = Duration::from_millis(10);
/// Messages taken in at one wake-up.
const REQUESTS: usize = 64;

/// One program under way.
#[derive(Debug)]
struct Run {
    id: u64,
    /// `None` once nobody can write to it any more, or nobody reads it any more.
    output: Option<PipeReader>,
    last_line: LastLine,
    not_read_before: Instant,
    /// When it is killed; `None` after that, while it dies.
    deadline: Option<Instant>,
}

#[derive(Debug)]
struct Runner {
    channel: UnixDatagram,
    signals: SignalFd,
    /// By process id.
    runs: BTreeMap<i32, Run>,
    reports: VecDeque<ProgramReport>,
    buffer: Vec<u8>,
}

/// What a wake-up was for.
struct Ready {
    requests: bool,
    signals: bool,
    outputs: Vec<i32>,
}

/// Serves the agent until it closes the channel.
///
/// # Errors
/// Standard input is no channel, or the system refuses something basic.
pub fn run() -> Result<(), Failure> {
    let channel = program::standard_input_channel().map_err(|_| {
        let text = "`locum runner` is started by `locum run` with a channel as its standard input, not by hand";
        Failure::new(Exit::Usage, text)
    })?;
    let internal =
        |error: io::Error| Failure::new(Exit::Internal, format!("the runner of check programs ends: {error}"));
    program::become_runner().map_err(internal)?;
    let signals = program::signals().map_err(internal)?;
    let (runs, reports) = (BTreeMap::new(), VecDeque::new());
    let mut runner = Runner { channel, signals, runs, reports, buffer: vec![0; OUTPUT_READ] };
    let result = runner.serve();
    for pid in runner.runs.keys() {
        // Whatever may not be killed by us must not keep us from killing the rest.
        program::kill_group(*pid).ok();
    }
    result.map_err(internal)
}

impl Runner {
    fn serve(&mut self) -> io::Result<()> {
        loop {
            let ready = self.wait()?;
            for pid in ready.outputs {
                self.read_output(pid);
            }
            // What has ended did so in time, however late we look: only then does time decide.
            if ready.signals {
                while self.signals.read_signal()?.is_some() {}
            }
            self.reap()?;
            self.end_overdue(clock::now());
            if ready.requests && !self.take_requests()? {
                return Ok(());
            }
            if !self.send_reports()? {
                return Ok(());
            }
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let now = clock::now();
        let mut channel = PollFlags::empty();
        // Whoever does not fetch reports gets no further programs started.
        channel.set(PollFlags::POLLIN, self.reports.len() < MAX_RUNS);
        channel.set(PollFlags::POLLOUT, !self.reports.is_empty());
        let mut fds =
            vec![PollFd::new(self.channel.as_fd(), channel), PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        let (mut pids, mut next) = (Vec::new(), None::<Instant>);
        for (pid, run) in &self.runs {
            let mut due = run.deadline;
            match &run.output {
                Some(output) if run.not_read_before <= now => {
                    fds.push(PollFd::new(output.as_fd(), PollFlags::POLLIN));
                    pids.push(*pid);
                }
                Some(_) => due = due.map(|due| due.min(run.not_read_before)),
                None => {}
            }
            next = [next, due].into_iter().flatten().min();
        }
        let timeout = next.map_or(PollTimeout::NONE, |next| up_to(next.since(now)));
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut any = fds.iter().map(|fd| fd.any().unwrap_or(false));
        let (requests, signals) = (any.next().unwrap_or(false), any.next().unwrap_or(false));
        let outputs = pids.into_iter().zip(any).filter(|(_, any)| *any).map(|(pid, _)| pid).collect();
        Ok(Ready { requests, signals, outputs })
    }

    fn read_output(&mut self, pid: i32) {
        let Some(run) = self.runs.get_mut(&pid) else { return };
        let Some(output) = &mut run.output else { return };
        match output.read(&mut self.buffer) {
            Ok(0) => run.output = None,
            Ok(count) => {
                run.last_line.push(self.buffer.get(..count).unwrap_or_default());
                if count == self.buffer.len() {
                    run.not_read_before = clock::now() + OUTPUT_PAUSE;
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => run.output = None,
        }
    }

    /// Reaps all that has ended, orphans included, and reports the runs among it.
    fn reap(&mut self) -> io::Result<()> {
        while let Some(pid) = program::ended_child()? {
            // Before its process id can belong to another: while it waits to be reaped it is still taken.
            if self.runs.contains_key(&pid) {
                // What of it runs as another user and may not be killed by us has gone its own way.
                program::kill_group(pid).ok();
                self.read_output(pid);
            }
            let Some(ended) = program::reap(pid)? else { continue };
            if let Some(Run { id, last_line, deadline: Some(_), .. }) = self.runs.remove(&pid) {
                let outcome = match ended {
                    program::Ended::Exited(code) => ProgramOutcome::Exited(code),
                    program::Ended::Signalled(signal) => ProgramOutcome::Signalled(signal),
                };
                self.reports.push_back(ProgramReport { id, outcome, output: last_line.text() });
            }
        }
        Ok(())
    }

    fn end_overdue(&mut self, now: Instant) {
        for (pid, run) in &mut self.runs {
            if run.deadline.is_some_and(|deadline| deadline <= now) {
                run.deadline = None;
                run.output = None;
                let output = match program::kill_group(*pid) {
                    Ok(()) => run.last_line.text(),
                    Err(error) => format!("process group {pid} cannot be killed: {error}"),
                };
                self.reports.push_back(ProgramReport { id: run.id, outcome: ProgramOutcome::TimedOut, output });
            }
        }
    }

    /// False when the agent has closed its end.
    fn take_requests(&mut self) -> io::Result<bool> {
        for _ in 0..REQUESTS {
            let count = match self.channel.recv(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error),
            };
            let request = serde_json::from_slice(self.buffer.get(..count).unwrap_or_default());
            // The agent is of the same build, so this is a fault of ours; it is better ended than half understood.
            self.start(request.map_err(io::Error::other)?);
        }
        Ok(true)
    }

    fn start(&mut self, request: ProgramRequest) {
        let ProgramRequest { id, argv, timeout_ms, mut environment } = request;
        environment.retain(|name, _| name.starts_with("LOCUM_"));
        let started = if self.runs.len() < MAX_RUNS {
            let program = argv.first().map(String::as_str).unwrap_or_default();
            program::start(&argv, &environment).map_err(|error| system::why_not_started(program.as_ref(), &error))
        } else {
            Err(format!("{MAX_RUNS} programs run already"))
        };
        match started {
            Ok(started) => {
                let now = clock::now();
                let run = Run {
                    id,
                    output: Some(started.output),
                    last_line: LastLine::default(),
                    not_read_before: now,
                    deadline: Some(now + Duration::from_millis(timeout_ms)),
                };
                self.runs.insert(started.pid, run);
            }
            Err(why) => {
                let outcome = ProgramOutcome::CouldNotRun(why);
                self.reports.push_back(ProgramReport { id, outcome, output: String::new() });
            }
        }
    }

    /// False when the agent has closed its end.
    fn send_reports(&mut self) -> io::Result<bool> {
        while let Some(report) = self.reports.front() {
            let message = serde_json::to_vec(report).map_err(io::Error::other)?;
            match self.channel.send(&message) {
                Ok(_) => drop(self.reports.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// A time to wait, in whole milliseconds and not less.
fn up_to(span: Duration) -> PollTimeout {
    PollTimeout::try_from(span.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
}
