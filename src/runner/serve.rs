use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::{self, PipeReader, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signalfd::SignalFd;

use super::admission::{Users, may_ask, why_not_started};
use super::last_line::LastLine;
use crate::io::channel::Listener;
use crate::io::{clock, handover, program, system};
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
    role: Role,
    listener: Listener,
    /// The agent, while it is connected.
    channel: Option<UnixDatagram>,
    signals: SignalFd,
    /// By process id.
    runs: BTreeMap<i32, Run>,
    reports: VecDeque<ProgramReport>,
    users: Users,
    buffer: Vec<u8>,
}

/// What a runner answers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A service of its own: it ends when it is told to terminate. An upgrade puts another program at its path, which
    /// takes its place, and its socket, before the next agent is served.
    Service {
        /// Its own path.
        program: PathBuf,
        /// What follows the name of the program on its command line.
        arguments: Vec<OsString>,
    },
    /// A child of the keeper: what ends the agent's terminal or service must not end it before the agent.
    Worker,
}

/// What a wake-up was for.
struct Ready {
    requests: bool,
    signals: bool,
    outputs: Vec<i32>,
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    End,
    Yield,
}

/// Serves one agent after the other until it is told to end.
///
/// # Errors
/// The system refuses something basic.
pub(super) fn serve(listener: Listener, role: Role) -> Result<(), Failure> {
    let internal = |error: io::Error| Failure::new(Exit::Internal, format!("the runner of programs ends: {error}"));
    program::become_runner().map_err(internal)?;
    let signals = program::signals().map_err(internal)?;
    let (runs, reports, users) = (BTreeMap::new(), VecDeque::new(), Users::default());
    let mut runner =
        Runner { role, listener, channel: None, signals, runs, reports, users, buffer: vec![0; OUTPUT_READ] };
    if matches!(runner.role, Role::Service { .. }) {
        program::tell_ready().map_err(internal)?;
    }
    let result = runner.serve();
    runner.forget_agent();
    match (result.map_err(internal)?, runner.role) {
        (Then::Yield, Role::Service { program, arguments }) => {
            let error = program::become_other(&program, &arguments, runner.listener.into());
            Err(internal(io::Error::new(error.kind(), format!("{}: {error}", program.display()))))
        }
        (Then::GoOn | Then::End | Then::Yield, Role::Service { .. } | Role::Worker) => Ok(()),
    }
}

impl Runner {
    fn serve(&mut self) -> io::Result<Then> {
        loop {
            let ready = self.wait()?;
            for pid in ready.outputs {
                self.read_output(pid);
            }
            // What has ended did so in time, however late we look: only then does time decide.
            if ready.signals && self.read_signals()? == Then::End {
                return Ok(Then::End);
            }
            self.reap()?;
            self.end_overdue(clock::now());
            if ready.requests && self.hear()? == Then::Yield {
                return Ok(Then::Yield);
            }
            self.send_reports()?;
        }
    }

    fn read_signals(&mut self) -> io::Result<Then> {
        let mut then = Then::GoOn;
        while let Some(signal) = self.signals.read_signal()? {
            let number = i32::try_from(signal.ssi_signo).unwrap_or_default();
            let terminated = matches!(number, libc::SIGTERM | libc::SIGINT);
            if number == libc::SIGUSR1 || (terminated && self.role != Role::Worker) {
                then = Then::End;
            }
        }
        Ok(then)
    }

    /// Accepts an agent, or takes in what the one that is there asks for.
    fn hear(&mut self) -> io::Result<Then> {
        if self.channel.is_some() {
            if !self.take_requests()? {
                self.forget_agent();
            }
            return Ok(Then::GoOn);
        }
        if let Role::Service { program, .. } = &self.role
            && handover::is_replaced(program)
        {
            // Who has connected waits for it.
            return Ok(Then::Yield);
        }
        if let Some((channel, peer)) = self.listener.accept()? {
            match may_ask(peer) {
                Ok(()) => self.channel = Some(channel),
                // In the journal: whoever tries that should be seen.
                Err(why) => {
                    system::complain(&format!("process {} of user {} was sent away: {why}", peer.pid, peer.uid))
                }
            }
        }
        Ok(Then::GoOn)
    }

    /// The agent has gone: nobody waits for what it has asked for any more.
    fn forget_agent(&mut self) {
        self.channel = None;
        self.reports.clear();
        for (pid, run) in &mut self.runs {
            (run.deadline, run.output) = (None, None);
            // Whatever may not be killed by us must not keep us from killing the rest.
            program::kill_group(*pid).ok();
        }
    }

    fn wait(&self) -> io::Result<Ready> {
        let now = clock::now();
        let asker = match &self.channel {
            Some(channel) => {
                let mut events = PollFlags::empty();
                // Whoever does not fetch reports gets no further programs started.
                events.set(PollFlags::POLLIN, self.reports.len() < MAX_RUNS);
                events.set(PollFlags::POLLOUT, !self.reports.is_empty());
                PollFd::new(channel.as_fd(), events)
            }
            None => PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        };
        let mut fds = vec![asker, PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
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
        let timeout = next.map_or(PollTimeout::NONE, |next| super::up_to(next.since(now)));
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

    /// False when the agent has closed its end, or does not speak our language.
    fn take_requests(&mut self) -> io::Result<bool> {
        for _ in 0..REQUESTS {
            let Some(channel) = &self.channel else { return Ok(false) };
            let count = match channel.recv(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(false),
                Err(error) => return Err(error),
            };
            match serde_json::from_slice(self.buffer.get(..count).unwrap_or_default()) {
                Ok(request) => self.start(request),
                Err(error) => {
                    // Better ended than half understood: the agent takes every run as failed and connects anew.
                    system::complain(&format!("what the agent asks for cannot be read: {error}"));
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn start(&mut self, request: ProgramRequest) {
        let ProgramRequest { id, argv, timeout_ms, mut environment, user } = request;
        environment.retain(|name, _| name.starts_with("LOCUM_"));
        let started = if self.runs.len() < MAX_RUNS {
            let program = argv.first().map(String::as_str).unwrap_or_default();
            self.users.find(user.as_ref()).and_then(|user| {
                let started = program::start(&argv, &environment, user);
                started.map_err(|error| why_not_started(program.as_ref(), user, &error))
            })
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

    fn send_reports(&mut self) -> io::Result<()> {
        while let (Some(report), Some(channel)) = (self.reports.front(), &self.channel) {
            let message = serde_json::to_vec(report).map_err(io::Error::other)?;
            match channel.send(&message) {
                Ok(_) => drop(self.reports.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                    self.forget_agent();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
