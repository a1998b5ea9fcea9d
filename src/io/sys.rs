//! The system calls and types that no safe wrapper offers. The only `unsafe` of the project.

#![allow(unsafe_code, reason = "the one place for it")]

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use socket2::{SockAddr, SockAddrStorage};
use tokio::io::unix::AsyncFd;

use super::users::Change;

/// Registers a file descriptor with the tokio runtime of this thread, for reading.
pub(super) fn readiness(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open for as long as it lives, always names the same description, and the AsyncFd
    // owns it from here on without handing it out by value or `&mut`.
    unsafe { AsyncFd::register_with_interest(fd, tokio::io::Interest::READABLE) }.map_err(io::Error::from)
}

/// Keeps a packet socket from hearing what this host sends (PACKET_IGNORE_OUTGOING, Linux 4.20).
pub(super) fn ignore_outgoing(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the pointer and the length describe `on`, which outlives the call; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_IGNORE_OUTGOING,
            (&raw const on).cast(),
            mem::size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Frames a packet socket lost since the last call (PACKET_STATISTICS).
pub(super) fn packet_losses(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut statistics = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
    let mut length = mem::size_of_val(&statistics) as libc::socklen_t;
    // SAFETY: the pointer and the length describe `statistics`, a struct of two integers that any bytes fit, and
    // `length` is writable; both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    if result == 0 { Ok(statistics.tp_drops) } else { Err(io::Error::last_os_error()) }
}

/// The address that binds a packet socket to one protocol (host byte order) on one interface.
pub(super) fn packet_address(index: u32, protocol: u16) -> io::Result<SockAddr> {
    let index = i32::try_from(index).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))?;
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll is one of the address types that a sockaddr_storage is made to hold, so size and
    // alignment fit, and all-zero bytes are a valid sockaddr_ll.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = index;
    // SAFETY: the storage holds a whole sockaddr_ll of that length, its family set above.
    Ok(unsafe { SockAddr::new(storage, mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t) })
}

/// Has the child of `command` become another user (if any), without a capability, without a priority of ours, with an
/// empty signal mask, and has the kernel kill it when the thread that starts it ends (PR_SET_PDEATHSIG).
pub(super) fn prepare_program(command: &mut Command, change: Option<Change>) {
    let prepare = move || {
        // Without it a capability that was raised as ambient goes on to any program.
        clear_ambient()?;
        if let Some(Change { uid, gid, groups }) = &change {
            nix::unistd::setgroups(groups)?;
            nix::unistd::setresgid(*gid, *gid, *gid)?;
            nix::unistd::setresuid(*uid, *uid, *uid)?;
        }
        drop_capabilities()?;
        if nix::unistd::geteuid().is_root() {
            // Or root would get all of them back by starting a program.
            nix::sys::prctl::set_no_new_privs()?;
        }
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        // A change of the user takes this back, so it comes last.
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        Ok(nix::sys::signal::SigSet::empty().thread_set_mask()?)
    };
    // SAFETY: between fork and exec the closure makes system calls and neither allocates nor takes a lock.
    unsafe { command.pre_exec(prepare) };
}

/// The interface index and the protocol (host byte order) that a packet socket is bound to, from its own address. nix's
/// reading of it fails for an address that is not as long as it could be, and the kernel's are as long as a MAC needs.
pub(super) fn packet_binding(address: &SockAddr) -> Option<(u32, u16)> {
    let needed = mem::offset_of!(libc::sockaddr_ll, sll_hatype);
    if i32::from(address.family()) != libc::AF_PACKET || (address.len() as usize) < needed {
        return None;
    }
    // SAFETY: a SockAddr holds a whole sockaddr_storage, made to be read as any address type; the family says which one
    // it is, and the fields that are read were filled in, as the length says.
    let address = unsafe { &*address.as_ptr().cast::<libc::sockaddr_ll>() };
    Some((u32::try_from(address.sll_ifindex).ok()?, u16::from_be(address.sll_protocol)))
}

/// Has the kernel kill the child of `command` when the thread that starts it ends (PR_SET_PDEATHSIG), and gives it
/// an empty signal mask, whatever that thread blocks.
pub(super) fn prepare_child(command: &mut Command) {
    let prepare = || {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        Ok(nix::sys::signal::SigSet::empty().thread_set_mask()?)
    };
    // SAFETY: between fork and exec the closure makes two system calls and neither allocates nor takes a lock.
    unsafe { command.pre_exec(prepare) };
}

/// Lets `command` start its child with these signals blocked, and no others: they wait until it listens to them.
pub(super) fn hold_back(command: &mut Command, signals: nix::sys::signal::SigSet) {
    let prepare = move || Ok(signals.thread_set_mask()?);
    // SAFETY: between fork and exec the closure makes one system call and neither allocates nor takes a lock.
    unsafe { command.pre_exec(prepare) };
}

/// Gives up every capability of the calling thread, for what it becomes too (root excepted). The crate for capabilities
/// allocates, which must not be done between fork and exec.
fn drop_capabilities() -> io::Result<()> {
    // _LINUX_CAPABILITY_VERSION_3 and the calling thread; then twice effective, permitted, inheritable.
    let (mut header, none) = ([0x2008_0522_u32, 0], [0_u32; 6]);
    // SAFETY: the pointers are to a whole header and the whole data of that version; the kernel only reads the data, and
    // rewrites the header in place only where it does not know the version.
    raw(unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), none.as_ptr()) })
}

/// No capability goes on to a program without being asked for.
fn clear_ambient() -> io::Result<()> {
    // SAFETY: no pointer is passed.
    raw(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) }.into())
}

/// A descriptor that can be read from as soon as that process has ended (Linux 5.3).
pub(super) fn process(pid: libc::pid_t) -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    let number = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    raw(number)?;
    let number = i32::try_from(number).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened it, close-on-exec, and nobody else has been told.
    Ok(unsafe { std::os::fd::FromRawFd::from_raw_fd(number) })
}

/// Has this thread, and what it starts, scheduled as usual (SCHED_OTHER) and with no raised priority.
pub(super) fn schedule_as_usual() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a whole sched_param that outlives the call; the kernel only reads it.
    raw(unsafe { libc::sched_setscheduler(0, libc::SCHED_OTHER, &raw const parameters) }.into())?;
    // SAFETY: no pointer is passed.
    if unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) } < 0 {
        // SAFETY: no pointer is passed.
        raw(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 0) }.into())?;
    }
    Ok(())
}

fn raw(result: libc::c_long) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Keeps every descriptor from `first` on from the programs that this process starts (Linux 5.11).
pub(super) fn close_on_exec_from(first: libc::c_uint) -> io::Result<()> {
    // SAFETY: no pointer is passed, and no descriptor is closed: only their close-on-exec flag is set.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The path that was given to execve for this program, as the kernel has kept it (AT_EXECFN).
pub(super) fn program_path() -> Option<Vec<u8>> {
    // SAFETY: takes and returns numbers.
    let address = unsafe { libc::getauxval(libc::AT_EXECFN) };
    if address == 0 {
        return None;
    }
    // SAFETY: the kernel has put a string with an end there, above the stack, which stays for the life of the process.
    let path = unsafe { std::ffi::CStr::from_ptr(address as *const libc::c_char) };
    Some(path.to_bytes().to_vec())
}

/// Takes a descriptor over that was open when this program began, by its number.
pub(super) fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number <= libc::STDERR_FILENO {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: no pointer is passed; a number that is not open is refused by the kernel.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and nothing of this program has been told of the number but by the document that names it,
    // which names each once: whoever calls this owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Sets the scheduling policy of a thread, and that what it starts does not inherit a real-time one
/// (SCHED_RESET_ON_FORK).
pub(super) fn set_scheduler(thread: nix::unistd::Pid, policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the pointer is to a whole sched_param that outlives the call; the kernel only reads it.
    let result =
        unsafe { libc::sched_setscheduler(thread.as_raw(), policy | libc::SCHED_RESET_ON_FORK, &raw const parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A child that has ended: its process id, `CLD_EXITED` or another code of its end, and exit code or signal.
pub(super) struct Ended {
    pub pid: libc::pid_t,
    pub code: libc::c_int,
    pub status: libc::c_int,
}

/// The next child that has ended, any (`None`) or a certain one, without waiting for it; `reap` makes the kernel
/// forget it. nix's wrapper fails for a child that a real-time signal ended, and would never get past it.
pub(super) fn wait_for(pid: Option<libc::pid_t>, reap: bool) -> io::Result<Option<Ended>> {
    let (kind, id) = match pid {
        Some(pid) => (libc::P_PID, libc::id_t::try_from(pid).map_err(io::Error::other)?),
        None => (libc::P_ALL, 0),
    };
    let options = libc::WEXITED | libc::WNOHANG | if reap { 0 } else { libc::WNOWAIT };
    // SAFETY: siginfo_t is plain data for which all-zero bytes are a valid value.
    let mut info: libc::siginfo_t = unsafe { mem::zeroed() };
    // SAFETY: `info` outlives the call, which writes a whole siginfo_t to it or leaves it alone.
    if unsafe { libc::waitid(kind, id, &raw mut info, options) } != 0 {
        let error = io::Error::last_os_error();
        return if error.raw_os_error() == Some(libc::ECHILD) { Ok(None) } else { Err(error) };
    }
    // SAFETY: after waitid the union holds what SIGCHLD carries, or the zeroes from above.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    let status = unsafe { info.si_status() };
    Ok((pid != 0).then_some(Ended { pid, code: info.si_code, status }))
}
