//! Hears of every change of a link or an address.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use ipnet::IpNet;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::sys::socket::MsgFlags;
use socket2::{SockFilter, SockRef};

use super::message::{self, Answer, Answers, Change};
use super::request::receive;
use super::table::{Snapshot, Switches, Table};
use crate::types::{InterfaceFacts, InterfaceName};

const GROUP_LINK: u32 = 1;
const GROUP_IPV4_ADDRESS: u32 = 5;
const GROUP_IPV6_ADDRESS: u32 = 9;
const GROUP_IPV6_SETTINGS: u32 = 25;
/// The kernel sends one change a datagram, none near this size.
const BUFFER: usize = 32 * 1024;

/// What [`Monitor::read`] left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MonitorState {
    /// Nothing is queued.
    Current,
    /// More is queued than was to be read at once.
    More,
    /// Changes were lost: nothing is read until [`Monitor::replace`] brings a whole listing that was begun after
    /// this was said.
    Lost,
}

/// Drops the news of an address that bears our mark (IFA_PROTO) and is there, or is different: a thousand leases that are
/// renewed each second must not wake anybody. That one is gone is always heard of. Offsets are from the netlink header
/// on; its numbers are in the machine's order, which the filter reads as the network's.
const NOT_OURS: [SockFilter; 11] = [
    SockFilter::new(0x28, 0, 0, 4),
    SockFilter::new(0x15, 0, 7, libc::RTM_NEWADDR.to_be() as u32),
    // Looks for the attribute behind the two headers; 0 if there is none, else where it begins.
    SockFilter::new(0x00, 0, 0, 24),
    SockFilter::new(0x01, 0, 0, IFA_PROTO),
    SockFilter::new(0x20, 0, 0, (libc::SKF_AD_OFF + libc::SKF_AD_NLATTR) as u32),
    SockFilter::new(0x15, 3, 0, 0),
    SockFilter::new(0x07, 0, 0, 0),
    SockFilter::new(0x50, 0, 0, 4),
    SockFilter::new(0x15, 1, 0, message::MARK as u32),
    SockFilter::new(0x06, 0, 0, u32::MAX),
    SockFilter::new(0x06, 0, 0, 0),
];
const IFA_PROTO: u32 = 11;

/// The kernel's news of links and addresses, and what follows from them. Routes are not among them, nor are additions
/// and renewals of addresses with our mark.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    buffer: Vec<u8>,
    table: Table,
    lost: bool,
    /// The socket by which this process changes addresses.
    own_port: u32,
    /// Addresses that went, not by a request of ours, since this was last asked.
    removals: Vec<(InterfaceName, IpNet)>,
}

impl Monitor {
    /// Begins to listen, in the network namespace of this thread, with a receive buffer of about `receive_buffer`
    /// bytes. Nothing is known until [`Monitor::replace`]. `own_port` is that of the socket whose requests are ours.
    ///
    /// # Errors
    /// The system's; no right is needed to listen.
    pub fn open(receive_buffer: usize, own_port: u32) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        crate::io::raise_receive_buffer(&socket, receive_buffer)?;
        SockRef::from(&socket).attach_filter(&NOT_OURS)?;
        socket.add_membership(GROUP_LINK)?;
        socket.add_membership(GROUP_IPV4_ADDRESS)?;
        socket.add_membership(GROUP_IPV6_ADDRESS)?;
        socket.add_membership(GROUP_IPV6_SETTINGS)?;
        let (buffer, table) = (vec![0; BUFFER], Table::default());
        Ok(Monitor { socket, buffer, table, lost: true, own_port, removals: Vec::new() })
    }

    /// Takes over a listing that was begun after the last [`MonitorState::Lost`], or after opening.
    ///
    /// Messages that are queued by now are read on top of it: each says how a thing is, not how it changed, so the
    /// last one about it is right even where the listing had it already.
    pub fn replace(&mut self, snapshot: Snapshot) {
        self.table.replace(snapshot);
        self.lost = false;
    }

    /// Reads what is queued, at most `limit` messages.
    ///
    /// # Errors
    /// The socket's own; none is expected.
    pub fn read(&mut self, limit: usize) -> io::Result<MonitorState> {
        for _ in 0..limit {
            if self.lost {
                return Ok(MonitorState::Lost);
            }
            match receive(&self.socket, &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => self.apply(length),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(MonitorState::Current),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return self.lose(),
                Err(error) => return Err(error),
            }
        }
        Ok(MonitorState::More)
    }

    fn apply(&mut self, length: usize) {
        for answer in Answers(self.buffer.get(..length).unwrap_or_default()) {
            match answer {
                Answer::Message { kind, port, payload, .. } => {
                    let Some(change) = message::change(kind, payload) else { continue };
                    let gone = match &change {
                        // Also what went along with an address of ours was, and is put back in the same batch.
                        Change::AddressGone(message) if port != self.own_port => {
                            self.table.name_of(message.header.index).zip(message::address_of(message))
                        }
                        Change::AddressGone(_)
                        | Change::Address(_)
                        | Change::Link(_)
                        | Change::LinkGone(_)
                        | Change::Switched(_) => None,
                    };
                    self.removals.extend(gone);
                    self.table.apply(change);
                }
                Answer::Overrun => self.lost = true,
                Answer::Status { .. } | Answer::Done { .. } => {}
            }
        }
    }

    /// Empties the queue: what it holds is older than what was lost and would bring back what is gone. Only an
    /// empty queue makes the kernel queue again, and it holds no more than the receive buffer.
    fn lose(&mut self) -> io::Result<MonitorState> {
        self.lost = true;
        self.removals.clear();
        loop {
            match receive(&self.socket, &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(MonitorState::Lost),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What is new of the `wanted` interfaces since this was last asked. Nothing while changes are lost.
    pub fn news(&mut self, wanted: &BTreeSet<InterfaceName>) -> Vec<(InterfaceName, Option<InterfaceFacts>)> {
        if self.lost { Vec::new() } else { self.table.news(wanted, Switches::of) }
    }

    /// Addresses that went since this was last asked, by the kernel's own doing or somebody else's. In IPv6 the kernel
    /// does not say whose it was: those that we removed are among them.
    pub fn removals(&mut self) -> Vec<(InterfaceName, IpNet)> {
        std::mem::take(&mut self.removals)
    }
}

impl AsFd for Monitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Switches {
    /// Those of an interface, as they are now.
    fn of(name: &InterfaceName) -> Self {
        let is_on = |switch: &str, conf: &str| {
            let path = format!("/proc/sys/net/{switch}").replace("CONF", conf);
            std::fs::read(path).is_ok_and(|value| value.first().is_some_and(|digit| *digit != b'0'))
        };
        Switches {
            // Either is enough. Where neither can be read the kernel is taken not to, which is its default and costs
            // a restoration at most.
            promote_secondaries: ["all", name.as_str()]
                .iter()
                .any(|conf| is_on("ipv4/conf/CONF/promote_secondaries", conf)),
            forwards_ipv6: is_on("ipv6/conf/CONF/forwarding", name.as_str()),
        }
    }
}
