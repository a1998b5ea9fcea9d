//! Packet sockets, which are closed aside: closing one waits until every processor has passed through its scheduler once,
//! which is some milliseconds on an idle machine and was seconds on a crowded one.

use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use socket2::{Domain, Socket, Type};

/// Sockets that are being closed aside at a time; further ones are closed by whoever drops them.
const MOST: usize = 16;
/// The stack of a thread that closes one.
const STACK: usize = 64 << 10;

static CLOSING: AtomicUsize = AtomicUsize::new(0);

/// A packet socket. Dropping it does not block.
#[derive(Debug)]
pub(super) struct PacketSocket(Socket);

impl PacketSocket {
    /// One that hears nothing yet, and does not block.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing (`PermissionDenied`), or the kernel has none.
    pub(super) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
        socket.set_nonblocking(true)?;
        Ok(PacketSocket(socket))
    }
}

impl From<Socket> for PacketSocket {
    fn from(socket: Socket) -> Self {
        PacketSocket(socket)
    }
}

impl Deref for PacketSocket {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.0
    }
}

impl Drop for PacketSocket {
    /// It is the last of its descriptors that waits, so a thread gets another one. As soon as that one is being closed no
    /// poller tells of it any more.
    fn drop(&mut self) {
        if CLOSING.fetch_add(1, Ordering::Relaxed) < MOST
            && let Ok(last) = self.0.as_fd().try_clone_to_owned()
        {
            let close = move || {
                drop(last);
                CLOSING.fetch_sub(1, Ordering::Relaxed);
            };
            // Where no thread can be had the closure, and the descriptor in it, is dropped right here.
            if thread::Builder::new().name("locum-closing".to_owned()).stack_size(STACK).spawn(close).is_ok() {
                return;
            }
        }
        CLOSING.fetch_sub(1, Ordering::Relaxed);
    }
}
