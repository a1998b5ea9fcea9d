//! The IPv4 header (RFC 791) around an advert.

use std::net::Ipv4Addr;

use super::ip::{Header, PROTOCOL_VRRP};
use crate::types::Discard;

/// Where adverts over IPv4 go (RFC 9568 section 5.1.1.2).
pub const VRRP_GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Length of a header without options, in bytes.
pub const HEADER_LEN: usize = 20;

/// Adverts are network control traffic (class selector 6, as keepalived sends them).
const TOS_NETWORK_CONTROL: u8 = 0xc0;
/// The TTL that shows that no router was crossed (RFC 9568 section 5.1.1.3).
const TTL: u8 = 255;

/// Splits a packet of protocol 112 into header and payload.
///
/// Bytes after the total length (Ethernet padding) are ignored. The header's own checksum is the kernel's to
/// verify and is not looked at.
pub(super) fn parse(packet: &[u8]) -> Result<(Header, &[u8]), Discard> {
    let Some(fixed) = packet.first_chunk::<HEADER_LEN>() else {
        return Err(Discard::Truncated);
    };
    let [version_ihl, _, len_high, len_low, _, _, frag_high, frag_low, ttl, protocol, _, _, addresses @ ..] = *fixed;
    let header_len = usize::from(version_ihl & 0x0f) * 4;
    if version_ihl >> 4 != 4 || header_len < HEADER_LEN || protocol != PROTOCOL_VRRP {
        return Err(Discard::IpHeader);
    }
    // An advert fits any MTU: a fragment of one is not for us.
    if u16::from_be_bytes([frag_high, frag_low]) & 0x3fff != 0 {
        return Err(Discard::IpHeader);
    }
    let total_len = usize::from(u16::from_be_bytes([len_high, len_low]));
    if total_len < header_len {
        return Err(Discard::Length);
    }
    let payload = packet.get(header_len..total_len).ok_or(Discard::Truncated)?;
    let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
    let (source, destination) = (Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(d0, d1, d2, d3));
    Ok((Header { source: source.into(), destination: destination.into(), ttl }, payload))
}

/// A header for `payload_len` bytes of VRRP. Identification and checksum are left zero: the kernel fills both.
pub fn emit(source: Ipv4Addr, destination: Ipv4Addr, payload_len: u16) -> [u8; HEADER_LEN] {
    let [len_high, len_low] = (HEADER_LEN as u16).saturating_add(payload_len).to_be_bytes();
    let [s0, s1, s2, s3] = source.octets();
    let [d0, d1, d2, d3] = destination.octets();
    [0x45, TOS_NETWORK_CONTROL, len_high, len_low, 0, 0, 0, 0, TTL, PROTOCOL_VRRP, 0, 0, s0, s1, s2, s3, d0, d1, d2, d3]
}
