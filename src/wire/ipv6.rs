//! The IPv6 header (RFC 8200) around an advert.
//!
//! A raw socket hands over an IPv6 packet without its header, so `io` puts one before it from what the kernel tells
//! beside the packet. Extension headers do not occur: the kernel takes them off, and an advert needs none.

use std::net::Ipv6Addr;

use super::ip::{Header, PROTOCOL_VRRP};
use crate::types::Discard;

/// Where adverts over IPv6 go (RFC 9568 section 5.1.2.2).
pub const VRRP_GROUP: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// Length of the header, in bytes.
pub const HEADER_LEN: usize = 40;

/// The hop limit that shows that no router was crossed (RFC 9568 section 5.1.2.3).
const HOP_LIMIT: u8 = 255;

/// Splits a packet of protocol 112 into header and payload. Bytes after the payload length are ignored.
pub(super) fn parse(packet: &[u8]) -> Result<(Header, &[u8]), Discard> {
    let Some((fixed, rest)) = packet.split_first_chunk::<HEADER_LEN>() else {
        return Err(Discard::Truncated);
    };
    let [version_class, _, _, _, len_high, len_low, next_header, hop_limit, addresses @ ..] = *fixed;
    if version_class >> 4 != 6 || next_header != PROTOCOL_VRRP {
        return Err(Discard::IpHeader);
    }
    let payload_len = usize::from(u16::from_be_bytes([len_high, len_low]));
    let payload = rest.get(..payload_len).ok_or(Discard::Truncated)?;
    let ([source, destination], []) = addresses.as_chunks::<16>() else {
        return Err(Discard::Truncated);
    };
    let (source, destination) = (Ipv6Addr::from(*source), Ipv6Addr::from(*destination));
    Ok((Header { source: source.into(), destination: destination.into(), ttl: hop_limit }, payload))
}

/// A header for `payload_len` bytes of VRRP, with the traffic class of network control and no flow label.
pub fn emit(source: Ipv6Addr, destination: Ipv6Addr, payload_len: u16) -> [u8; HEADER_LEN] {
    header(source, destination, payload_len, HOP_LIMIT)
}

/// A header as a raw socket leaves it out: what the kernel told beside a packet, put into bytes again.
pub fn header(source: Ipv6Addr, destination: Ipv6Addr, payload_len: u16, hop_limit: u8) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let [len_high, len_low] = payload_len.to_be_bytes();
    let fields = [0x6c, 0, 0, 0, len_high, len_low, PROTOCOL_VRRP, hop_limit];
    let bytes = fields.into_iter().chain(source.octets()).chain(destination.octets());
    header.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    header
}
