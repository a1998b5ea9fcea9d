//! Packet sockets, which are closed aside: closing one waits until every processor has passed through its scheduler once,
//! which is some milliseconds on an idle machine and was seconds on a crowded one.

use std::convert::Infallible;
use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use socket2::{Domain, Socket, Type};

/// Sockets that are being closed aside at a time; further ones are closed by whoever drops them.
const MOST: usize = 16;
/// The stack of a thread that closes one.
const STACK: usize = 64 << 10;

static CLOSING: AtomicUsize = AtomicUsize::new(0);

/// A packet socket. Dropping it does not block.
#[derive(Debug)]
pub(super) struct PacketSocket {
    socket: Socket,
    /// Dropped when `socket` is closed, in the order of these fields: from then on the thread that waits for it has the
    /// last descriptor.
    closed: Option<Sender<Infallible>>,
}

impl PacketSocket {
    /// One that hears nothing yet, and does not block.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing (`PermissionDenied`), or the kernel has none.
    pub(super) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        Ok(PacketSocket::from(socket))
    }
}

impl From<Socket> for PacketSocket {
    fn from(socket: Socket) -> Self {
        PacketSocket { socket, closed: None }
    }
}

impl Deref for PacketSocket {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

impl Drop for PacketSocket {
    /// It is the last of its descriptors that waits, so a thread gets another one. As soon as that one is being closed no
    /// poller tells of it any more.
    fn drop(&mut self) {
        if CLOSING.fetch_add(1, Ordering::Relaxed) < MOST
            && let Ok(last) = self.socket.as_fd().try_clone_to_owned()
        {
            let (closed, wait) = channel();
            let close = move || {
                // Nothing is ever sent: it ends with an error.
                wait.recv().ok();
                drop(last);
                CLOSING.fetch_sub(1, Ordering::Relaxed);
            };
            // Where no thread can be had the closure, and the descriptor in it, is dropped right here.
            if thread::Builder::new().name("locum-closing".to_owned()).stack_size(STACK).spawn(close).is_ok() {
                self.closed = Some(closed);
                return;
            }
        }
        CLOSING.fetch_sub(1, Ordering::Relaxed);
    }
}
