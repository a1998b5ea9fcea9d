use serde::{Deserialize, Serialize};

/// Why a received packet was thrown away. Each has a counter of its own in the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Discard {
    /// Shorter than its own headers say, or than any advert can be.
    Truncated,
    /// The IP header's length fields contradict each other or the bytes received.
    Length,
    /// Not IPv4, bad header length, a fragment, or not protocol 112.
    IpHeader,
    /// TTL is not 255: it crossed a router (RFC 9568 section 7.1).
    Ttl,
    /// Not sent to 224.0.0.18.
    Destination,
    /// The other side speaks another version of VRRP.
    Version,
    /// VRRP type other than 1, Advertisement.
    Type,
    /// Neither form of the checksum fits.
    Checksum,
    /// The advert lists no address (RFC 9568 section 5.2.5, erratum 8299).
    NoAddresses,
    /// Max Advertise Interval is zero (erratum 8301).
    ZeroInterval,
    /// No virtual router of ours has this VRID on this interface.
    ForeignVrid,
    /// Our own packet, come back.
    OwnPacket,
    /// A source that cannot be a host of the LAN: unspecified, multicast or broadcast.
    Source,
}

impl Discard {
    /// Every reason, in the order the status lists them.
    pub const ALL: [Discard; 13] = [
        Discard::Truncated,
        Discard::Length,
        Discard::IpHeader,
        Discard::Ttl,
        Discard::Destination,
        Discard::Version,
        Discard::Type,
        Discard::Checksum,
        Discard::NoAddresses,
        Discard::ZeroInterval,
        Discard::ForeignVrid,
        Discard::OwnPacket,
        Discard::Source,
    ];

    /// The fixed token of status and metrics.
    pub fn token(self) -> &'static str {
        match self {
            Discard::Truncated => "truncated",
            Discard::Length => "length",
            Discard::IpHeader => "ip-header",
            Discard::Ttl => "ttl",
            Discard::Destination => "destination",
            Discard::Version => "version",
            Discard::Type => "type",
            Discard::Checksum => "checksum",
            Discard::NoAddresses => "no-addresses",
            Discard::ZeroInterval => "zero-interval",
            Discard::ForeignVrid => "foreign-vrid",
            Discard::OwnPacket => "own-packet",
            Discard::Source => "source",
        }
    }

    /// What an administrator reads, and where there is one, the likely cause.
    pub fn words(self) -> &'static str {
        match self {
            Discard::Truncated => "the packet is cut short",
            Discard::Length => "the packet's length fields contradict its size",
            Discard::IpHeader => "the IP header is not one an advert can have",
            Discard::Ttl => "its TTL is not 255, so it did not come from this LAN",
            Discard::Destination => "it was not sent to 224.0.0.18",
            Discard::Version => "the other side speaks another version of VRRP; this router speaks version 3",
            Discard::Type => "it is not an Advertisement",
            Discard::Checksum => "its checksum is wrong in both forms in use",
            Discard::NoAddresses => "it lists no address",
            Discard::ZeroInterval => "its advert interval is zero",
            Discard::ForeignVrid => "no virtual router here has its VRID on this interface",
            Discard::OwnPacket => {
                "it carries our own source address: a loop on the LAN, or a second host with our address"
            }
            Discard::Source => "its source address cannot be a host of this LAN",
        }
    }
}
