//! The VRRP version 3 message (RFC 9568 section 5.2).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version| Type  | Virtual Rtr ID|   Priority    |IPvX Addr Count|
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Reserve| Max Advertise Interval|          Checksum             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                       IPvX Address(es)                        |
//! ```

use std::net::Ipv4Addr;

use super::checksum::Sum;
use super::ipv4::{self, PROTOCOL_VRRP};
use crate::types::{Advertised, Discard, Interval, Vrid};

/// Bytes before the addresses.
pub const FIXED_LEN: usize = 8;

const VERSION_3_ADVERTISEMENT: u8 = 0x31;

/// The two ways the checksum of a version 3 message over IPv4 is computed in the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChecksumForm {
    /// With a pseudo-header, as keepalived and FRR send it.
    PseudoHeader,
    /// Over the message alone (RFC 9568 section 5.2.8).
    Message,
}

impl ChecksumForm {
    /// The word of configuration and status.
    pub fn word(self) -> &'static str {
        match self {
            ChecksumForm::PseudoHeader => "pseudo-header",
            ChecksumForm::Message => "message",
        }
    }
}

/// A valid Advertisement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// Virtual Router Identifier.
    pub vrid: Vrid,
    /// Priority, or resignation.
    pub advertised: Advertised,
    /// Max Advertise Interval.
    pub interval: Interval,
    /// The addresses, in the sender's order; never empty.
    pub addresses: Vec<Ipv4Addr>,
}

/// A valid Advertisement with what its packet told beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Who sent it.
    pub source: Ipv4Addr,
    /// How its checksum was made.
    pub checksum: ChecksumForm,
    /// The message.
    pub advertisement: Advertisement,
}

/// The VRID of what may be a VRRP packet, so that a packet thrown away is counted where it belongs.
pub fn vrid_of(packet: &[u8]) -> Option<Vrid> {
    let header_len = usize::from(packet.first()? & 0x0f) * 4;
    packet.get(header_len + 1).copied().and_then(Vrid::new)
}

/// Checks an IPv4 packet as RFC 9568 section 7.1 asks, in its order, and reads the Advertisement in it.
pub fn parse(packet: &[u8]) -> Result<Received, Discard> {
    let (header, message) = ipv4::parse(packet)?;
    if header.ttl != 255 {
        return Err(Discard::Ttl);
    }
    if header.destination != ipv4::VRRP_GROUP {
        return Err(Discard::Destination);
    }
    if header.source.is_unspecified() || header.source.is_multicast() || header.source.is_broadcast() {
        return Err(Discard::Source);
    }
    let Some((&[version_type, vrid, priority, count, interval_high, interval_low, _, _], rest)) =
        message.split_first_chunk::<FIXED_LEN>()
    else {
        return Err(Discard::Truncated);
    };
    if version_type >> 4 != 3 {
        return Err(Discard::Version);
    }
    let wanted = usize::from(count) * 4;
    let list = rest.get(..wanted).ok_or(Discard::Truncated)?;
    // The checksum covers the message as its sender cut it, so bytes behind the list belong to it.
    let checksum = checksum_form(&header, message).ok_or(Discard::Checksum)?;
    if version_type & 0x0f != 1 {
        return Err(Discard::Type);
    }
    if count == 0 {
        return Err(Discard::NoAddresses);
    }
    // The upper four bits are reserved and ignored (RFC 9568 section 5.2.6).
    let centiseconds = u16::from_be_bytes([interval_high, interval_low]) & 0x0fff;
    let interval = Interval::from_centiseconds(centiseconds).map_err(|_| Discard::ZeroInterval)?;
    let vrid = Vrid::new(vrid).ok_or(Discard::ForeignVrid)?;
    let addresses = list.as_chunks::<4>().0.iter().map(|&octets| Ipv4Addr::from(octets)).collect();
    let advertised = Advertised::from_byte(priority);
    let advertisement = Advertisement { vrid, advertised, interval, addresses };
    Ok(Received { source: header.source, checksum, advertisement })
}

fn checksum_form(header: &ipv4::Header, message: &[u8]) -> Option<ChecksumForm> {
    let length = u16::try_from(message.len()).ok()?;
    let pseudo = Sum::pseudo_header(header.source, header.destination, PROTOCOL_VRRP, length);
    if pseudo.bytes(message).is_valid() {
        Some(ChecksumForm::PseudoHeader)
    } else if Sum::default().bytes(message).is_valid() {
        Some(ChecksumForm::Message)
    } else {
        None
    }
}

/// The whole packet, from its IP header on, as it is handed to a raw socket.
///
/// At most 255 addresses are listed; the configuration admits no more.
pub fn emit(advertisement: &Advertisement, source: Ipv4Addr, form: ChecksumForm) -> Vec<u8> {
    let count = advertisement.addresses.len().min(255);
    let length = (FIXED_LEN + count * 4) as u16;
    let [interval_high, interval_low] = advertisement.interval.centiseconds().to_be_bytes();
    let mut message = Vec::with_capacity(usize::from(length));
    message.extend_from_slice(&[
        VERSION_3_ADVERTISEMENT,
        advertisement.vrid.get(),
        advertisement.advertised.byte(),
        count as u8,
        interval_high,
        interval_low,
        0,
        0,
    ]);
    for address in advertisement.addresses.iter().take(count) {
        message.extend_from_slice(&address.octets());
    }
    let start = match form {
        ChecksumForm::PseudoHeader => Sum::pseudo_header(source, ipv4::VRRP_GROUP, PROTOCOL_VRRP, length),
        ChecksumForm::Message => Sum::default(),
    };
    let checksum = start.bytes(&message).finish().to_be_bytes();
    if let Some(field) = message.get_mut(6..8) {
        field.copy_from_slice(&checksum);
    }
    let mut packet = Vec::with_capacity(ipv4::HEADER_LEN + message.len());
    packet.extend_from_slice(&ipv4::emit(source, ipv4::VRRP_GROUP, length));
    packet.extend_from_slice(&message);
    packet
}
