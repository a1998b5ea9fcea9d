//! The sockets for ARP and neighbour discovery on one interface: they send whole frames, and hear who has which address.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockFilter, SockRef, Socket, Type};

use super::sys;
use crate::types::Family;

const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;
/// How long a full transmit queue is waited for, in milliseconds.
const QUEUE_PATIENCE: u16 = 20;

/// Passes ARP whose sender and target are the same IPv4 address and drops all else, so that the LAN's ordinary
/// ARP wakes nobody. Offsets are from the Ethernet header on, a load beyond the end drops.
const GRATUITOUS: [SockFilter; 10] = [
    // Hardware Ethernet, protocol IPv4 | address lengths 6 and 4
    SockFilter::new(0x20, 0, 0, 14),
    SockFilter::new(0x15, 0, 6, 0x0001_0800),
    SockFilter::new(0x28, 0, 0, 18),
    SockFilter::new(0x15, 0, 4, 0x0604),
    // X = sender address; A = target address; pass if equal
    SockFilter::new(0x20, 0, 0, 28),
    SockFilter::new(0x07, 0, 0, 0),
    SockFilter::new(0x20, 0, 0, 38),
    SockFilter::new(0x1d, 1, 0, 0),
    SockFilter::new(0x06, 0, 0, 0),
    SockFilter::new(0x06, 0, 0, NeighbourSocket::LARGEST as u32),
];

/// Passes Neighbor Advertisements of this link (ICMPv6 type 136, hop limit 255) and drops all else.
const ADVERTISEMENTS: [SockFilter; 6] = [
    // Next header ICMPv6 and hop limit 255, side by side
    SockFilter::new(0x28, 0, 0, 20),
    SockFilter::new(0x15, 0, 3, 0x3aff),
    // The ICMPv6 type
    SockFilter::new(0x30, 0, 0, 54),
    SockFilter::new(0x15, 0, 1, 136),
    SockFilter::new(0x06, 0, 0, NeighbourSocket::LARGEST as u32),
    SockFilter::new(0x06, 0, 0, 0),
];

/// A packet socket for ARP or neighbour discovery on one interface. It may be shared with the thread that announces.
#[derive(Debug)]
pub struct NeighbourSocket {
    socket: Socket,
}

impl NeighbourSocket {
    /// Bytes of a frame that are heard: one with ARP for IPv4 is 42 bytes (60 with its padding), one with a Neighbor
    /// Advertisement and its link-layer address 86.
    pub const LARGEST: usize = 128;

    /// Opens it for the neighbours of a family, bound to the interface of that index.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing (`PermissionDenied`), or the interface is gone.
    pub fn open(index: u32, family: Family) -> io::Result<Self> {
        let socket = open_packet()?;
        let (protocol, filter) = heard(family);
        socket.attach_filter(filter)?;
        sys::ignore_outgoing(socket.as_fd())?;
        // Only binding names the protocol: nothing is heard before filter and interface are in place.
        socket.bind(&sys::packet_address(index, protocol)?)?;
        Ok(NeighbourSocket { socket })
    }

    /// One that was open when this program began, if this descriptor is one for this interface and family. Otherwise it
    /// comes back.
    ///
    /// # Errors
    /// It is another one.
    pub fn take_over(fd: OwnedFd, index: u32, family: Family) -> Result<Self, OwnedFd> {
        let (protocol, filter) = heard(family);
        let socket = SockRef::from(&fd);
        let kind = (socket.domain().ok(), socket.r#type().ok());
        let bound = socket.local_addr().ok().as_ref().and_then(sys::packet_binding);
        let ours = kind == (Some(Domain::PACKET), Some(Type::RAW)) && bound == Some((index, protocol));
        // The filter is this program's, whatever the one before it had.
        if !ours || socket.set_nonblocking(true).is_err() || socket.attach_filter(filter).is_err() {
            return Err(fd);
        }
        Ok(NeighbourSocket { socket: fd.into() })
    }

    /// Sends one whole Ethernet frame. Waits a little for a full transmit queue: not for the protocol thread.
    ///
    /// # Errors
    /// The interface is down or gone, or its queue stays full.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        match self.socket.send(frame) {
            Ok(_) => Ok(()),
            Err(error) if is_full(&error) => {
                let mut wanted = [PollFd::new(self.socket.as_fd(), PollFlags::POLLOUT)];
                poll(&mut wanted, PollTimeout::from(QUEUE_PATIENCE))?;
                self.socket.send(frame).map(drop)
            }
            Err(error) => Err(error),
        }
    }

    /// The next gratuitous ARP or Neighbor Advertisement, from its Ethernet header on, into `buffer`; `None` when there is none.
    ///
    /// # Errors
    /// The kernel's; the socket cannot be used any more unless it is ENETDOWN.
    pub fn receive<'b>(&self, buffer: &'b mut [u8; Self::LARGEST]) -> io::Result<Option<&'b [u8]>> {
        match (&self.socket).read(buffer) {
            Ok(length) => Ok(buffer.get(..length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for NeighbourSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The Ethernet protocol that a family's neighbours are heard by, and what is heard of it.
fn heard(family: Family) -> (u16, &'static [SockFilter]) {
    match family {
        Family::Ipv4 => (ETH_P_ARP, &GRATUITOUS),
        Family::Ipv6 => (ETH_P_IPV6, &ADVERTISEMENTS),
    }
}

/// A packet socket that hears nothing yet; also tells whether one may be opened.
pub(super) fn open_packet() -> io::Result<Socket> {
    let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS))
}
