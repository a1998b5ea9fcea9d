use std::net::IpAddr;

use super::Advertisement;
use super::layout::{
    ADVERTISEMENT, AUTH_DATA_LEN, AUTH_NONE, AUTH_PASSWORD, CHECKSUM, FIXED_LEN, TRAILER_LEN, checksum_start,
};
use crate::types::{ChecksumForm, Family, Interval, Password, Version};
use crate::wire::ip;

/// How an advert shows that its sender may speak.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// It does not.
    None,
    /// Version 2: by a password.
    Password(Password),
    /// By a trailer, which is computed from the message with its checksum field zero.
    Trailer(&'a dyn Fn(&[u8]) -> [u8; TRAILER_LEN]),
}

/// Why an advert cannot be written. A valid configuration leads to none of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// Source, destination and addresses must be of one family.
    #[error("its source, destination and addresses are of different families")]
    MixedFamilies,
    /// The count has eight bits, and none is not allowed (RFC 9568 section 5.2.5).
    #[error("an advert lists 1 to 255 addresses, not {0}")]
    AddressCount(usize),
    /// Version 2 is IPv4's.
    #[error("version 2 of VRRP is for IPv4 alone")]
    Version2OverIpv6,
    /// Version 2 counts whole seconds.
    #[error("version 2 of VRRP counts whole seconds, not {0}")]
    PartOfSecond(Interval),
    /// Version 3 has no room for a password.
    #[error("version 3 of VRRP knows no password")]
    PasswordInVersion3,
}

/// The whole packet, from its IP header on, as it is handed to a raw socket that includes headers.
///
/// `form` is the choice that version 3 over IPv4 has; version 2 and IPv6 have none and pay no heed to it.
///
/// # Errors
/// What the version or the wire has no room for, see [`Unsendable`].
pub fn emit(
    advertisement: &Advertisement,
    source: IpAddr,
    destination: IpAddr,
    form: ChecksumForm,
    proof: Proof<'_>,
) -> Result<Vec<u8>, Unsendable> {
    let family = Family::of(source);
    let mut message = message(advertisement, family, proof)?;
    let trailer = match proof {
        Proof::None | Proof::Password(_) => None,
        Proof::Trailer(compute) => Some(compute(&message)),
    };
    let message_len = message.len();
    message.extend(trailer.into_iter().flatten());
    let (form, covered) = match (advertisement.version, family) {
        (Version::V2, Family::Ipv4 | Family::Ipv6) => (ChecksumForm::Message, message_len),
        (Version::V3, Family::Ipv4) => (form, message_len),
        (Version::V3, Family::Ipv6) => (ChecksumForm::PseudoHeader, message.len()),
    };
    let start = checksum_start(form, source, destination, covered as u16);
    let checksum = start.bytes(message.get(..covered).unwrap_or_default()).finish();
    if let Some(field) = message.get_mut(CHECKSUM) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    let mut packet = ip::emit(source, destination, message.len() as u16).ok_or(Unsendable::MixedFamilies)?;
    packet.extend(message);
    Ok(packet)
}

/// The message with its checksum field zero.
fn message(advertisement: &Advertisement, family: Family, proof: Proof<'_>) -> Result<Vec<u8>, Unsendable> {
    let Advertisement { version, vrid, advertised, interval, ref addresses } = *advertisement;
    let (byte4_5, auth_data) = match (version, family, proof) {
        (Version::V2, Family::Ipv6, _) => return Err(Unsendable::Version2OverIpv6),
        (Version::V2, Family::Ipv4, Proof::None | Proof::Trailer(_)) => {
            ([AUTH_NONE, seconds(interval)?], Some([0; AUTH_DATA_LEN]))
        }
        (Version::V2, Family::Ipv4, Proof::Password(password)) => {
            ([AUTH_PASSWORD, seconds(interval)?], Some(password.bytes()))
        }
        (Version::V3, _, Proof::None | Proof::Trailer(_)) => (interval.centiseconds().to_be_bytes(), None),
        (Version::V3, _, Proof::Password(_)) => return Err(Unsendable::PasswordInVersion3),
    };
    let [byte4, byte5] = byte4_5;
    let count = match u8::try_from(addresses.len()) {
        Ok(count @ 1..) => count,
        Ok(0) | Err(_) => return Err(Unsendable::AddressCount(addresses.len())),
    };
    let version_type = version.number() << 4 | ADVERTISEMENT;
    let mut message = Vec::with_capacity(FIXED_LEN + addresses.len() * 16 + AUTH_DATA_LEN + TRAILER_LEN);
    message.extend([version_type, vrid.get(), advertised.byte(), count, byte4, byte5, 0, 0]);
    for address in addresses {
        match (address, family) {
            (IpAddr::V4(address), Family::Ipv4) => message.extend(address.octets()),
            (IpAddr::V6(address), Family::Ipv6) => message.extend(address.octets()),
            (IpAddr::V4(_), Family::Ipv6) | (IpAddr::V6(_), Family::Ipv4) => return Err(Unsendable::MixedFamilies),
        }
    }
    message.extend(auth_data.into_iter().flatten());
    Ok(message)
}

fn seconds(interval: Interval) -> Result<u8, Unsendable> {
    let centiseconds = interval.centiseconds();
    if !centiseconds.is_multiple_of(100) {
        return Err(Unsendable::PartOfSecond(interval));
    }
    u8::try_from(centiseconds / 100).map_err(|_| Unsendable::PartOfSecond(interval))
}
