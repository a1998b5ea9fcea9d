//! The socket for adverts: IPv4, protocol 112, on one interface.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::clock::ClockPair;
use crate::types::{Instant, InterfaceName};

/// Where VRRP speaks and listens in IPv4 (RFC 9568 section 5.1.1.2).
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// The IP protocol number of VRRP.
const PROTOCOL: i32 = 112;
/// Priority of our packets in the host's queues: 6 is the highest that needs no further right.
const PRIORITY: u32 = 6;
/// More than the largest advert (60 bytes of IP header and 255 addresses); what is longer is cut and is none.
const LARGEST: usize = 2048;

/// A raw socket that hears and sends VRRP on one interface only.
#[derive(Debug)]
pub struct VrrpSocket {
    socket: Socket,
    control: Vec<u8>,
    buffer: Vec<u8>,
    /// When the socket was last seen empty: what is read now came after that.
    emptied: Instant,
}

impl VrrpSocket {
    /// Opens it, bound to the interface and a member of 224.0.0.18 there.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing (`PermissionDenied`), or the interface is gone.
    pub fn open(interface: &InterfaceName, index: u32) -> io::Result<Self> {
        let socket = open_raw()?;
        socket.bind_device(Some(interface.as_str().as_bytes()))?;
        socket.set_header_included_v4(true)?;
        socket.set_multicast_loop_v4(false)?;
        // Else it would hear the groups that any other program of this host has joined.
        socket.set_multicast_all_v4(false)?;
        socket.set_priority(PRIORITY)?;
        super::raise_receive_buffer(&socket, super::RECEIVE_BUFFER)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        socket.join_multicast_v4_n(&GROUP, &InterfaceIndexOrAddress::Index(index))?;
        let (control, buffer) = (nix::cmsg_space!(TimeSpec), vec![0; LARGEST]);
        Ok(VrrpSocket { socket, control, buffer, emptied: super::clock::now() })
    }

    /// Sends one packet, complete from its IP header on; the kernel fills in identification and header checksum.
    ///
    /// # Errors
    /// The kernel's words: no link, a firewall (EPERM), a full queue.
    pub fn send(&self, packet: &[u8], destination: Ipv4Addr) -> io::Result<()> {
        self.socket.send_to(packet, &SocketAddrV4::new(destination, 0).into()).map(drop)
    }

    /// The next packet, from its IP header on, with the time the kernel had it on our clock; `None` when there
    /// is none. `clocks` is the reading of this wake-up.
    ///
    /// # Errors
    /// The kernel's; the socket cannot be used any more unless it is ENETDOWN.
    pub fn receive(&mut self, clocks: &ClockPair) -> io::Result<Option<(Instant, &[u8])>> {
        let mut parts = [IoSliceMut::new(&mut self.buffer)];
        let fd = self.socket.as_raw_fd();
        self.control.resize(self.control.capacity(), 0);
        let message = match recvmsg::<()>(fd, &mut parts, Some(&mut self.control), MsgFlags::MSG_DONTWAIT) {
            Ok(message) => message,
            Err(Errno::EAGAIN) => {
                self.emptied = clocks.boot;
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let length = message.bytes;
        let stamp = message.cmsgs().ok().and_then(|mut all| all.find_map(stamp_nanos));
        let received = stamp.map_or(clocks.boot, |nanos| clocks.stamp(nanos, self.emptied));
        Ok(self.buffer.get(..length).map(|packet| (received, packet)))
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A raw socket for VRRP that is bound to nothing yet; also tells whether one may be opened.
pub(super) fn open_raw() -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(PROTOCOL)))?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn stamp_nanos(message: ControlMessageOwned) -> Option<u64> {
    match message {
        ControlMessageOwned::ScmTimestampns(time) => {
            let secs = u64::try_from(time.tv_sec()).ok()?;
            secs.checked_mul(1_000_000_000)?.checked_add(u64::try_from(time.tv_nsec()).ok()?)
        }
        // Nothing else is asked for.
        _ => None,
    }
}
