//! Sockets of this host that keep messages apart and tell when the other side has closed (SOCK_SEQPACKET), and who that
//! other side is.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use nix::sys::socket::{getsockopt, sockopt};
use socket2::{Domain, SockAddr, Socket, Type};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4;

/// The process at the other side, as the kernel saw it when it connected or began to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its process id, in our namespace; not positive if it has none there.
    pub pid: i32,
    /// Its effective user.
    pub uid: u32,
}

/// Where others can connect.
#[derive(Debug)]
pub struct Listener(Socket);

impl Listener {
    /// Listens at this path, in place of whatever socket was there; only our own user, and root, can connect.
    ///
    /// # Errors
    /// The system's; that the folder does not exist or is not ours among them.
    pub fn bind(path: &Path) -> io::Result<Self> {
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        match fs::remove_file(&new) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.bind(&SockAddr::unix(&new)?)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        fs::rename(&new, path)?;
        Ok(Listener(socket))
    }

    /// Standard input as such a socket.
    ///
    /// # Errors
    /// It is something else.
    pub fn standard_input() -> io::Result<Self> {
        let input = Socket::from(io::stdin().as_fd().try_clone_to_owned()?);
        if input.r#type()? != Type::SEQPACKET || !input.is_listener()? {
            return Err(io::Error::from_raw_os_error(libc::EPROTOTYPE));
        }
        Ok(Listener(input))
    }

    /// The next who has connected, if there is one. Reading and writing never wait.
    ///
    /// # Errors
    /// The kernel's.
    pub fn accept(&self) -> io::Result<Option<(UnixDatagram, Peer)>> {
        match self.0.accept() {
            Ok((socket, _)) => connected(socket).map(Some),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            // Whoever it was has gone again.
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> Self {
        listener.0.into()
    }
}

/// Connects to who listens at this path. Neither this nor reading and writing ever wait.
///
/// # Errors
/// The system's; nobody listens there (`ConnectionRefused`), there is no such path, too many wait already (`WouldBlock`).
pub fn connect(path: &Path) -> io::Result<(UnixDatagram, Peer)> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)?;
    connected(socket)
}

/// A pair of connected ones. The first never waits.
///
/// # Errors
/// No more file descriptors.
pub fn pair() -> io::Result<(UnixDatagram, OwnedFd)> {
    let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
    ours.set_nonblocking(true)?;
    Ok((UnixDatagram::from(OwnedFd::from(ours)), theirs.into()))
}

fn connected(socket: Socket) -> io::Result<(UnixDatagram, Peer)> {
    socket.set_nonblocking(true)?;
    let credentials = getsockopt(&socket, sockopt::PeerCredentials)?;
    let peer = Peer { pid: credentials.pid(), uid: credentials.uid() };
    Ok((UnixDatagram::from(OwnedFd::from(socket)), peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_know_who_the_other_one_is() {
        let path = std::env::temp_dir().join(format!("locum-channel-{}", std::process::id()));
        let listener = Listener::bind(&path).expect("bound");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        assert!(listener.accept().expect("accepts").is_none());
        let (ours, there) = connect(&path).expect("connected");
        let (theirs, here) = listener.accept().expect("accepts").expect("somebody");
        let us = Peer { pid: std::process::id().try_into().expect("an id"), uid: nix::unistd::geteuid().as_raw() };
        assert_eq!((there, here), (us, us));
        theirs.send(b"one").expect("sent");
        theirs.send(b"two").expect("sent");
        let mut buffer = [0; 16];
        assert_eq!(ours.recv(&mut buffer).expect("a message"), 3);
        drop(listener);
        // A program that another test is just starting has the listener too, until it runs.
        let refused = || connect(&path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !refused() {
            assert!(std::time::Instant::now() < patience, "somebody still listens");
            std::thread::yield_now();
        }
        drop(Listener::bind(&path).expect("a socket left behind is no hindrance"));
        fs::remove_file(&path).expect("removed");
        assert_eq!(connect(&path).map(|_| ()).map_err(|error| error.kind()), Err(io::ErrorKind::NotFound));
    }
}
