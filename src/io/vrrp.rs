//! The sockets for adverts: protocol 112 over one family, on one interface.

mod sieve;

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, SockFilter, SockRef, Socket, Type};

use super::capture::stamp_nanos;
use super::clock::ClockPair;
use crate::types::{AwaitedAdverts, Family, Instant, InterfaceName};
use sieve::Verdicts;

/// Where VRRP speaks and listens by default (RFC 9568 sections 5.1.1.2 and 5.1.2.2).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// The IP protocol number of VRRP.
const PROTOCOL: u8 = 112;
/// Priority of our packets in the host's queues: 6 is the highest that needs no further right.
const PRIORITY: u32 = 6;
/// Length of the IPv6 header, which the kernel keeps back and which is put before the packet again.
const HEADER_V6: usize = 40;
/// Room for 0.4 s of 50,000 forged adverts a second, so that the genuine ones among them are there when we are scheduled.
const RECEIVE_BUFFER: usize = 16 << 20;
/// Room for some 50 packets that cannot count.
const ASIDE_BUFFER: usize = 64 << 10;
/// How often a packet is tried that the host's own queue throws away.
const TRIES: usize = 4;
/// More than the largest advert (a header, and 255 addresses of IPv6); what is longer is cut and is none.
const LARGEST: usize = 4608;

/// A raw socket that hears and sends VRRP over one family on one interface only.
#[derive(Debug)]
pub struct VrrpSocket {
    socket: Socket,
    family: Family,
    index: u32,
    control: Vec<u8>,
    buffer: Vec<u8>,
    /// When the socket was last seen empty: what is read now came after that.
    emptied: Instant,
    /// Packets that found no room, as the kernel counts them, and those of them that were told of.
    dropped: u32,
    told: u32,
    /// Hears what cannot count, so that it is not in the way.
    aside: Option<Box<VrrpSocket>>,
}

/// What the kernel tells beside a packet.
#[derive(Debug, Default)]
struct Beside {
    stamp: Option<u64>,
    destination: Option<Ipv6Addr>,
    hop_limit: u8,
    /// Packets that found no room before this one; the kernel is silent while there are none.
    dropped: Option<u32>,
}

impl VrrpSocket {
    /// Opens it, bound to the interface and a member there of the family's group. It hears unicast packets too.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing (`PermissionDenied`), the interface is gone, or the family is off on it.
    pub fn open(interface: &InterfaceName, index: u32, family: Family) -> io::Result<Self> {
        let socket = VrrpSocket::bound(interface, index, family, &[], RECEIVE_BUFFER)?;
        // It hears no group that any other program of this host has joined.
        match family {
            Family::Ipv4 => {
                socket.socket.set_multicast_all_v4(false)?;
                socket.socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(index))?;
            }
            Family::Ipv6 => {
                socket.socket.set_multicast_all_v6(false)?;
                socket.socket.join_multicast_v6(&GROUP_V6, index)?;
            }
        }
        Ok(socket)
    }

    /// A member of no group: it hears those that others have joined on the interface.
    fn bound(
        interface: &InterfaceName,
        index: u32,
        family: Family,
        filter: &[SockFilter],
        buffer: usize,
    ) -> io::Result<Self> {
        let socket = open_raw(family)?;
        if !filter.is_empty() {
            socket.attach_filter(filter)?;
        }
        socket.bind_device(Some(interface.as_str().as_bytes()))?;
        socket.set_priority(PRIORITY)?;
        super::raise_receive_buffer(&socket, buffer)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        setsockopt(&socket, sockopt::RxqOvfl, &1)?;
        // Not what we send.
        match family {
            Family::Ipv4 => {
                socket.set_header_included_v4(true)?;
                socket.set_multicast_loop_v4(false)?;
            }
            Family::Ipv6 => {
                socket.set_header_included_v6(true)?;
                socket.set_multicast_loop_v6(false)?;
                socket.set_recv_hoplimit_v6(true)?;
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            }
        }
        Ok(VrrpSocket::new(socket, index, family, super::clock::now()))
    }

    fn new(socket: Socket, index: u32, family: Family, emptied: Instant) -> Self {
        let control = nix::cmsg_space!(TimeSpec, libc::in6_pktinfo, libc::c_int, u32);
        let buffer = vec![0; LARGEST];
        VrrpSocket { socket, family, index, control, buffer, emptied, dropped: 0, told: 0, aside: None }
    }

    /// From now on hears at first hand only what one of these may be, and the rest aside: [`VrrpSocket::receive_aside`].
    ///
    /// # Errors
    /// As for [`VrrpSocket::open`]; no memory for filters.
    pub fn sift(&mut self, interface: &InterfaceName, awaited: &[AwaitedAdverts]) -> io::Result<()> {
        let program = |may_count, others| sieve::program(self.family, awaited, Verdicts { may_count, others });
        let (first_hand, aside) = (program(true, false), program(false, true));
        // For a moment both hear some, rather than none of the two.
        self.socket.attach_filter(&first_hand)?;
        match &self.aside {
            Some(open) => open.socket.attach_filter(&aside),
            None => {
                // The group is joined already. To join and to leave it waits for the lock on all of the kernel's network
                // settings, which others may have for long, and a program that takes over must not.
                let open = VrrpSocket::bound(interface, self.index, self.family, &aside, ASIDE_BUFFER)?;
                self.aside = Some(Box::new(open));
                Ok(())
            }
        }
    }

    /// One that was open when this program began, if this descriptor is one for this interface and family; what it has heard since
    /// `since` waits in its queue. Otherwise the descriptor comes back.
    ///
    /// # Errors
    /// It is another one.
    pub fn take_over(
        fd: OwnedFd,
        interface: &InterfaceName,
        index: u32,
        family: Family,
        since: Instant,
    ) -> Result<Self, OwnedFd> {
        let socket = SockRef::from(&fd);
        let kind = (socket.domain().ok(), socket.r#type().ok(), socket.protocol().ok().flatten());
        let bound = socket.device().ok().flatten();
        let ours = kind == (Some(domain(family)), Some(Type::RAW), Some(Protocol::from(i32::from(PROTOCOL))))
            && bound.is_some_and(|name| name == interface.as_str().as_bytes());
        if !ours || socket.set_nonblocking(true).is_err() || setsockopt(&fd, sockopt::RxqOvfl, &1).is_err() {
            return Err(fd);
        }
        Ok(VrrpSocket::new(fd.into(), index, family, since))
    }

    /// Sends one packet, complete from its IP header on; of IPv4 the kernel fills in identification and header checksum.
    ///
    /// # Errors
    /// The kernel's words: no link, a firewall (EPERM), a full queue, no way to the destination.
    pub fn send(&self, packet: &[u8], destination: IpAddr) -> io::Result<()> {
        let destination = match destination {
            IpAddr::V4(address) => SocketAddr::V4(SocketAddrV4::new(address, 0)),
            // A link-local address means nothing without its link.
            IpAddr::V6(address) => SocketAddr::V6(SocketAddrV6::new(address, 0, 0, self.index)),
        };
        let destination = SockAddr::from(destination);
        // A queue that is full now may have room in a moment; one that stays full is told of.
        for _ in 1..TRIES {
            match self.send_and_hear(packet, &destination) {
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                sent => return sent,
            }
        }
        self.send_and_hear(packet, &destination)
    }

    /// Sends it, and hears of a queue that threw it away, which the kernel tells only whoever asks for all errors. Those of
    /// other hosts (ICMP, of a peer whose agent is away) are not ours to act on: they are asked for no longer than that.
    fn send_and_hear(&self, packet: &[u8], destination: &SockAddr) -> io::Result<()> {
        self.ask_for_errors(true)?;
        let sent = self.socket.send_to(packet, destination).map(drop);
        self.ask_for_errors(false)?;
        // What came meanwhile would be told as the failure of the next call.
        self.socket.take_error()?;
        sent
    }

    fn ask_for_errors(&self, asked: bool) -> io::Result<()> {
        match self.family {
            Family::Ipv4 => setsockopt(&self.socket, sockopt::Ipv4RecvErr, &asked)?,
            Family::Ipv6 => setsockopt(&self.socket, sockopt::Ipv6RecvErr, &asked)?,
        }
        Ok(())
    }

    /// The next packet that cannot count, as [`VrrpSocket::receive`] gives it. Nothing wakes anybody for its sake.
    ///
    /// # Errors
    /// As there.
    pub fn receive_aside(&mut self, clocks: &ClockPair) -> io::Result<Option<(Instant, &[u8])>> {
        match &mut self.aside {
            Some(aside) => aside.receive(clocks),
            None => Ok(None),
        }
    }

    /// How many packets found no room since this was asked last, as far as the packets read since then tell: of those that
    /// may count, and of the others.
    pub fn missed(&mut self) -> [u64; 2] {
        let aside = self.aside.as_mut().map_or(0, |aside| aside.missed_at_first_hand());
        [self.missed_at_first_hand(), aside]
    }

    fn missed_at_first_hand(&mut self) -> u64 {
        let told = std::mem::replace(&mut self.told, self.dropped);
        self.dropped.wrapping_sub(told).into()
    }

    /// The next packet, from its IP header on, with the time the kernel had it on our clock; `None` when there
    /// is none. `clocks` is the reading of this wake-up.
    ///
    /// # Errors
    /// The kernel's; the socket cannot be used any more unless it is ENETDOWN.
    pub fn receive(&mut self, clocks: &ClockPair) -> io::Result<Option<(Instant, &[u8])>> {
        let offset = match self.family {
            Family::Ipv4 => 0,
            Family::Ipv6 => HEADER_V6,
        };
        let mut parts = [IoSliceMut::new(self.buffer.get_mut(offset..).unwrap_or_default())];
        let fd = self.socket.as_raw_fd();
        self.control.resize(self.control.capacity(), 0);
        let message = match recvmsg::<SockaddrStorage>(fd, &mut parts, Some(&mut self.control), MsgFlags::MSG_DONTWAIT)
        {
            Ok(message) => message,
            Err(Errno::EAGAIN) => {
                self.emptied = clocks.boot;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let length = message.bytes;
        let source = message.address.and_then(|from| from.as_sockaddr_in6().map(|from| from.ip()));
        let beside = message.cmsgs().map(|all| all.fold(Beside::default(), Beside::with)).unwrap_or_default();
        self.dropped = beside.dropped.unwrap_or(self.dropped);
        let received = beside.stamp.map_or(clocks.boot, |nanos| clocks.stamp(nanos, self.emptied));
        if let (Family::Ipv6, Some(place)) = (self.family, self.buffer.get_mut(..HEADER_V6)) {
            place.copy_from_slice(&beside.header(source.unwrap_or(Ipv6Addr::UNSPECIFIED), length));
        }
        Ok(self.buffer.get(..offset + length).map(|packet| (received, packet)))
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Beside {
    fn with(self, message: ControlMessageOwned) -> Self {
        match message {
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                Beside { destination: Some(Ipv6Addr::from(info.ipi6_addr.s6_addr)), ..self }
            }
            ControlMessageOwned::RxqOvfl(dropped) => Beside { dropped: Some(dropped), ..self },
            ControlMessageOwned::Ipv6HopLimit(limit) => Beside { hop_limit: u8::try_from(limit).unwrap_or(0), ..self },
            other => Beside { stamp: stamp_nanos(other).or(self.stamp), ..self },
        }
    }

    /// The IPv6 header as far as the kernel tells of it; what it does not tell is zero, and so refused.
    fn header(&self, source: Ipv6Addr, length: usize) -> [u8; HEADER_V6] {
        let mut header = [0; HEADER_V6];
        let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
        let fields = [0x60, 0, 0, 0, high, low, PROTOCOL, self.hop_limit];
        let destination = self.destination.unwrap_or(Ipv6Addr::UNSPECIFIED);
        let bytes = fields.into_iter().chain(source.octets()).chain(destination.octets());
        header.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
        header
    }
}

fn domain(family: Family) -> Domain {
    match family {
        Family::Ipv4 => Domain::IPV4,
        Family::Ipv6 => Domain::IPV6,
    }
}

/// A raw socket for VRRP that is bound to nothing yet; also tells whether one may be opened.
pub(super) fn open_raw(family: Family) -> io::Result<Socket> {
    let socket = Socket::new(domain(family), Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
