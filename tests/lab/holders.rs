//! Who holds an address, asked from outside: the kernel's own messages about each host's addresses, with their times.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use netlink_packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressAttribute;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket, sockopt,
};
use std::os::fd::AsFd;

use crate::clock::{Moment, PATIENCE, eventually, now};
use crate::room::Room;

/// A host got or lost an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub at: Moment,
    /// The host's number, from 1.
    pub host: usize,
    pub address: IpAddr,
    pub held: bool,
}

/// All changes in order of time, and what they come to.
#[derive(Default)]
struct Book {
    changes: Vec<Change>,
    held: BTreeMap<IpAddr, BTreeSet<usize>>,
}

impl Book {
    /// A renewed address is told of again; only what differs is a change.
    fn enter(&mut self, change: Change) {
        let hosts = self.held.entry(change.address).or_default();
        let differs = if change.held { hosts.insert(change.host) } else { hosts.remove(&change.host) };
        if differs {
            self.changes.push(change);
        }
    }

    fn of(&self, address: IpAddr) -> Vec<usize> {
        self.held.get(&address).into_iter().flatten().copied().collect()
    }
}

#[derive(Default)]
struct Ledger {
    book: Mutex<Book>,
    more: Condvar,
    end: AtomicBool,
}

/// Keeps the ledger of all hosts from its making on.
pub struct Holders {
    ledger: Arc<Ledger>,
    thread: Option<JoinHandle<()>>,
}

/// For how long, between two moments, two or more and none at all held an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spans {
    pub several: u64,
    pub none: u64,
}

impl Holders {
    pub fn watch(rooms: &[Room]) -> Self {
        let sockets: Vec<OwnedFd> = rooms.iter().map(|room| room.within(open)).collect();
        let ledger = Arc::new(Ledger::default());
        let theirs = Arc::clone(&ledger);
        let thread = thread::Builder::new().name("holders".into()).spawn(move || listen(&sockets, &theirs));
        Holders { ledger, thread: Some(thread.expect("a thread")) }
    }

    /// A host without power holds nothing, whatever its kernel would say.
    pub fn power_lost(&self, host: usize) {
        let mut book = self.ledger.book.lock().expect("nobody panicked over it");
        let at = now();
        let addresses: Vec<IpAddr> = book.held.keys().copied().collect();
        for address in addresses {
            book.enter(Change { at, host, address, held: false });
        }
    }

    /// Every change from a moment on, in order of time.
    pub fn changes(&self, address: impl Into<IpAddr>, from: Moment) -> Vec<Change> {
        let address = address.into();
        let book = self.ledger.book.lock().expect("nobody panicked over it");
        book.changes.iter().filter(|change| change.address == address && change.at >= from).cloned().collect()
    }

    /// Every change of any address.
    pub fn all(&self) -> Vec<Change> {
        self.ledger.book.lock().expect("nobody panicked over it").changes.clone()
    }

    /// Who holds it, as far as the kernel has told by this moment.
    pub fn of(&self, address: impl Into<IpAddr>) -> Vec<usize> {
        self.ledger.book.lock().expect("nobody panicked over it").of(address.into())
    }

    /// Waits until exactly these hosts hold it; when that was.
    pub fn wait(&self, address: impl Into<IpAddr>, hosts: &[usize]) -> Moment {
        let address = address.into();
        let begun = Instant::now();
        let mut book = self.ledger.book.lock().expect("nobody panicked over it");
        loop {
            let held = book.of(address);
            if held == hosts {
                return book.changes.iter().rfind(|change| change.address == address).map_or(0, |change| change.at);
            }
            let left = PATIENCE.checked_sub(begun.elapsed());
            let Some(left) = left else {
                // What is told of a failed test reads the changes too.
                drop(book);
                panic!("{address} should be at {hosts:?}, but is at {held:?}");
            };
            book = self.ledger.more.wait_timeout(book, left).expect("nobody panicked over it").0;
        }
    }

    /// Waits until a host gets the address, or loses it, from a moment on; when that was.
    pub fn wait_change(&self, address: impl Into<IpAddr>, host: usize, held: bool, from: Moment) -> Moment {
        let address = address.into();
        let verb = if held { "get" } else { "lose" };
        eventually(&format!("host {host} should {verb} {address}"), || {
            let changes = self.changes(address, from);
            changes.iter().find(|change| (change.host, change.held) == (host, held)).map(|change| change.at)
        })
    }

    /// How long several hosts, and none, held it between two moments.
    pub fn spans(&self, address: impl Into<IpAddr>, from: Moment, to: Moment) -> Spans {
        let address = address.into();
        let book = self.ledger.book.lock().expect("nobody panicked over it");
        let mut held = BTreeSet::new();
        let mut spans = Spans { several: 0, none: 0 };
        let mut last = from;
        let mut account = |held: &BTreeSet<usize>, until: Moment| {
            let length = until.clamp(from, to) - last.clamp(from, to);
            last = until;
            match held.len() {
                0 => spans.none += length,
                1 => {}
                _ => spans.several += length,
            }
        };
        for change in book.changes.iter().filter(|change| change.address == address) {
            account(&held, change.at.max(from));
            if change.held {
                held.insert(change.host)
            } else {
                held.remove(&change.host)
            };
        }
        account(&held, to);
        spans
    }
}

impl Drop for Holders {
    fn drop(&mut self) {
        self.ledger.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn open() -> OwnedFd {
    // RTMGRP_IPV4_IFADDR and RTMGRP_IPV6_IFADDR of linux/rtnetlink.h.
    const ADDRESSES: u32 = 0x10 | 0x100;
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute).expect("netlink");
    // Root may have more than the limit.
    let forced = setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20));
    forced.or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &(4 << 20))).expect("a receive buffer");
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, ADDRESSES)).expect("address messages");
    socket
}

fn listen(sockets: &[OwnedFd], ledger: &Ledger) {
    while !ledger.end.load(Ordering::Relaxed) {
        let mut wanted: Vec<PollFd> = sockets.iter().map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
        match poll(&mut wanted, PollTimeout::from(50u16)) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => panic!("poll: {error}"),
        }
        let mut news: Vec<Change> = Vec::new();
        for (host, socket) in (1..).zip(sockets) {
            news.extend(read(host, socket.as_fd()));
        }
        let mut book = ledger.book.lock().expect("nobody panicked over it");
        for change in news {
            book.enter(change);
        }
        ledger.more.notify_all();
    }
}

fn read(host: usize, socket: BorrowedFd<'_>) -> Vec<Change> {
    let mut found = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => length,
            Err(Errno::EAGAIN) => return found,
            Err(Errno::EINTR) => continue,
            Err(error) => panic!("the ledger of host {host} is incomplete: {error}"),
        };
        let at = now();
        let mut rest = &buffer[..length];
        while let Ok(header) = NetlinkBuffer::new_checked(rest) {
            let size = usize::try_from(header.length()).expect("a length").next_multiple_of(4).min(rest.len());
            let (one, others) = rest.split_at(size);
            rest = others;
            found.extend(change(host, at, one));
            if rest.is_empty() {
                break;
            }
        }
    }
}

fn change(host: usize, at: Moment, message: &[u8]) -> Option<Change> {
    let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(message).expect("a netlink message");
    let (body, held) = match message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(body)) => (body, true),
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(body)) => (body, false),
        _ => return None,
    };
    body.attributes.iter().find_map(|attribute| match attribute {
        // Of IPv4 also the other end of a point-to-point link is told, and first.
        AddressAttribute::Local(address) => Some(Change { at, host, address: *address, held }),
        AddressAttribute::Address(address @ IpAddr::V6(_)) => Some(Change { at, host, address: *address, held }),
        _ => None,
    })
}
