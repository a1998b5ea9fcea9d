//! Captures all frames of one interface, sent and received, with the kernel's time stamps.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{ControlMessageOwned, LinkAddr, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

use super::sys;

/// Room for what comes while nobody reads: some seconds of a thousand echoes a second.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Longer frames are cut: what is looked at stands in their first bytes.
const LARGEST: usize = 2048;

/// A packet socket that hears everything on one interface.
#[derive(Debug)]
pub struct Capture {
    socket: Socket,
    control: Vec<u8>,
    buffer: Vec<u8>,
}

/// One captured frame.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// When the kernel had it, in nanoseconds since 1970 (CLOCK_REALTIME).
    pub stamp: u64,
    /// Whether the interface sent it; otherwise it received it.
    pub sent: bool,
    /// From the Ethernet header on, cut after 2048 bytes.
    pub bytes: &'a [u8],
}

impl Capture {
    /// Starts to capture on the interface with this kernel index, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing, or there is no such interface.
    pub fn open(index: u32) -> io::Result<Self> {
        let all = libc::ETH_P_ALL as u16;
        // Without a protocol it hears nothing until it is bound, so no frame of another interface gets in.
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(0)))?;
        socket.set_nonblocking(true)?;
        super::raise_receive_buffer(&socket, RECEIVE_BUFFER)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        socket.bind(&sys::packet_address(index, all)?)?;
        Ok(Capture { socket, control: nix::cmsg_space!(TimeSpec), buffer: vec![0; LARGEST] })
    }

    /// Waits until there is a frame; `false` if `milliseconds` pass before.
    ///
    /// # Errors
    /// The kernel's; none is expected.
    pub fn wait(&self, milliseconds: u16) -> io::Result<bool> {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::from(milliseconds)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the next frame, without waiting.
    ///
    /// # Errors
    /// The kernel's: ENETDOWN when the interface went down or away.
    pub fn take(&mut self) -> io::Result<Option<Frame<'_>>> {
        let mut parts = [IoSliceMut::new(&mut self.buffer)];
        self.control.resize(self.control.capacity(), 0);
        let fd = self.socket.as_raw_fd();
        let message = match recvmsg::<LinkAddr>(fd, &mut parts, Some(&mut self.control), MsgFlags::MSG_DONTWAIT) {
            Ok(message) => message,
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stamp = message.cmsgs().ok().and_then(|mut all| all.find_map(stamp_nanos));
        let sent = message.address.is_some_and(|from| from.pkttype() == libc::PACKET_OUTGOING);
        let length = message.bytes;
        let stamp = stamp.ok_or_else(|| io::Error::other("the kernel gave a frame no time stamp"))?;
        Ok(self.buffer.get(..length).map(|bytes| Frame { stamp, sent, bytes }))
    }

    /// Frames lost since the last call because nobody read them in time.
    ///
    /// # Errors
    /// None is expected.
    pub fn lost(&self) -> io::Result<u32> {
        sys::packet_losses(self.socket.as_fd())
    }
}

/// The kernel's time stamp (SO_TIMESTAMPNS) beside a message, in nanoseconds since 1970.
pub(super) fn stamp_nanos(message: ControlMessageOwned) -> Option<u64> {
    match message {
        ControlMessageOwned::ScmTimestampns(time) => {
            let secs = u64::try_from(time.tv_sec()).ok()?;
            secs.checked_mul(1_000_000_000)?.checked_add(u64::try_from(time.tv_nsec()).ok()?)
        }
        // Nothing else is asked for.
        _ => None,
    }
}
