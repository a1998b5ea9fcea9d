//! Tells whether the LAN passes frames to an interface, by waiting for any one of them.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::SockFilter;

use super::packet::PacketSocket;
use super::sys;
use crate::types::MacAddr;

/// Bytes of a frame that are handed over: nobody looks at them.
const KEPT: u32 = 16;

/// What a switch says on a port that passes nothing yet, and what is our own, is dropped; all else passes. Offsets are
/// from the Ethernet header on, a load beyond the end drops.
fn filter(own: MacAddr) -> [SockFilter; 22] {
    let MacAddr([a, b, c, d, e, f]) = own;
    [
        // To 01:80:c2:00:00:00 up to :0f, which bridges do not forward: BPDU, pause, LACP, LLDP, 802.1X
        SockFilter::new(0x20, 0, 0, 0),
        SockFilter::new(0x15, 0, 2, 0x0180_c200),
        SockFilter::new(0x28, 0, 0, 4),
        SockFilter::new(0x45, 4, 16, 0xfff0),
        // To 01:00:0c:cc:cc:cc and :cd: the same of one vendor (CDP, VTP, DTP, PVST)
        SockFilter::new(0x15, 0, 3, 0x0100_0ccc),
        SockFilter::new(0x28, 0, 0, 4),
        SockFilter::new(0x15, 13, 0, 0xcccc),
        SockFilter::new(0x15, 12, 0, 0xcccd),
        // By type, whomever it is sent to: LLDP, LACP, 802.1X, loop detection
        SockFilter::new(0x28, 0, 0, 12),
        SockFilter::new(0x15, 10, 0, 0x88cc),
        SockFilter::new(0x15, 9, 0, 0x8809),
        SockFilter::new(0x15, 8, 0, 0x888e),
        SockFilter::new(0x15, 7, 0, 0x9000),
        // A length instead of a type: BPDU by its LLC address
        SockFilter::new(0x25, 2, 0, 1500),
        SockFilter::new(0x28, 0, 0, 14),
        SockFilter::new(0x15, 4, 0, 0x4242),
        // From ourselves
        SockFilter::new(0x20, 0, 0, 6),
        SockFilter::new(0x15, 0, 3, u32::from_be_bytes([a, b, c, d])),
        SockFilter::new(0x28, 0, 0, 10),
        SockFilter::new(0x15, 0, 1, u32::from_be_bytes([0, 0, e, f])),
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x06, 0, 0, KEPT),
    ]
}

/// A packet socket that hears the frames of one interface; to be closed when it has heard one.
#[derive(Debug)]
pub struct FramesSocket {
    socket: PacketSocket,
}

impl FramesSocket {
    /// Opens it, bound to the interface of that index, which has the address `own`.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing (`PermissionDenied`), or the interface is gone.
    pub fn open(index: u32, own: Option<MacAddr>) -> io::Result<Self> {
        let socket = PacketSocket::open()?;
        // Without an address it sends nothing of its own; no frame comes from all zeroes.
        socket.attach_filter(&filter(own.unwrap_or(MacAddr([0; 6]))))?;
        sys::ignore_outgoing(socket.as_fd())?;
        // Only binding names the protocol: nothing is heard before filter and interface are in place.
        socket.bind(&sys::packet_address(index, libc::ETH_P_ALL as u16)?)?;
        Ok(FramesSocket { socket })
    }

    /// Whether a frame has come since it was opened.
    ///
    /// # Errors
    /// The kernel's; the socket cannot be used any more unless it is ENETDOWN.
    pub fn has_heard(&self) -> io::Result<bool> {
        match (&*self.socket).read(&mut [0; KEPT as usize]) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for FramesSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
