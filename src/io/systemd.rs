//! What a service manager is told over its socket (sd_notify(3)), and what it asks for in our environment.

use std::fmt::Write;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

pub use sd_notify::NotifyState;

/// The variables that a service manager speaks to this process with. They are not for its children: what they say
/// would be taken for ours.
pub const ENVIRONMENT: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// The service manager's socket. Sending never waits.
#[derive(Debug)]
pub struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Manager {
    /// Where `NOTIFY_SOCKET` says, a path or an abstract name (`@...`); `None` where nobody listens for us.
    ///
    /// # Errors
    /// It says something else, or no more file descriptors.
    pub fn from_environment() -> io::Result<Option<Self>> {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return Ok(None) };
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
            [b'/', ..] => SocketAddr::from_pathname(&name)?,
            _ => {
                let text = format!("NOTIFY_SOCKET={}: neither a path nor an abstract name", name.to_string_lossy());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Some(Manager { socket, address }))
    }

    /// Sends these states as one message.
    ///
    /// # Errors
    /// Nobody listens there (any more), or its queue is full (`WouldBlock`).
    pub fn tell(&self, states: &[NotifyState<'_>]) -> io::Result<()> {
        let mut message = String::new();
        for state in states {
            writeln!(message, "{state}").map_err(io::Error::other)?;
        }
        self.socket.send_to_addr(message.as_bytes(), &self.address).map(drop)
    }
}

/// How often the service manager wants to hear from this very process at least; `None` if it does not.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_lines_of_one_message() {
        let name = format!("locum-systemd-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let there = UnixDatagram::bind_addr(&address).expect("bound");
        let socket = UnixDatagram::unbound().expect("a socket");
        socket.set_nonblocking(true).expect("set");
        let manager = Manager { socket, address };
        manager.tell(&[NotifyState::Ready, NotifyState::Status("web is backup")]).expect("sent");
        let mut buffer = [0; 64];
        let count = there.recv(&mut buffer).expect("a message");
        assert_eq!(&buffer[..count], b"READY=1\nSTATUS=web is backup\n");
        drop(there);
        assert_eq!(
            manager.tell(&[NotifyState::Watchdog]).map_err(|error| error.kind()),
            Err(io::ErrorKind::ConnectionRefused)
        );
    }
}
