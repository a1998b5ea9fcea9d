//! The Advertisement of VRRP, versions 2 and 3, from its IP header on.
//!
//! Belongs here: what holds for every advert, whichever virtual router it is of. Does not belong here: whether one of
//! ours expects its version, destination, interval or password (`proto`), and the trailer's own fields
//! (`wire::authentication`).

mod emit;
mod layout;
mod parse;

pub use emit::{Proof, Unsendable, emit};
pub use layout::TRAILER_LEN;
pub use parse::{parse, vrid_of};

use std::net::IpAddr;

use super::ip;
use crate::types::{Advertised, ChecksumForm, Family, Interval, Password, Version, Vrid};

/// A valid Advertisement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// The version it is written in.
    pub version: Version,
    /// Virtual Router Identifier.
    pub vrid: Vrid,
    /// Priority, or resignation.
    pub advertised: Advertised,
    /// Max Advertise Interval; in version 2 a whole number of seconds.
    pub interval: Interval,
    /// The addresses, in the sender's order; never empty, and all of the family that carries the packet.
    pub addresses: Vec<IpAddr>,
}

/// A valid Advertisement with what its packet told beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Who sent it.
    pub source: IpAddr,
    /// Where to: the group of its family or a single host.
    pub destination: IpAddr,
    /// How its checksum was made.
    pub checksum: ChecksumForm,
    /// The message.
    pub advertisement: Advertisement,
    /// The password, where the sender of a version 2 message has one.
    pub password: Option<Password>,
    /// What stood behind the message.
    pub tail: Tail,
}

impl Received {
    /// Whether it was sent to the group rather than to a single host.
    pub fn is_multicast(&self) -> bool {
        self.destination == ip::group(Family::of(self.destination))
    }
}

/// What stands behind a message, within its IP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    Nothing,
    /// An authentication trailer, as yet unverified.
    Trailer(Trailer),
    /// Bytes that are no trailer by their length or their first byte.
    Unknown,
}

/// An authentication trailer with the part of the packet that it answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// The trailer itself.
    pub bytes: [u8; TRAILER_LEN],
    /// The message before it, its checksum field zero.
    pub message: Vec<u8>,
}
