//! How an Advertisement lies in its packet.
//!
//! Version 3 (RFC 9568 section 5.2), over IPv4 and IPv6; an address takes 4 or 16 bytes:
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
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Version 2 (RFC 3768 section 5.3, its password from RFC 2338), over IPv4 alone:
//!
//! ```text
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Version| Type  | Virtual Rtr ID|   Priority    | Count IP Addrs|
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Auth Type   |   Adver Int   |          Checksum             |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |                        IP Address(es)                         |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |          Authentication Data (8 bytes, always there)          |
//! |                                                               |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! ```
//!
//! Behind either there may be the authentication trailer of draft-cassen-vrrp-auth-hmac-00, 28 bytes of which the
//! first is 1. It is told from padding by its length, which the address count lets one know.

use std::net::IpAddr;

use crate::types::{ChecksumForm, Family};
use crate::wire::checksum::Sum;
use crate::wire::ip::{self, PROTOCOL_VRRP};

/// Bytes before the addresses, in either version.
pub(super) const FIXED_LEN: usize = 8;
/// Bytes of version 2's authentication data.
pub(super) const AUTH_DATA_LEN: usize = 8;
/// Bytes of the authentication trailer.
pub const TRAILER_LEN: usize = 28;

/// The checksum stands at these bytes of a message.
pub(super) const CHECKSUM: std::ops::Range<usize> = 6..8;
/// VRRP type of an Advertisement, the only one there is.
pub(super) const ADVERTISEMENT: u8 = 1;
/// Version 2: no authentication.
pub(super) const AUTH_NONE: u8 = 0;
/// Version 2: a password in plain text.
pub(super) const AUTH_PASSWORD: u8 = 1;
/// The first byte of an authentication trailer.
pub(super) const TRAILER_TYPE: u8 = 1;

/// A checksum begun: what a form puts before the message. `length` is that of the bytes it covers.
pub(super) fn checksum_start(form: ChecksumForm, source: IpAddr, destination: IpAddr, length: u16) -> Sum {
    match form {
        ChecksumForm::Message => Sum::default(),
        ChecksumForm::PseudoHeader => Sum::pseudo_header(source, destination, PROTOCOL_VRRP, length),
        ChecksumForm::GroupPseudoHeader => {
            Sum::pseudo_header(source, ip::group(Family::of(source)), PROTOCOL_VRRP, length)
        }
    }
}
