//! What touches the system: one file for each kind of system call, and no opinions.
//!
//! Belongs here: sockets, netlink, the clock and the timer, files, and the errors they meet, told in words.
//! Does not belong here: whether, when and why any of it is done (`proto`), in which order (`daemon`), and
//! anything a router, a check or a configuration means. Everything the kernel or a peer hands over is untrusted
//! until it is parsed. `sys.rs` is the only file with `unsafe`, and says why for each block.

pub mod capabilities;
pub mod capture;
pub mod channel;
pub mod clock;
pub mod echo;
pub mod files;
pub mod frames;
pub mod handover;
pub mod interruption;
pub mod keys;
pub mod lan;
pub mod namespace;
pub mod neighbours;
pub mod netlink;
mod packet;
pub mod poller;
pub mod program;
pub mod realtime;
pub mod record;
pub mod sandbox;
mod sys;
pub mod system;
pub mod systemd;
pub mod timer;
pub mod users;
pub mod vrrp;

use std::os::fd::OwnedFd;

/// Asks for a larger receive buffer than the system's limit, and for as much as the limit allows where that is refused.
fn raise_receive_buffer(socket: &impl std::os::fd::AsFd, bytes: usize) -> std::io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};
    match setsockopt(socket, sockopt::RcvBufForce, &bytes) {
        Ok(()) => Ok(()),
        // In a user namespace the limit cannot be passed; what the limit gives is still worth having.
        Err(_) => Ok(setsockopt(socket, sockopt::RcvBuf, &bytes)?),
    }
}

/// Readiness of a file descriptor in the tokio runtime of this thread, from where it is awaited.
///
/// Takes a duplicate: it shares readiness with the original, which stays with its owner.
///
/// # Errors
/// No more file descriptors, or one that cannot be polled.
pub fn readiness(duplicate: OwnedFd) -> std::io::Result<tokio::io::unix::AsyncFd<OwnedFd>> {
    sys::readiness(duplicate)
}
