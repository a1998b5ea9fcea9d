//! What both families' headers have in common for an advert.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{ipv4, ipv6};
use crate::types::{Discard, Family};

/// IP protocol number of VRRP.
pub const PROTOCOL_VRRP: u8 = 112;

/// What of a header matters to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Sender.
    pub source: IpAddr,
    /// Destination, of the same family.
    pub destination: IpAddr,
    /// Time to live or hop limit as received.
    pub ttl: u8,
}

/// Where adverts of a family go by default (RFC 9568 sections 5.1.1.2 and 5.1.2.2).
pub const fn group(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::V4(ipv4::VRRP_GROUP),
        Family::Ipv6 => IpAddr::V6(ipv6::VRRP_GROUP),
    }
}

/// Whether an address can be one host's on a LAN.
pub fn is_host(address: IpAddr) -> bool {
    let is_broadcast = match address {
        IpAddr::V4(address) => address.is_broadcast(),
        IpAddr::V6(_) => false,
    };
    !(is_broadcast || address.is_unspecified() || address.is_multicast() || address.is_loopback())
}

/// Splits a packet of protocol 112 of either family into header and payload.
///
/// # Errors
/// Neither IPv4 nor IPv6, cut short, or with a header that no advert can have.
pub fn parse(packet: &[u8]) -> Result<(Header, &[u8]), Discard> {
    match family(packet) {
        Some(Family::Ipv4) => ipv4::parse(packet),
        Some(Family::Ipv6) => ipv6::parse(packet),
        None if packet.is_empty() => Err(Discard::Truncated),
        None => Err(Discard::IpHeader),
    }
}

/// A header of the ends' family for `payload_len` bytes of VRRP; none if they are of different families.
pub fn emit(source: IpAddr, destination: IpAddr, payload_len: u16) -> Option<Vec<u8>> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => Some(ipv4::emit(source, destination, payload_len).to_vec()),
        (IpAddr::V6(source), IpAddr::V6(destination)) => Some(ipv6::emit(source, destination, payload_len).to_vec()),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => None,
    }
}

/// The source address of what may be an IP packet, to name who sent a packet that was thrown away.
pub fn source_of(packet: &[u8]) -> Option<IpAddr> {
    match family(packet)? {
        Family::Ipv4 => {
            let octets: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
            Some(Ipv4Addr::from(octets).into())
        }
        Family::Ipv6 => {
            let octets: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
            Some(Ipv6Addr::from(octets).into())
        }
    }
}

/// Where the payload of what may be an IP packet begins.
pub fn header_len(packet: &[u8]) -> Option<usize> {
    match family(packet)? {
        Family::Ipv4 => packet.first().map(|byte| usize::from(byte & 0x0f) * 4),
        Family::Ipv6 => Some(ipv6::HEADER_LEN),
    }
}

fn family(packet: &[u8]) -> Option<Family> {
    match packet.first()? >> 4 {
        4 => Some(Family::Ipv4),
        6 => Some(Family::Ipv6),
        _ => None,
    }
}
