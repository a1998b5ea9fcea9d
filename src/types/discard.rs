use serde::{Deserialize, Serialize};

/// Why a received packet was thrown away. Each has a counter of its own in the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Discard {
    /// Shorter than its own headers say, or than any advert can be.
    Truncated,
    /// The IP header's length fields contradict each other or the bytes received.
    Length,
    /// Neither IPv4 nor IPv6, bad header length, a fragment, or not protocol 112.
    IpHeader,
    /// TTL or hop limit is not 255: it crossed a router (RFC 9568 section 7.1).
    Ttl,
    /// Sent neither to the group of its family nor to a single host, or not the way its virtual router is set up.
    Destination,
    /// Neither version 2 nor 3 of VRRP, or version 2 over IPv6.
    Version,
    /// The other side speaks version 2, this virtual router version 3.
    Version2,
    /// The other side speaks version 3, this virtual router version 2.
    Version3,
    /// VRRP type other than 1, Advertisement.
    Type,
    /// No form of the checksum that may come this way fits.
    Checksum,
    /// The advert lists no address (RFC 9568 section 5.2.5, erratum 8299).
    NoAddresses,
    /// Max Advertise Interval is zero (erratum 8301).
    ZeroInterval,
    /// Version 2: the interval is not that of the virtual router here (RFC 3768 section 7.1).
    Interval,
    /// Version 2: an authentication type other than none and password (RFC 3768 section 5.3.6).
    AuthType,
    /// Version 2: a password where none is expected, none where one is, or a wrong one.
    Password,
    /// No virtual router of ours has this VRID on this interface.
    ForeignVrid,
    /// Our own packet, come back.
    OwnPacket,
    /// Authentication is asked for, and there is no trailer.
    AuthMissing,
    /// What stands behind the message is no authentication trailer.
    AuthMalformed,
    /// The trailer names a key that this virtual router does not have.
    AuthUnknownKey,
    /// The trailer is not what the key makes of this message from this source.
    AuthBad,
    /// Genuine, but its number is too far from our clock.
    AuthStale,
    /// Genuine, but not newer than what was accepted already.
    AuthReplayed,
    /// A source that cannot be a host of the LAN: unspecified, loopback, multicast or broadcast.
    Source,
    /// Unicast: the sender is not among the peers.
    Unlisted,
    /// More came than was read of what no virtual router here could have taken.
    Unread,
    /// More came than this host could read of what might have been adverts of its virtual routers.
    Overrun,
}

impl Discard {
    /// Every reason, in the order the status lists them.
    pub const ALL: [Discard; 27] = [
        Discard::Truncated,
        Discard::Length,
        Discard::IpHeader,
        Discard::Ttl,
        Discard::Destination,
        Discard::Version,
        Discard::Version2,
        Discard::Version3,
        Discard::Type,
        Discard::Checksum,
        Discard::NoAddresses,
        Discard::ZeroInterval,
        Discard::Interval,
        Discard::AuthType,
        Discard::Password,
        Discard::ForeignVrid,
        Discard::OwnPacket,
        Discard::Source,
        Discard::Unlisted,
        Discard::AuthMissing,
        Discard::AuthMalformed,
        Discard::AuthUnknownKey,
        Discard::AuthBad,
        Discard::AuthStale,
        Discard::AuthReplayed,
        Discard::Unread,
        Discard::Overrun,
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
            Discard::Version2 => "version-2",
            Discard::Version3 => "version-3",
            Discard::Type => "type",
            Discard::Checksum => "checksum",
            Discard::NoAddresses => "no-addresses",
            Discard::ZeroInterval => "zero-interval",
            Discard::Interval => "interval",
            Discard::AuthType => "auth-type",
            Discard::Password => "password",
            Discard::ForeignVrid => "foreign-vrid",
            Discard::OwnPacket => "own-packet",
            Discard::Source => "source",
            Discard::Unlisted => "unlisted",
            Discard::AuthMissing => "auth-missing",
            Discard::AuthMalformed => "auth-malformed",
            Discard::AuthUnknownKey => "auth-unknown-key",
            Discard::AuthBad => "auth-bad",
            Discard::AuthStale => "auth-stale",
            Discard::AuthReplayed => "auth-replayed",
            Discard::Unread => "unread",
            Discard::Overrun => "overrun",
        }
    }

    /// What an administrator reads, and where there is one, the likely cause.
    pub fn words(self) -> &'static str {
        match self {
            Discard::Truncated => "the packet is cut short",
            Discard::Length => "the packet's length fields contradict its size",
            Discard::IpHeader => "the IP header is not one an advert can have",
            Discard::Ttl => {
                "its TTL or hop limit is not 255: its sender is not on this LAN, or is a keepalived without `unicast_ttl 255`"
            }
            Discard::Destination => {
                "it was sent to the group where `unicast_peers` are set here, or to this host alone where none are: set them on all hosts or on none"
            }
            Discard::Version => "the other side speaks a version of VRRP that its family does not have",
            Discard::Version2 => "the other side speaks version 2: set `version = 2` here, or version 3 there",
            Discard::Version3 => "the other side speaks version 3: set `version = 3` here, or version 2 there",
            Discard::Type => "it is not an Advertisement",
            Discard::Checksum => "its checksum is wrong in every form in use",
            Discard::NoAddresses => "it lists no address",
            Discard::ZeroInterval => "its advert interval is zero",
            Discard::Interval => "its advert interval differs: version 2 wants the same `advert_interval` on all nodes",
            Discard::AuthType => "its authentication type is neither none nor a password",
            Discard::Password => {
                "its password is not the one configured here, or only one side has one: set the same `pass` on all nodes"
            }
            Discard::ForeignVrid => "no virtual router here has its VRID on this interface",
            Discard::OwnPacket => {
                "it carries our own source address: a loop on the LAN, or a second host with our address"
            }
            Discard::AuthMissing => {
                "it is not authenticated: the other side has no `auth`, or is none of ours; mode \"permissive\" would take it"
            }
            Discard::AuthMalformed => "what follows its message is no authentication trailer",
            Discard::AuthUnknownKey => {
                "it is authenticated under a key id that is not among `keys` here: add it here, or make another the `active_key` there"
            }
            Discard::AuthBad => {
                "its authentication is wrong: the other side has another key under this id, or is none of ours"
            }
            Discard::AuthStale => {
                "it is authenticated, but its time is too far from ours: a host's clock is wrong, or an old advert was sent again"
            }
            Discard::AuthReplayed => {
                "it is authenticated, but was heard before: it was sent again, doubled or overtaken"
            }
            Discard::Source => "its source address cannot be a host of this LAN",
            Discard::Unlisted => {
                "its sender is not among `unicast_peers`: add it there if it is one of this virtual router's hosts"
            }
            Discard::Unread => "more came than is looked at of what no virtual router here could take: a flood",
            Discard::Overrun => {
                "more came than this host could read, adverts of our peers perhaps among it: a flood, or too little processor time"
            }
        }
    }

    /// Whether it is about authentication: then somebody is there whose adverts decide nothing.
    pub fn is_authentication(self) -> bool {
        match self {
            Discard::AuthMissing
            | Discard::AuthMalformed
            | Discard::AuthUnknownKey
            | Discard::AuthBad
            | Discard::AuthStale
            | Discard::AuthReplayed => true,
            Discard::Truncated
            | Discard::Length
            | Discard::IpHeader
            | Discard::Ttl
            | Discard::Destination
            | Discard::Version
            | Discard::Version2
            | Discard::Version3
            | Discard::Type
            | Discard::Checksum
            | Discard::NoAddresses
            | Discard::ZeroInterval
            | Discard::ForeignVrid
            | Discard::Interval
            | Discard::AuthType
            | Discard::Password
            | Discard::OwnPacket
            | Discard::Source
            | Discard::Unlisted
            | Discard::Unread
            | Discard::Overrun => false,
        }
    }
}
