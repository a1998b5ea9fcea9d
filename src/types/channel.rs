use std::fmt;

use super::Family;

/// One thing that is heard and said on an interface; each has a socket of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Adverts over this family, multicast and unicast alike.
    Adverts(Family),
    /// Who has which address: ARP for IPv4, neighbour discovery for IPv6.
    Announcements(Family),
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Channel::Adverts(family) => write!(f, "adverts over {family}"),
            Channel::Announcements(Family::Ipv4) => f.write_str("ARP"),
            Channel::Announcements(Family::Ipv6) => f.write_str("neighbour discovery"),
        }
    }
}
