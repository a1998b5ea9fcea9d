//! A socket that asks the kernel and is answered.

use std::io;
use std::os::fd::AsRawFd;

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::AddressMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, NetlinkAddr, recvmsg, send, setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

use super::message::{self, Answer, Answers, Change, Request};
use super::table::Snapshot;
use crate::io::clock;

/// Room for the largest datagram the kernel sends in answer to a dump.
const BUFFER: usize = 64 * 1024;
/// Requests in one system call. Their refusals must all fit the receive buffer.
const BATCH: usize = 1024;
const RECEIVE_BUFFER: usize = 4 << 20;
/// The kernel answers before `send` returns; this long without an answer, something is broken.
const PATIENCE_SECONDS: i64 = 5;
/// How often a dump is begun anew because something changed under it.
const DUMP_TRIES: usize = 8;

/// The kernel refused a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", .errno.desc(), if .words.is_empty() { String::new() } else { format!(" ({})", .words) })]
pub struct NetlinkError {
    /// Its error number.
    pub errno: Errno,
    /// Its words beside the number; often there are none.
    pub words: String,
}

/// A socket for requests about links and addresses, for one thread.
#[derive(Debug)]
pub struct Netlink {
    socket: Socket,
    sequence: u32,
    batch: Vec<u8>,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens it in the network namespace of this thread.
    ///
    /// # Errors
    /// The system's; no right is needed to open it.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.set_ext_ack(true)?;
        socket.set_cap_ack(true)?;
        // Without it a dump of one interface's addresses is a dump of all: slower, and filtered by the caller.
        socket.set_netlink_get_strict_chk(true)?;
        crate::io::raise_receive_buffer(&socket, RECEIVE_BUFFER)?;
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(PATIENCE_SECONDS))?;
        Ok(Netlink { socket, sequence: 0, batch: Vec::new(), buffer: vec![0; BUFFER] })
    }

    /// Has requests carried out in order, in one system call for each 1,024 of them. One result for each request.
    ///
    /// # Errors
    /// The socket's own: what became of the requests is not known then.
    pub fn request(&mut self, requests: &[Request]) -> io::Result<Vec<Result<(), NetlinkError>>> {
        let mut results = Vec::with_capacity(requests.len());
        for batch in requests.chunks(BATCH) {
            let base = results.len();
            results.resize(base + batch.len(), Ok(()));
            self.request_batch(batch, results.get_mut(base..).unwrap_or_default())?;
        }
        Ok(results)
    }

    /// Only refusals are answered, and the last request in any case: one answer for a batch that goes well.
    fn request_batch(&mut self, requests: &[Request], results: &mut [Result<(), NetlinkError>]) -> io::Result<()> {
        let first = self.sequence.wrapping_add(1);
        self.batch.clear();
        for (position, request) in requests.iter().enumerate() {
            self.sequence = self.sequence.wrapping_add(1);
            message::encode(request, self.sequence, position + 1 == requests.len(), &mut self.batch);
        }
        let last = self.sequence;
        self.send_batch()?;
        loop {
            let length = receive(&self.socket, &mut self.buffer, MsgFlags::empty())?;
            for answer in Answers(self.buffer.get(..length).unwrap_or_default()) {
                let Answer::Status { sequence, errno, words } = answer else { continue };
                let position = usize::try_from(sequence.wrapping_sub(first)).unwrap_or(usize::MAX);
                // Anything else is late: the answer to a batch that failed before it was read to its end.
                let Some(result) = results.get_mut(position) else { continue };
                if errno != 0 {
                    *result = Err(NetlinkError { errno: Errno::from_raw(errno), words });
                }
                if sequence == last {
                    return Ok(());
                }
            }
        }
    }

    /// All links and addresses, each in the kernel's order.
    ///
    /// # Errors
    /// The socket's, the kernel's refusal, or that things never kept still for as long as a dump takes.
    pub fn snapshot(&mut self) -> io::Result<Snapshot> {
        let links = self.dump(&message::dump_links())?;
        let addresses = self.dump(&message::dump_addresses(AddressFamily::Unspec, None))?;
        let mut snapshot = Snapshot { taken: clock::now(), uptime: clock::uptime(), ..Snapshot::default() };
        for change in links.into_iter().chain(addresses) {
            match change {
                Change::Link(link) => snapshot.links.push(link),
                Change::Address(address) => snapshot.addresses.push(address),
                Change::LinkGone(_) | Change::AddressGone(_) | Change::Switched(_) => {}
            }
        }
        Ok(snapshot)
    }

    /// The port that names this socket in the kernel's news of what it was asked to change.
    ///
    /// # Errors
    /// The socket's own; none is expected.
    pub fn port(&self) -> io::Result<u32> {
        let mut address = SocketAddr::new(0, 0);
        self.socket.get_address(&mut address)?;
        Ok(address.port_number())
    }

    /// The addresses of one interface, those of IPv4 first and in the kernel's order, with all their attributes.
    ///
    /// # Errors
    /// As [`Netlink::snapshot`].
    pub fn addresses(&mut self, index: u32) -> io::Result<Vec<AddressMessage>> {
        let mut changes = self.dump(&message::dump_addresses(AddressFamily::Inet, Some(index)))?;
        changes.extend(self.dump(&message::dump_addresses(AddressFamily::Inet6, Some(index)))?);
        let of_interface = |change| match change {
            Change::Address(address) => Some(address).filter(|address| address.header.index == index),
            Change::Link(_) | Change::LinkGone(_) | Change::AddressGone(_) | Change::Switched(_) => None,
        };
        Ok(changes.into_iter().filter_map(of_interface).collect())
    }

    fn dump(&mut self, request: &Request) -> io::Result<Vec<Change>> {
        for _ in 0..DUMP_TRIES {
            if let Some(changes) = self.dump_once(request)? {
                return Ok(changes);
            }
        }
        Err(io::Error::other("links or addresses change faster than they can be listed"))
    }

    /// `None` if something changed while the kernel listed.
    fn dump_once(&mut self, request: &Request) -> io::Result<Option<Vec<Change>>> {
        self.sequence = self.sequence.wrapping_add(1);
        self.batch.clear();
        message::encode(request, self.sequence, false, &mut self.batch);
        self.send_batch()?;
        let (mut changes, mut whole) = (Vec::new(), true);
        loop {
            let length = receive(&self.socket, &mut self.buffer, MsgFlags::empty())?;
            for answer in Answers(self.buffer.get(..length).unwrap_or_default()) {
                match answer {
                    Answer::Message { kind, sequence, interrupted, payload, .. } if sequence == self.sequence => {
                        whole &= !interrupted;
                        changes.extend(message::change(kind, payload));
                    }
                    Answer::Done { sequence } if sequence == self.sequence => return Ok(whole.then_some(changes)),
                    Answer::Status { sequence, errno, .. } if sequence == self.sequence && errno != 0 => {
                        return Err(io::Error::from_raw_os_error(errno));
                    }
                    Answer::Message { .. } | Answer::Done { .. } | Answer::Status { .. } | Answer::Overrun => {}
                }
            }
        }
    }

    fn send_batch(&self) -> io::Result<()> {
        send(self.socket.as_raw_fd(), &self.batch, MsgFlags::empty())?;
        Ok(())
    }
}

/// The next datagram that the kernel itself sent; its length.
pub(super) fn receive(socket: &Socket, buffer: &mut [u8], flags: MsgFlags) -> io::Result<usize> {
    loop {
        let mut parts = [io::IoSliceMut::new(buffer)];
        let fd = socket.as_raw_fd();
        match recvmsg::<NetlinkAddr>(fd, &mut parts, None, flags) {
            Ok(message) if message.flags.contains(MsgFlags::MSG_TRUNC) => return Err(Errno::ENOBUFS.into()),
            // Whoever may send to this socket, only the kernel (port 0) is listened to.
            Ok(message) if message.address.is_some_and(|from| from.pid() == 0) => return Ok(message.bytes),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
