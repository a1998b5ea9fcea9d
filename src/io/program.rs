//! Processes: starting other people's programs and ours, ending and reaping them.

use std::collections::BTreeMap;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::Pid;

/// Where programs are looked for by the scripts that we start, where our own environment does not say.
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

/// Starts a program in `/` with nothing on standard input and no descriptor of ours, with `PATH`, `LANG` and
/// `environment` and no other variable. It dies with the thread that starts it.
///
/// # Errors
/// The system's; that the program is missing, no program, or not permitted among them.
pub fn start(argv: &[String], environment: &BTreeMap<String, String>) -> io::Result<Started> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let (output, standard_output) = io::pipe()?;
    fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let standard_error = standard_output.try_clone()?;
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| PATH.into()));
    command.envs(std::env::var_os("LANG").map(|lang| ("LANG", lang))).envs(environment);
    command.stdin(Stdio::null()).stdout(standard_output).stderr(standard_error).process_group(0);
    super::sys::prepare_child(&mut command);
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

/// Makes this process one that only starts others: orphans of theirs become its children, nothing it inherited
/// goes on to them, and it has a session of its own, so that no key pressed in a terminal reaches it.
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
    match super::sys::close_on_exec_from(3) {
        Ok(()) => Ok(()),
        // A kernel before 5.11: what we open ourselves is marked one by one all the same.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// From here on SIGCHLD, and what is sent to end this process, are read from the descriptor instead. Programs that
/// are started have none of it blocked or ignored.
///
/// # Errors
/// No more file descriptors.
pub fn signals() -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT] {
        mask.add(signal);
    }
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

/// Starts this very program anew, whatever has become of its file, with one end of a channel of whole messages as
/// its standard input. The other end is returned; reading and writing it never wait.
///
/// # Errors
/// The system's.
pub fn start_self(arguments: &[&str]) -> io::Result<(Child, UnixDatagram)> {
    let (ours, theirs) = message_channel()?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("locum").args(arguments).stdin(theirs).stdout(Stdio::null());
    // What it says, or starts, must not be taken for ours.
    for name in super::systemd::ENVIRONMENT.iter().chain([&super::handover::VARIABLE]) {
        command.env_remove(name);
    }
    let child = command.spawn()?;
    Ok((child, ours))
}

/// A pair of connected sockets that keep messages apart and tell when the other side has closed (SOCK_SEQPACKET).
/// The first never waits.
///
/// # Errors
/// No more file descriptors.
pub fn message_channel() -> io::Result<(UnixDatagram, OwnedFd)> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
    let ours = UnixDatagram::from(ours);
    ours.set_nonblocking(true)?;
    Ok((ours, theirs))
}

/// Standard input as such a channel.
///
/// # Errors
/// It is something else.
pub fn standard_input_channel() -> io::Result<UnixDatagram> {
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    if socket2::SockRef::from(&input).r#type()? != socket2::Type::SEQPACKET {
        return Err(io::Error::from_raw_os_error(libc::EPROTOTYPE));
    }
    let channel = UnixDatagram::from(input);
    channel.set_nonblocking(true)?;
    Ok(channel)
}

/// Kills one process. That it is gone already is no failure.
///
/// # Errors
/// Not permitted.
pub fn kill(pid: u32) -> io::Result<()> {
    send(pid, Signal::SIGKILL)
}

/// Asks one process to end (SIGTERM). That it is gone already is no failure.
///
/// # Errors
/// Not permitted.
pub fn terminate(pid: u32) -> io::Result<()> {
    send(pid, Signal::SIGTERM)
}

fn send(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    match nix::sys::signal::kill(Pid::from_raw(pid), signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
