//! The sockets for ARP and neighbour discovery on one interface: they send whole frames, and hear who has which address.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, SockFilter, SockRef, Socket, Type};

use super::packet::PacketSocket;
use super::sys;
use crate::types::Family;

const ETH_P_ARP: u16 = 0x0806;
const ETH_P_IPV6: u16 = 0x86dd;
/// How long a full transmit queue is waited for, in milliseconds.
const QUEUE_PATIENCE: u16 = 20;
/// Comparisons for each ARP packet of the LAN, at most.
const MAX_PREFIXES: usize = 256;

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
    socket: PacketSocket,
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
        let socket = PacketSocket::open()?;
        let (protocol, filter) = heard(family);
        socket.attach_filter(&filter)?;
        sys::ignore_outgoing(socket.as_fd())?;
        // Only binding names the protocol: nothing is heard before filter and interface are in place.
        socket.bind(&sys::packet_address(index, protocol)?)?;
        Ok(NeighbourSocket { socket })
    }

    /// From now on hears of every claim to one of these addresses, not of gratuitous ones alone. For a socket of IPv4; one
    /// of IPv6 hears all Neighbor Advertisements.
    ///
    /// # Errors
    /// The kernel's; it hears what it heard before.
    pub fn heed(&self, addresses: &[Ipv4Addr]) -> io::Result<()> {
        self.socket.attach_filter(&claims(addresses))
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
        if !ours || socket.set_nonblocking(true).is_err() || socket.attach_filter(&filter).is_err() {
            return Err(fd);
        }
        Ok(NeighbourSocket { socket: Socket::from(fd).into() })
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

    /// The next ARP claim or Neighbor Advertisement, from its Ethernet header on, into `buffer`; `None` when there is none.
    ///
    /// # Errors
    /// The kernel's; the socket cannot be used any more unless it is ENETDOWN.
    pub fn receive<'b>(&self, buffer: &'b mut [u8; Self::LARGEST]) -> io::Result<Option<&'b [u8]>> {
        match (&*self.socket).read(buffer) {
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

/// Passes ARP whose sender and target are the same IPv4 address, and whatever names one of these as its sender; drops all
/// else, so that the LAN's ordinary ARP wakes nobody. Offsets are from the Ethernet header on, a load beyond the end
/// drops.
///
/// Of many addresses it compares leading bits alone, so few enough that the LAN's ARP stays cheap: some of their
/// neighbours pass as well.
fn claims(addresses: &[Ipv4Addr]) -> Vec<SockFilter> {
    const DROP: SockFilter = SockFilter::new(0x06, 0, 0, 0);
    const PASS: SockFilter = SockFilter::new(0x06, 0, 0, NeighbourSocket::LARGEST as u32);
    let (mask, prefixes) = prefixes(addresses);
    let mut program = vec![
        // Hardware Ethernet, protocol IPv4 | address lengths 6 and 4
        SockFilter::new(0x20, 0, 0, 14),
        SockFilter::new(0x15, 1, 0, 0x0001_0800),
        DROP,
        SockFilter::new(0x28, 0, 0, 18),
        SockFilter::new(0x15, 1, 0, 0x0604),
        DROP,
        // X = sender address; A = target address; pass if equal
        SockFilter::new(0x20, 0, 0, 28),
        SockFilter::new(0x07, 0, 0, 0),
        SockFilter::new(0x20, 0, 0, 38),
        SockFilter::new(0x1d, 0, 1, 0),
        PASS,
        // A = leading bits of the sender address
        SockFilter::new(0x87, 0, 0, 0),
        SockFilter::new(0x54, 0, 0, mask),
    ];
    program.extend(prefixes.into_iter().flat_map(|prefix| [SockFilter::new(0x15, 0, 1, prefix), PASS]));
    program.push(DROP);
    program
}

/// The longest mask under which the addresses are few enough different ones, and these.
fn prefixes(addresses: &[Ipv4Addr]) -> (u32, BTreeSet<u32>) {
    let under = |mask: u32| -> BTreeSet<u32> { addresses.iter().map(|address| u32::from(*address) & mask).collect() };
    let masks = (0..32).map(|shift| u32::MAX << shift);
    masks.map(|mask| (mask, under(mask))).find(|(_, found)| found.len() <= MAX_PREFIXES).unwrap_or_default()
}

/// The Ethernet protocol that a family's neighbours are heard by, and what is heard of it.
fn heard(family: Family) -> (u16, Vec<SockFilter>) {
    match family {
        Family::Ipv4 => (ETH_P_ARP, claims(&[])),
        Family::Ipv6 => (ETH_P_IPV6, ADVERTISEMENTS.into()),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::ENOBUFS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_addresses_are_compared_by_fewer_bits() {
        let of = |range: std::ops::Range<u32>| -> Vec<Ipv4Addr> { range.map(Ipv4Addr::from).collect() };
        let ten = u32::from(Ipv4Addr::new(10, 0, 0, 0));
        assert_eq!(prefixes(&[]), (u32::MAX, BTreeSet::new()));
        let (mask, found) = prefixes(&of(ten..ten + 256));
        assert_eq!((mask, found.len()), (0xffff_ffff, 256));
        let (mask, found) = prefixes(&of(ten..ten + 1_000));
        assert_eq!((mask, found.len()), (0xffff_fffc, 250));
        let (mask, found) =
            prefixes(&of(ten..ten + 1_000).into_iter().chain([Ipv4Addr::new(192, 0, 2, 10)]).collect::<Vec<_>>());
        assert_eq!((mask, found.contains(&0xc000_0208)), (0xffff_fffc, true));
        assert!(claims(&of(ten..ten + 100_000)).len() <= 14 + 2 * MAX_PREFIXES);
    }
}
