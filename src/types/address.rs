use std::fmt;

use ipnet::IpNet;

use super::InterfaceName;

/// One address a virtual router holds: host part and prefix length as configured, and where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtualAddress {
    /// The address with its prefix length; the host bits are kept (`192.0.2.10/24`).
    pub net: IpNet,
    /// The interface that carries it, normally that of the adverts.
    pub interface: InterfaceName,
}

impl fmt::Display for VirtualAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.net, self.interface)
    }
}
