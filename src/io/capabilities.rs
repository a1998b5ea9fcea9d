//! What the agent is allowed to do, asked before it starts rather than learned from its first failure.

use std::io;

use caps::{CapSet, Capability};

use super::packet::PacketSocket;
use super::vrrp;

/// CAP_NET_ADMIN's bit, from linux/capability.h.
const NET_ADMIN: u32 = 12;
/// CAP_IPC_LOCK's.
const IPC_LOCK: u32 = 14;

/// Where the kernel tells what we may do.
const STATUS: &str = "/proc/self/status";

/// A right that is missing.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Adverts and ARP need raw sockets.
    #[error(
        "no permission to open {0}: CAP_NET_RAW is missing; run as root, or with AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN"
    )]
    NetRaw(&'static str),
    /// Addresses cannot be added or removed.
    #[error(
        "no permission to change addresses: CAP_NET_ADMIN is missing; run as root, or with AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN"
    )]
    NetAdmin,
    /// Allowed, but the system cannot.
    #[error("cannot open {0}: {1}")]
    System(&'static str, io::Error),
}

impl ProbeError {
    /// Whether a right is missing (exit code 77), rather than something in the system.
    pub fn is_permission(&self) -> bool {
        match self {
            ProbeError::NetRaw(_) | ProbeError::NetAdmin => true,
            ProbeError::System(..) => false,
        }
    }
}

/// What the probe has opened. Dropping it starts a thread: to be kept until the process may have several.
#[derive(Debug)]
pub struct Probed {
    _packet: PacketSocket,
}

/// Tries what the agent will need: a raw socket for VRRP, a packet socket for ARP, the right to change addresses.
///
/// # Errors
/// The first right that is missing, by name.
pub fn probe() -> Result<Probed, ProbeError> {
    opened("a raw socket for VRRP", vrrp::open_raw(crate::types::Family::Ipv4).map(drop))?;
    let packet = opened("a packet socket for ARP", PacketSocket::open())?;
    match ours().map_err(|error| ProbeError::System(STATUS, error))? {
        // A kernel that does not tell is left to refuse by itself.
        Some(set) if set & (1 << NET_ADMIN) == 0 => Err(ProbeError::NetAdmin),
        Some(_) | None => Ok(Probed { _packet: packet }),
    }
}

/// Gives up every capability of this thread, and of all that it starts from now on, programs of root included, except
/// `wanted`. Those that it does not have are not missed.
///
/// # Errors
/// The kernel's; none is expected.
pub fn keep_only(wanted: &[Capability]) -> io::Result<()> {
    let other = |error: caps::errors::CapsError| io::Error::other(error.to_string());
    let unwanted = || caps::runtime::thread_all_supported().into_iter().filter(|one| !wanted.contains(one));
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP).map_err(other)? {
        for one in unwanted() {
            caps::drop(None, CapSet::Bounding, one).map_err(other)?;
        }
    }
    for one in unwanted() {
        caps::drop(None, CapSet::Ambient, one).map_err(other)?;
    }
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        let had = caps::read(None, set).map_err(other)?;
        let kept = had.iter().copied().filter(|one| wanted.contains(one)).collect::<caps::CapsHashSet>();
        // A unit that gives no more than this may refuse the call.
        if kept != had {
            caps::set(None, set, &kept).map_err(other)?;
        }
    }
    Ok(())
}

/// Whether this thread may become another user (CAP_SETUID); not if that cannot be told.
pub fn may_change_users() -> bool {
    caps::has_cap(None, CapSet::Effective, Capability::CAP_SETUID).unwrap_or(false)
}

/// Whether a process may change addresses (CAP_NET_ADMIN), which neither a check nor a passer-by may; not if that cannot
/// be told.
pub fn may_change_addresses(pid: i32) -> bool {
    let status = super::files::read_text(std::path::Path::new(&format!("/proc/{pid}/status")), 64 * 1024);
    status.is_ok_and(|status| effective(&status).is_some_and(|set| set & (1 << NET_ADMIN) != 0))
}

/// Whether memory may be locked whatever RLIMIT_MEMLOCK says (CAP_IPC_LOCK); not if that cannot be told.
pub(super) fn may_lock_memory() -> bool {
    ours().is_ok_and(|set| set.is_some_and(|set| set & (1 << IPC_LOCK) != 0))
}

/// Our effective capabilities; `None` where the kernel does not tell.
fn ours() -> io::Result<Option<u64>> {
    let status = super::files::read_text(std::path::Path::new(STATUS), 64 * 1024).map_err(io::Error::other)?;
    Ok(effective(&status))
}

fn opened<T>(what: &'static str, result: io::Result<T>) -> Result<T, ProbeError> {
    result.map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => ProbeError::NetRaw(what),
        _ => ProbeError::System(what, error),
    })
}

/// The effective capabilities of a `/proc/PID/status`.
fn effective(status: &str) -> Option<u64> {
    let digits = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(digits.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effective_capabilities_are_read_from_the_status() {
        let status = "Name:\tcat\nCapPrm:\t0000000000000000\nCapEff:\t0000000000003000\nCapBnd:\t000001ffffffffff\n";
        assert_eq!(effective(status), Some(0x3000));
        assert_eq!(effective("CapEff:\tnonsense\n"), None);
        assert_eq!(effective(""), None);
    }

    #[test]
    fn a_missing_right_is_named() {
        let denied = || Err::<(), _>(io::Error::from_raw_os_error(libc::EPERM));
        let error = opened("a raw socket for VRRP", denied());
        assert!(matches!(&error, Err(error) if error.is_permission() && error.to_string().contains("CAP_NET_RAW")));
        assert!(ProbeError::NetAdmin.to_string().contains("CAP_NET_ADMIN"));
    }
}
