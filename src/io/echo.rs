//! ICMP echoes (RFC 792) to one address.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};

use super::capture::stamp_nanos;

/// ICMP type of a request; a reply has 0.
const REQUEST: u8 = 8;
const REPLY: u8 = 0;
/// ICMP header and the number of the echo.
const LENGTH: usize = 16;
/// An IPv4 header with all options, and the message.
const LARGEST: usize = 60 + LENGTH;

/// Sends echo requests and hears the replies to them.
#[derive(Debug)]
pub struct EchoSocket {
    socket: Socket,
    ident: u16,
    control: Vec<u8>,
    buffer: Vec<u8>,
}

/// A reply to one of our requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EchoReply {
    /// The number the request was sent with.
    pub number: u64,
    /// When the kernel had it, in nanoseconds since 1970 (CLOCK_REALTIME).
    pub stamp: u64,
}

impl EchoSocket {
    /// Opens it in the network namespace of the calling thread. `ident` tells its echoes from those of others.
    ///
    /// # Errors
    /// CAP_NET_RAW is missing, or there is no route to `target`.
    pub fn open(target: Ipv4Addr, ident: u16) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        // Connected, it hears nobody but the target.
        socket.connect(&SocketAddrV4::new(target, 0).into())?;
        Ok(EchoSocket { socket, ident, control: nix::cmsg_space!(TimeSpec), buffer: vec![0; LARGEST] })
    }

    /// Sends one request.
    ///
    /// # Errors
    /// The kernel's words: EHOSTUNREACH while nobody answers ARP for the target.
    pub fn send(&self, number: u64) -> io::Result<()> {
        self.socket.send(&request(self.ident, number)).map(drop)
    }

    /// The next reply, without waiting.
    ///
    /// # Errors
    /// The kernel's words, as for [`EchoSocket::send`].
    pub fn receive(&mut self) -> io::Result<Option<EchoReply>> {
        loop {
            let mut parts = [IoSliceMut::new(&mut self.buffer)];
            self.control.resize(self.control.capacity(), 0);
            let fd = self.socket.as_raw_fd();
            let message = match recvmsg::<()>(fd, &mut parts, Some(&mut self.control), MsgFlags::MSG_DONTWAIT) {
                Ok(message) => message,
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let stamp = message.cmsgs().ok().and_then(|mut all| all.find_map(stamp_nanos));
            let length = message.bytes;
            let number = self.buffer.get(..length).and_then(|packet| reply_number(packet, self.ident));
            if let (Some(number), Some(stamp)) = (number, stamp) {
                return Ok(Some(EchoReply { number, stamp }));
            }
        }
    }
}

fn request(ident: u16, number: u64) -> [u8; LENGTH] {
    let mut message = [0; LENGTH];
    let [ident_high, ident_low] = ident.to_be_bytes();
    let [.., sequence_high, sequence_low] = number.to_be_bytes();
    message[..8].copy_from_slice(&[REQUEST, 0, 0, 0, ident_high, ident_low, sequence_high, sequence_low]);
    message[8..].copy_from_slice(&number.to_be_bytes());
    let checksum = pnet_packet::util::checksum(&message, 1);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    message
}

/// The number in a reply with this identifier, from the IP header on.
fn reply_number(packet: &[u8], ident: u16) -> Option<u64> {
    let header = usize::from(packet.first()? & 0x0f) * 4;
    let message = packet.get(header..)?.first_chunk::<LENGTH>()?;
    let [kind, code, _, _, ident_high, ident_low, _, _, number @ ..] = *message;
    let ours = kind == REPLY && code == 0 && u16::from_be_bytes([ident_high, ident_low]) == ident;
    ours.then(|| u64::from_be_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_checksum_of_rfc_1071() {
        // Sum of the words by hand: 0800 + 1234 + 0005 + 0005 = 1a3e, inverted e5c1.
        let expected = [8, 0, 0xe5, 0xc1, 0x12, 0x34, 0, 5, 0, 0, 0, 0, 0, 0, 0, 5];
        assert_eq!(request(0x1234, 5), expected);
    }

    #[test]
    fn only_whole_replies_with_our_identifier_count() {
        let mut packet = vec![0x45; 20];
        packet.extend([0, 0, 0, 0, 0x12, 0x34, 0, 5, 0, 0, 0, 0, 0, 1, 0, 5]);
        assert_eq!(reply_number(&packet, 0x1234), Some(65541));
        assert_eq!(reply_number(&packet, 0x1235), None);
        packet[20] = 8;
        assert_eq!(reply_number(&packet, 0x1234), None);
        packet[20] = 0;
        for length in 0..packet.len() {
            assert_eq!(reply_number(&packet[..length], 0x1234), None, "{length} bytes");
        }
    }
}
