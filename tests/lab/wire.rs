//! The observer on the switch: every advert, ARP packet and Neighbor Advertisement that crosses the LAN, with the kernel's time stamp.

use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::os::fd::AsFd;

use crate::clock::{Moment, PATIENCE, SECOND};
use crate::room::Room;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub at: Moment,
    /// Source of the Ethernet frame.
    pub mac: [u8; 6],
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Advert(Advert),
    Arp(Arp),
    /// A Neighbor Advertisement for this address.
    Neighbor(Ipv6Addr),
    /// Protocol 112, but no advert.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advert {
    pub version: u8,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub vrid: u8,
    pub priority: u8,
    pub centiseconds: u16,
    pub addresses: Vec<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arp {
    pub sender: Ipv4Addr,
    pub sender_mac: [u8; 6],
    pub target: Ipv4Addr,
}

impl Seen {
    pub fn advert(&self) -> Option<&Advert> {
        match &self.what {
            What::Advert(advert) => Some(advert),
            What::Arp(_) | What::Neighbor(_) | What::Other => None,
        }
    }

    /// The address it announces, if it is a gratuitous ARP packet.
    pub fn announces(&self) -> Option<Ipv4Addr> {
        match &self.what {
            What::Arp(arp) if arp.sender == arp.target => Some(arp.sender),
            What::Arp(_) | What::Neighbor(_) | What::Advert(_) | What::Other => None,
        }
    }

    /// Whether a host says that it has an IPv6 address.
    pub fn advertises(&self, address: Ipv6Addr, host: u8) -> bool {
        self.what == What::Neighbor(address) && self.mac[5] == host
    }

    /// Whether it is an advert of that host that is no resignation, nor one of the lowest priority: none here is configured
    /// so, and it only has whoever has followed announce again.
    pub fn asserts(&self, source: impl Into<IpAddr>) -> bool {
        let source = source.into();
        self.advert().is_some_and(|advert| advert.source == source && advert.priority > 1)
    }

    /// Whether it is a resignation of that host.
    pub fn resigns(&self, source: impl Into<IpAddr>) -> bool {
        let source = source.into();
        self.advert().is_some_and(|advert| advert.source == source && advert.priority == 0)
    }
}

#[derive(Default)]
struct Heard {
    seen: Mutex<Vec<Seen>>,
    more: Condvar,
    end: AtomicBool,
}

/// A capture that runs from its making on.
pub struct Wire {
    heard: Arc<Heard>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// Listens on these interfaces of a room.
    pub fn tap(room: &Room, interfaces: &[String]) -> Self {
        let interfaces = interfaces.to_vec();
        let socket = room.within(move || open(&interfaces));
        let heard = Arc::new(Heard::default());
        let theirs = Arc::clone(&heard);
        let thread = thread::Builder::new().name("wire".into()).spawn(move || listen(&socket, &theirs));
        Wire { heard, thread: Some(thread.expect("a thread")) }
    }

    /// All that was seen from a moment on.
    pub fn since(&self, from: Moment) -> Vec<Seen> {
        let seen = self.heard.seen.lock().expect("nobody panicked over it");
        seen.iter().filter(|seen| seen.at >= from).cloned().collect()
    }

    /// The first packet from a moment on that fits; waits for it.
    pub fn wait(&self, what: &str, from: Moment, fits: impl Fn(&Seen) -> bool) -> Seen {
        let begun = Instant::now();
        let mut seen = self.heard.seen.lock().expect("nobody panicked over it");
        let mut at = 0;
        loop {
            if let Some(found) = seen[at..].iter().find(|seen| seen.at >= from && fits(seen)) {
                return found.clone();
            }
            at = seen.len();
            let left = PATIENCE.checked_sub(begun.elapsed());
            let Some(left) = left else {
                // What is told of a failed test reads the packets too.
                drop(seen);
                panic!("waited {} s in vain for {what}", PATIENCE.as_secs());
            };
            seen = self.heard.more.wait_timeout(seen, left).expect("nobody panicked over it").0;
        }
    }

    /// Waits until the LAN has been watched up to a moment: something later has been seen on it.
    pub fn watched_until(&self, end: Moment) {
        self.wait("any packet later than the end of the watch", end, |_| true);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.heard.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Opened in the room's namespace, it stays there whoever reads it.
fn open(interfaces: &[String]) -> Socket {
    const ETH_P_ALL: u16 = 0x0003;
    let socket = Socket::new(Domain::PACKET, Type::RAW, None).expect("a packet socket");
    drop(socket);
    let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(i32::from(ETH_P_ALL.to_be()))));
    let socket = socket.expect("a packet socket");
    socket.attach_filter(&filter(interfaces)).expect("a filter");
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).expect("kernel time stamps");
    if setsockopt(&socket, sockopt::RcvBufForce, &(64 << 20)).is_err() {
        socket.set_recv_buffer_size(64 << 20).expect("a receive buffer");
    }
    socket.set_nonblocking(true).expect("a socket that does not block");
    socket
}

/// The type of service of packets that a test floods the LAN with, so that the observer is spared them.
pub const FLOOD: u8 = 0x04;

/// Passes ARP, Neighbor Advertisements and protocol 112 of these interfaces; the client's echoes would only cost time.
fn filter(interfaces: &[String]) -> Vec<SockFilter> {
    // SKF_AD_OFF + SKF_AD_IFINDEX of linux/filter.h.
    const INTERFACE_INDEX: u32 = 0xffff_f000 + 8;
    let count = u8::try_from(interfaces.len()).expect("a few interfaces");
    let mut program = vec![SockFilter::new(0x20, 0, 0, INTERFACE_INDEX)];
    for (at, name) in (0u8..).zip(interfaces) {
        let index = nix::net::if_::if_nametoindex(name.as_str()).expect("an interface");
        program.push(SockFilter::new(0x15, count - at, 0, index));
    }
    program.extend([
        SockFilter::new(0x06, 0, 0, 0),
        SockFilter::new(0x28, 0, 0, 12),
        SockFilter::new(0x15, 11, 0, 0x0806),
        SockFilter::new(0x15, 1, 0, 0x0800),
        SockFilter::new(0x15, 4, 10, 0x86dd),
        // IPv4: the protocol and the type of service.
        SockFilter::new(0x30, 0, 0, 23),
        SockFilter::new(0x15, 0, 8, 112),
        SockFilter::new(0x30, 0, 0, 15),
        SockFilter::new(0x15, 6, 5, u32::from(FLOOD)),
        // IPv6: the next header, and of ICMPv6 the type.
        SockFilter::new(0x30, 0, 0, 20),
        SockFilter::new(0x15, 3, 0, 112),
        SockFilter::new(0x15, 0, 3, 58),
        SockFilter::new(0x30, 0, 0, 54),
        SockFilter::new(0x15, 0, 1, 136),
        SockFilter::new(0x06, 0, 0, 2048),
        SockFilter::new(0x06, 0, 0, 0),
    ]);
    program
}

fn listen(socket: &Socket, heard: &Heard) {
    let mut buffer = [0; 2048];
    while !heard.end.load(Ordering::Relaxed) {
        let mut wanted = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut wanted, PollTimeout::from(50u16)) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(error) => panic!("poll: {error}"),
        }
        let mut batch = Vec::new();
        while let Some((at, length)) = receive(socket, &mut buffer) {
            batch.extend(dissect(at, &buffer[..length]));
        }
        heard.seen.lock().expect("nobody panicked over it").extend(batch);
        heard.more.notify_all();
    }
}

/// One frame with its time stamp, if there is one.
pub fn receive(socket: &Socket, buffer: &mut [u8]) -> Option<(Moment, usize)> {
    let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
    let mut slices = [IoSliceMut::new(buffer)];
    let message = match recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT) {
        Ok(message) => message,
        Err(Errno::EAGAIN | Errno::EINTR | Errno::ENETDOWN) => return None,
        Err(error) => panic!("recvmsg: {error}"),
    };
    let stamp = message.cmsgs().expect("room for the time stamp").find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(stamp) => {
            let seconds = u64::try_from(stamp.tv_sec()).expect("after 1970");
            Some(seconds * SECOND + u64::try_from(stamp.tv_nsec()).expect("nanoseconds"))
        }
        _ => None,
    });
    Some((stamp.expect("a time stamp"), message.bytes))
}

fn dissect(at: Moment, frame: &[u8]) -> Option<Seen> {
    let mac = frame.get(6..12)?.try_into().ok()?;
    let what = match frame.get(12..14)? {
        [0x08, 0x06] => What::Arp(arp(frame.get(14..)?)?),
        [0x86, 0xdd] if frame.get(20) == Some(&58) => What::Neighbor(ipv6(frame.get(62..78)?)?),
        _ => advert(frame.get(14..)?).map_or(What::Other, What::Advert),
    };
    Some(Seen { at, mac, what })
}

fn arp(body: &[u8]) -> Option<Arp> {
    Some(Arp {
        sender_mac: body.get(8..14)?.try_into().ok()?,
        sender: ipv4(body.get(14..18)?)?,
        target: ipv4(body.get(24..28)?)?,
    })
}

/// RFC 9568 section 5.1 and RFC 3768 section 5.3, read leniently: the judge of a packet is whoever it was sent to.
fn advert(packet: &[u8]) -> Option<Advert> {
    let is_ipv6 = packet.first()? >> 4 == 6;
    let header = if is_ipv6 { 40 } else { usize::from(*packet.first()? & 0x0f) * 4 };
    let message = packet.get(header..)?;
    let [version_type, vrid, priority, count, high, low, ..] = *message else { return None };
    let size = if is_ipv6 { 16 } else { 4 };
    let addresses = message.get(8..8 + size * usize::from(count))?;
    let host = |at: usize| ip(packet.get(at..at + size)?);
    Some(Advert {
        version: version_type >> 4,
        source: host(if is_ipv6 { 8 } else { 12 })?,
        destination: host(if is_ipv6 { 24 } else { 16 })?,
        vrid,
        priority,
        centiseconds: match version_type {
            0x31 => u16::from_be_bytes([high, low]) & 0x0fff,
            0x21 => u16::from(low) * 100,
            _ => return None,
        },
        addresses: addresses.chunks(size).filter_map(ip).collect(),
    })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    ipv4(bytes).map(IpAddr::V4).or_else(|| ipv6(bytes).map(IpAddr::V6))
}

fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?))
}

fn ipv6(bytes: &[u8]) -> Option<Ipv6Addr> {
    Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))
}
