use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::layout::{
    ADVERTISEMENT, AUTH_DATA_LEN, AUTH_NONE, AUTH_PASSWORD, CHECKSUM, FIXED_LEN, TRAILER_LEN, TRAILER_TYPE,
    checksum_start,
};
use super::{Advertisement, Received, Tail, Trailer};
use crate::types::{Advertised, ChecksumForm, Discard, Family, Interval, Password, Version, Vrid};
use crate::wire::ip::{self, Header};

/// The VRID of what may be a VRRP packet, so that a packet thrown away is counted where it belongs.
pub fn vrid_of(packet: &[u8]) -> Option<Vrid> {
    packet.get(ip::header_len(packet)? + 1).copied().and_then(Vrid::new)
}

/// Checks an IP packet as RFC 9568 section 7.1 and RFC 3768 section 7.1 ask, and reads the Advertisement in it.
///
/// Checked is what holds for every virtual router. Whether version, destination, interval, password and trailer are
/// what one of ours expects is for it to say.
///
/// # Errors
/// The first check that failed, in the order of the RFC.
pub fn parse(packet: &[u8]) -> Result<Received, Discard> {
    let (header, payload) = ip::parse(packet)?;
    check_ends(&header)?;
    let Some((&[version_type, vrid, priority, count, byte4, byte5, _, _], rest)) =
        payload.split_first_chunk::<FIXED_LEN>()
    else {
        return Err(Discard::Truncated);
    };
    let family = Family::of(header.source);
    let version = version(version_type >> 4, family)?;
    let (list, rest) = rest.split_at_checked(usize::from(count) * address_len(family)).ok_or(Discard::Truncated)?;
    let (auth_data, behind) = auth_data(version, rest)?;
    let message = payload.get(..payload.len() - behind.len()).ok_or(Discard::Truncated)?;
    let tail = tail(message, behind);
    let checksum = checksum_form(&header, version, payload, message, &tail).ok_or(Discard::Checksum)?;
    if version_type & 0x0f != ADVERTISEMENT {
        return Err(Discard::Type);
    }
    if count == 0 {
        return Err(Discard::NoAddresses);
    }
    let (interval, password) = match version {
        Version::V2 => (seconds(byte5)?, password(byte4, auth_data)?),
        Version::V3 => (centiseconds([byte4, byte5])?, None),
    };
    let advertisement = Advertisement {
        version,
        vrid: Vrid::new(vrid).ok_or(Discard::ForeignVrid)?,
        advertised: Advertised::from_byte(priority),
        interval,
        addresses: addresses(family, list),
    };
    Ok(Received { source: header.source, destination: header.destination, checksum, advertisement, password, tail })
}

/// Neither end depends on how a virtual router is set up, except for which of the two destinations it is.
fn check_ends(header: &Header) -> Result<(), Discard> {
    if header.ttl != 255 {
        return Err(Discard::Ttl);
    }
    let is_group = header.destination == ip::group(Family::of(header.destination));
    if !is_group && !ip::is_host(header.destination) {
        return Err(Discard::Destination);
    }
    if ip::is_host(header.source) { Ok(()) } else { Err(Discard::Source) }
}

fn version(number: u8, family: Family) -> Result<Version, Discard> {
    match (number, family) {
        (2, Family::Ipv4) => Ok(Version::V2),
        (3, Family::Ipv4 | Family::Ipv6) => Ok(Version::V3),
        (_, Family::Ipv4 | Family::Ipv6) => Err(Discard::Version),
    }
}

fn address_len(family: Family) -> usize {
    match family {
        Family::Ipv4 => 4,
        Family::Ipv6 => 16,
    }
}

/// Splits off the authentication data that end a message of version 2; zero for version 3, which has none.
fn auth_data(version: Version, rest: &[u8]) -> Result<([u8; AUTH_DATA_LEN], &[u8]), Discard> {
    match version {
        Version::V2 => rest.split_first_chunk().map(|(data, behind)| (*data, behind)).ok_or(Discard::Truncated),
        Version::V3 => Ok(([0; AUTH_DATA_LEN], rest)),
    }
}

fn tail(message: &[u8], behind: &[u8]) -> Tail {
    if behind.is_empty() {
        return Tail::Nothing;
    }
    match <[u8; TRAILER_LEN]>::try_from(behind) {
        Ok(bytes) if bytes.first() == Some(&TRAILER_TYPE) => {
            let mut message = message.to_vec();
            message.iter_mut().take(CHECKSUM.end).skip(CHECKSUM.start).for_each(|byte| *byte = 0);
            Tail::Trailer(Trailer { bytes, message })
        }
        Ok(_) | Err(_) => Tail::Unknown,
    }
}

/// The form in which the checksum is right. Over IPv4 it covers the message without its trailer, over IPv6, where
/// kernels compute it, all there is. Whether it covers bytes that are no trailer, their sender alone knows.
fn checksum_form(
    header: &Header,
    version: Version,
    payload: &[u8],
    message: &[u8],
    tail: &Tail,
) -> Option<ChecksumForm> {
    use ChecksumForm::{GroupPseudoHeader, Message, PseudoHeader};
    let (source, destination) = (header.source, header.destination);
    let forms: &[ChecksumForm] = match (version, Family::of(source)) {
        (Version::V2, Family::Ipv4 | Family::Ipv6) => &[Message],
        (Version::V3, Family::Ipv4) => &[PseudoHeader, Message, GroupPseudoHeader],
        (Version::V3, Family::Ipv6) => &[PseudoHeader],
    };
    let covered: &[&[u8]] = match (Family::of(source), tail) {
        (Family::Ipv4, Tail::Trailer(_)) => &[message],
        (Family::Ipv4, Tail::Unknown) => &[payload, message],
        (Family::Ipv4, Tail::Nothing) | (Family::Ipv6, Tail::Nothing | Tail::Trailer(_) | Tail::Unknown) => &[payload],
    };
    let fits = |form: ChecksumForm, covered: &[u8]| {
        let start = u16::try_from(covered.len()).map(|length| checksum_start(form, source, destination, length));
        start.is_ok_and(|sum| sum.bytes(covered).is_valid())
    };
    covered.iter().find_map(|covered| forms.iter().copied().find(|form| fits(*form, covered)))
}

/// Version 2 counts seconds. More of them than an interval of ours can be are those of nobody's peer.
fn seconds(byte: u8) -> Result<Interval, Discard> {
    match byte {
        0 => Err(Discard::ZeroInterval),
        1.. => Interval::from_centiseconds(u16::from(byte) * 100).map_err(|_| Discard::Interval),
    }
}

/// Version 3 counts centiseconds, in 12 bits below four reserved ones (RFC 9568 section 5.2.6).
fn centiseconds(bytes: [u8; 2]) -> Result<Interval, Discard> {
    Interval::from_centiseconds(u16::from_be_bytes(bytes) & 0x0fff).map_err(|_| Discard::ZeroInterval)
}

fn password(auth_type: u8, data: [u8; AUTH_DATA_LEN]) -> Result<Option<Password>, Discard> {
    match auth_type {
        AUTH_NONE => Ok(None),
        AUTH_PASSWORD => Ok(Some(Password::from_bytes(data))),
        _ => Err(Discard::AuthType),
    }
}

fn addresses(family: Family, list: &[u8]) -> Vec<IpAddr> {
    match family {
        Family::Ipv4 => list.as_chunks().0.iter().map(|&octets: &[u8; 4]| Ipv4Addr::from(octets).into()).collect(),
        Family::Ipv6 => list.as_chunks().0.iter().map(|&octets: &[u8; 16]| Ipv6Addr::from(octets).into()).collect(),
    }
}
