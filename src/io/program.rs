//! Processes: starting other people's programs and ours, ending and reaping them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use caps::Capability;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

use super::users::Identity;

/// Where programs are looked for by the scripts that we start.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program that was started, as the leader of a process group of its own.
#[derive(Debug)]
pub struct Started {
    /// The process id; also that of its group.
    pub pid: i32,
    /// What it prints on standard output and standard error; reading never waits.
    pub output: PipeReader,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
}

/// Starts a program in `/` with nothing on standard input, no descriptor, no capability and no priority of ours, as this
/// user, with `PATH`, `LANG`, `HOME`, `LOGNAME`, `USER` and `environment` and no other variable. It dies with the thread
/// that starts it.
///
/// # Errors
/// The system's; that the program is missing, no program, or not permitted among them.
pub fn start(argv: &[String], environment: &BTreeMap<String, String>, user: &Identity) -> io::Result<Started> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let (output, standard_output) = io::pipe()?;
    fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let standard_error = standard_output.try_clone()?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env_clear().env("PATH", PATH);
    command.envs(std::env::var_os("LANG").map(|lang| ("LANG", lang)));
    command.env("HOME", &user.home);
    command.envs(user.name.iter().flat_map(|name| [("LOGNAME", name), ("USER", name)]));
    command.envs(environment);
    command.stdin(Stdio::null()).stdout(standard_output).stderr(standard_error).process_group(0);
    super::sys::prepare_program(&mut command, user.change.clone());
    let child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    Ok(Started { pid, output })
}

/// Kills a process group at once. That it is gone already is no failure.
///
/// # Errors
/// A process of it may not be killed by us.
pub fn kill_group(leader: i32) -> io::Result<()> {
    match killpg(Pid::from_raw(leader), Signal::SIGKILL) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The process id of a child that has ended and waits to be reaped, if there is one.
///
/// # Errors
/// The kernel's; none is expected.
pub fn ended_child() -> io::Result<Option<i32>> {
    Ok(super::sys::wait_for(None, false)?.map(|ended| ended.pid))
}

/// Reaps a child and tells how it ended; `None` if it has not.
///
/// # Errors
/// The kernel's; none is expected.
pub fn reap(pid: i32) -> io::Result<Option<Ended>> {
    let ended = super::sys::wait_for(Some(pid), true)?;
    Ok(ended.map(|ended| match ended.code {
        libc::CLD_EXITED => Ended::Exited(ended.status),
        _ => Ended::Signalled(ended.status),
    }))
}

/// What every program that we start may use at most, unless less is allowed anyway: no core file, 4096 open files (1024
/// unless it asks for more), 8 MiB of locked memory, no real-time or raised priority.
const LIMITS: [(Resource, u64, u64); 5] = [
    (Resource::RLIMIT_CORE, 0, 0),
    (Resource::RLIMIT_NOFILE, 1024, 4096),
    (Resource::RLIMIT_MEMLOCK, 8 << 20, 8 << 20),
    (Resource::RLIMIT_RTPRIO, 0, 0),
    (Resource::RLIMIT_NICE, 0, 0),
];

/// Makes this process one that only starts others: orphans of theirs become its children, nothing it inherited
/// goes on to them (descriptors, priority, protection from being killed for memory), they have limits, it keeps the
/// capabilities to change users and to kill alone, and has a session of its own, so that no key pressed in a terminal
/// reaches it.
///
/// # Errors
/// The kernel's.
pub fn become_runner() -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true)?;
    super::realtime::lift_limit()?;
    match nix::unistd::setsid() {
        // It leads a group already, and so has been set apart.
        Ok(_) | Err(nix::errno::Errno::EPERM) => {}
        Err(error) => return Err(error.into()),
    }
    super::sys::schedule_as_usual()?;
    for (resource, soft, hard) in LIMITS {
        let (_, most) = getrlimit(resource)?;
        setrlimit(resource, soft.min(most), hard.min(most))?;
    }
    let adjustment = std::fs::read_to_string(OUT_OF_MEMORY).unwrap_or_default();
    if adjustment.starts_with('-') {
        std::fs::write(OUT_OF_MEMORY, "0")?;
    }
    super::capabilities::keep_only(&[Capability::CAP_SETUID, Capability::CAP_SETGID, Capability::CAP_KILL])?;
    match super::sys::close_on_exec_from(3) {
        Ok(()) => Ok(()),
        // A kernel before 5.11: what we open ourselves is marked one by one all the same.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How unlikely the kernel is to end this process for want of memory.
const OUT_OF_MEMORY: &str = "/proc/self/oom_score_adj";

/// From here on SIGCHLD, and what is sent to end this process, are read from the descriptor instead. Programs that
/// are started have none of it blocked or ignored.
///
/// # Errors
/// No more file descriptors.
pub fn signals() -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    let end = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2];
    for signal in end.into_iter().chain([Signal::SIGCHLD]) {
        mask.add(signal);
    }
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

/// Starts this very program anew, whatever has become of its file, with this as its standard input. What it is told
/// ([`Told::End`], [`Told::Replace`]) before it listens waits for it.
///
/// # Errors
/// The system's.
pub fn start_self(arguments: &[&str], input: OwnedFd) -> io::Result<i32> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("locum").args(arguments).stdin(input).stdout(Stdio::null());
    // What it says, or starts, must not be taken for ours.
    for name in super::systemd::ENVIRONMENT.iter().chain([&super::handover::VARIABLE]) {
        command.env_remove(name);
    }
    super::sys::hold_back(&mut command, SigSet::from_iter([Signal::SIGUSR1, Signal::SIGUSR2]));
    i32::try_from(command.spawn()?.id()).map_err(io::Error::other)
}

/// The same with our own standard input. The kernel kills it when the thread that starts it ends.
///
/// # Errors
/// The system's.
pub fn start_self_as_child(arguments: &[&str]) -> io::Result<i32> {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("locum").args(arguments).stdout(Stdio::null());
    super::sys::prepare_child(&mut command);
    i32::try_from(command.spawn()?.id()).map_err(io::Error::other)
}

/// Becomes the program at this path, in this process, with this as its standard input. Returns only if that fails; what
/// signals do is undefined then, so that there is nothing left but to end.
pub fn become_other(program: &Path, arguments: &[OsString], input: OwnedFd) -> io::Error {
    Command::new(program).arg0("locum").args(arguments).stdin(input).exec()
}

/// Tells the service manager that this process is ready, where there is one that wants to hear it.
///
/// # Errors
/// It cannot be told.
pub fn tell_ready() -> io::Result<()> {
    sd_notify::notify(&[sd_notify::NotifyState::Ready])
}

/// A process, to wait for its end.
#[derive(Debug)]
pub struct Watched(OwnedFd);

impl AsFd for Watched {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What started us, if that is still this process; it can be read from when that has ended.
///
/// # Errors
/// It has ended, or the kernel cannot tell (before Linux 5.3).
pub fn watch_parent(pid: i32) -> io::Result<Watched> {
    let watched = super::sys::process(pid)?;
    if nix::unistd::getppid().as_raw() == pid { Ok(Watched(watched)) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// What one process of ours is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// End at once (SIGKILL).
    Die,
    /// End in good order (SIGTERM).
    Terminate,
    /// To a runner and its keeper: end, and what was started with you (SIGUSR1).
    End,
    /// To a keeper: have another runner take the place of this one, which hangs (SIGUSR2).
    Replace,
}

/// Tells one process something. That it is gone already is no failure.
///
/// # Errors
/// Not permitted.
pub fn tell(pid: i32, told: Told) -> io::Result<()> {
    let signal = match told {
        Told::Die => Signal::SIGKILL,
        Told::Terminate => Signal::SIGTERM,
        Told::End => Signal::SIGUSR1,
        Told::Replace => Signal::SIGUSR2,
    };
    if pid <= 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    match nix::sys::signal::kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
